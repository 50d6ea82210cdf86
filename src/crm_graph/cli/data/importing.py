"""`crm-graph import`: files into the workspace, under the rights of a member."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from crm_graph.api.schema import make_schema
from crm_graph.cli.access.accounts import find_account
from crm_graph.cli.console import console
from crm_graph.cli.data.steps import SPECS, Options
from crm_graph.cli.installed import vault_of
from crm_graph.cli.opening import find_workspace, opened
from crm_graph.cli.place import Place, settings
from crm_graph.db.connecting import close, connect, unit
from crm_graph.db.pool import Database
from crm_graph.db.session import Session
from crm_graph.domains.identity.accounts.directory import MemberDirectory
from crm_graph.domains.platform.audit.events import SensitiveFieldsRead
from crm_graph.domains.platform.audit.operations import record_reading
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.tokens import Claims
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.clock import system_clock
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.ids import encode_id, new_id
from crm_graph.permissions.access import Access
from crm_graph.permissions.roles import ADMIN
from crm_graph.transfer.recipe import Step
from crm_graph.transfer.report import StepReport
from crm_graph.transfer.run import Start, run_steps
from crm_graph.vault.vault import Vault
from crm_graph.work import Work

MAX_SHOWN_ERRORS = 50


async def acting_as(
    database: Database, schema: BuiltSchema, workspace: str | None, email: str | None, role: str | None
) -> tuple[Viewer, Access]:
    """Return a member as a viewer with the access that they have over the API; the first administrator unless said
    otherwise. Raises OperatorError."""
    workspace_id = await find_workspace(database, workspace)
    account = await find_account(database, workspace_id, email, role or (None if email else ADMIN))
    claims = Claims(workspace_id, account.member_id, system_clock())
    viewer = await MemberDirectory().find(database.primary_reader(), claims)
    if viewer is None:
        raise OperatorError(f"{account.email} cannot sign in", "name another member with --email")
    return viewer, schema.compiler().of(viewer)


class _TakeBack(Exception):
    """Raised inside the transaction of an import whose rows are not to stay."""


async def import_files(place: Place, steps: list[Step], directory: Path, options: Options) -> list[StepReport]:
    """Bring in the files of a directory, step by step; returns what came of each. Raises OperatorError."""
    schema = make_schema()
    async with opened(place) as database:
        viewer, access = await acting_as(database, schema, options.workspace, options.email, None)
        connection = await connect(database.url, None)  # without the time limits of requests
        try:
            vault = await vault_of(database)
            return await import_steps(connection, schema, viewer, access, steps, directory, options, vault)
        finally:
            await close(connection)


async def import_steps(
    connection: asyncpg.Connection[Any],
    schema: BuiltSchema,
    viewer: Viewer,
    access: Access,
    steps: Sequence[Step],
    directory: Path,
    options: Options,
    vault: Vault,
) -> list[StepReport]:
    """Run the steps in one transaction, which is taken back after a bad row or for a dry run; returns their reports."""
    reports: list[StepReport] = []
    now = system_clock()
    work = Work(Session(connection), viewer, access, lambda: now, vault=vault)
    with suppress(_TakeBack):
        async with unit(connection):
            with _progress() as start:
                reports += await run_steps(
                    work,
                    SPECS,
                    steps,
                    directory,
                    skip_errors=options.skip_errors,
                    encoding=options.encoding,
                    start=start,
                )
            await _write_down(work, schema)
            await work.session.finish()
            if options.dry_run or (any(report.error_count for report in reports) and not options.skip_errors):
                raise _TakeBack
    return reports


async def _write_down(work: Work, schema: BuiltSchema) -> None:
    """Write down the sensitive reads of an import, in its transaction: a list price that it copied, say."""
    if not work.noted:
        return
    records = schema.registry.records
    ids = tuple(dict.fromkeys(encode_id(records[type_].prefix, id_) for type_, _, id_ in work.noted))
    fields = tuple(sorted({f"{type_}.{field}" for type_, field, _ in work.noted}))
    event = SensitiveFieldsRead(fields, None, None, ids[: settings().audit_max_ids], len(ids))
    await record_reading(work.session, work.viewer, work.origin, new_id(), work.now, event)


@contextmanager
def _progress() -> Iterator[Start]:
    """Lend what shows the rows as they are read, where somebody looks on."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description:32}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:

        def start(step: Step) -> _Advance:
            task = bar.add_task(f"{step.entity} from {step.file or 'the recipe'}", total=None)
            return _Advance(bar, task)

        yield start


class _Advance:
    """Moves a bar on."""

    def __init__(self, bar: Progress, task: object) -> None:
        self.bar, self.task = bar, task

    def __call__(self, rows: int) -> None:
        self.bar.advance(self.task, rows)  # type: ignore[arg-type]


def show(reports: Sequence[StepReport], steps: int, options: Options) -> bool:
    """Say what was done, and what was wrong; returns whether all rows were good."""
    shown = 0
    failed = any(report.error_count for report in reports)
    written = not options.dry_run and (options.skip_errors or not failed)
    for report in reports:
        counts = f"{report.inserted:,} inserted, {report.updated:,} updated, {report.unchanged:,} unchanged"
        if report.bad_rows:
            counts += f", {report.bad_rows:,} bad"
        extra = [*report.notes]
        extra += [f"{report.blank:,} blank rows"] if report.blank else []
        note = f" ({'; '.join(extra)})" if extra else ""
        console.print(
            f"{report.entity} from {report.source}: {report.rows:,} rows: {counts}{note}", markup=False, soft_wrap=True
        )
        for error in sorted(report.errors, key=lambda error: error.row)[: max(0, MAX_SHOWN_ERRORS - shown)]:
            console.print(f"  {error}", markup=False, soft_wrap=True)
            shown += 1
    total = sum(report.error_count for report in reports)
    if total > shown:
        console.print(f"  and {total - shown:,} more")
    if failed and len(reports) < steps:
        console.print(f"{steps - len(reports)} later steps were not tried")
    if options.dry_run:
        console.print("dry run: nothing was written")
    elif not written:
        console.print("nothing was written: correct the rows, or write the good ones with --skip-errors")
    return not failed
