"""An empty workspace to import into, as a member, in a savepoint: nothing that a test does stays."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

from crm_graph.cli.acting import operator_work
from crm_graph.cli.data.exporting import write_rows
from crm_graph.cli.data.importing import acting_as, import_steps
from crm_graph.cli.data.steps import Options, step_of
from crm_graph.cli.operating.bootstrap import make_workspace
from crm_graph.domains.workspace.members.operations import create_member
from crm_graph.domains.workspace.members.policy import MEMBER
from crm_graph.graph.exporting.exports import plan_export
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.transfer.recipe import Step
from crm_graph.transfer.report import StepReport
from crm_graph.vault.master import MasterKeys
from crm_graph.vault.vault import Vault
from tests.support.database import SavepointDatabase

SLUG = "desk"
ADMIN = "admin@desk.example"


class Desk:
    """Imports and exports as the command line does, on the test's connection."""

    def __init__(self, database: SavepointDatabase, schema: BuiltSchema, directory: Path) -> None:
        self.database = database
        self.schema = schema
        self.directory = directory
        self.workspace_id = ""
        self.vault = Vault(MasterKeys.of({}, [b"s" * 32]), database)

    async def set_up(self) -> None:
        """Make the workspace, with one administrator and the pipeline `Sales`."""
        self.workspace_id = await make_workspace(self.database, "Desk", SLUG, "Admin", ADMIN, "USD", "UTC")

    def file(self, content: str | bytes, name: str = "rows.csv") -> Path:
        """Write a file and return its path."""
        path = self.directory / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    async def load(
        self,
        entity: str,
        content: str | bytes,
        name: str = "rows.csv",
        *,
        email: str | None = None,
        dry_run: bool = False,
        skip_errors: bool = False,
        encoding: str | None = None,
        **options: Any,
    ) -> StepReport:
        """Import a file with the options of the command line and return the report."""
        step = step_of(entity, self.file(content, name), **options)
        (report,) = await self.run([step], Options(SLUG, email, dry_run, skip_errors, encoding))
        return report

    async def run(self, steps: list[Step], options: Options | None = None) -> list[StepReport]:
        """Run steps and return their reports."""
        options = options or Options()
        viewer, access = await acting_as(self.database, self.schema, SLUG, options.email, None)
        connection = self.database.one.connection
        options = replace(options, workspace=SLUG)
        return await import_steps(connection, self.schema, viewer, access, steps, self.directory, options, self.vault)

    async def export(self, entity: str, form: str = "csv", *, email: str | None = None) -> str:
        """Export what a member may see."""
        registry = self.schema.registry
        viewer, access = await acting_as(self.database, self.schema, SLUG, email, None)
        plan = plan_export(registry.records[entity], registry, access, None)
        file = io.StringIO(newline="")
        connection = self.database.one.connection
        async with connection.transaction():
            await write_rows(connection, plan, viewer, form, file, self.vault)
        return file.getvalue()

    async def member(self, name: str, email: str, *roles: str) -> str:
        """Add a member and return their id."""
        admin = await self.value("SELECT id FROM member WHERE workspace_id = $1 AND email = $2", ADMIN)
        async with operator_work(self.database, self.workspace_id, admin, MEMBER) as work:
            return await create_member(work, {"name": name, "email": email}, roles)

    async def rows(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Return rows of plain SQL whose $1 is the workspace."""
        found = await self.database.one.connection.fetch(query, self.workspace_id, *arguments)
        return [tuple(row) for row in found]

    async def value(self, query: str, *arguments: Any) -> Any:
        """Return the one value of plain SQL whose $1 is the workspace."""
        return await self.database.one.connection.fetchval(query, self.workspace_id, *arguments)

    async def events(self) -> int:
        """Return how many events the workspace has."""
        return int(await self.value("SELECT count(*) FROM event WHERE workspace_id = $1"))
