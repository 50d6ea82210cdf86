"""Where a command works: the data directory with its embedded Postgres, or the database of DATABASE_URL."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from crm_graph.api.schema import SLICES
from crm_graph.app import Installation, make_vault
from crm_graph.cli.console import console
from crm_graph.db import embedded
from crm_graph.db.migrate import require_current
from crm_graph.db.pool import Database
from crm_graph.domains.workspace.workspaces.operations import FIND, LIST
from crm_graph.graph.records.record import record_of
from crm_graph.identity.secrets import load_secrets, secrets_of_environment
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.clock import system_clock
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.settings import Settings
from crm_graph.permissions.access import Access, compile_access
from crm_graph.permissions.roles import ADMIN, built_in_roles
from crm_graph.vault.master import load_service
from crm_graph.vault.vault import Vault
from crm_graph.work import Work

DEFAULT_DATA = Path(".crm")
RETIRED_SECRETS = "CRM_AUDIT_SECRETS"
"""Secrets that were in CRM_SECRET once and left it: they verify the audit trail, and nothing else."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Place:
    """Where to find the database; exactly one of `data` and `url` is set. `makes`: whether the command may make a
    cluster where there is none. A token asked for in the wrong folder made one of 46 MB there."""

    data: Path | None
    url: str | None
    makes: bool = False

    @contextmanager
    def database_url(self) -> Iterator[str]:
        """Lend the database's address; an embedded Postgres is started, or joined where one runs already."""
        if self.url is not None:
            yield self.url
            return
        assert self.data is not None
        if not self.makes and not embedded.exists(self.data):
            raise OperatorError(
                f"there is no database in {self.data}",
                "go to the folder where `crm-graph dev` runs, or name its data directory by `--data`, or a server by "
                "DATABASE_URL; `crm-graph dev` and `crm-graph migrate` make a new one",
            )
        with embedded.running(self.data, log=lambda line: console.print(f"[dim]{line}[/dim]")) as server:
            yield server.url


def find_place(data: Path | None, *, makes: bool = False) -> Place:
    """Return where to work: `--data` or CRM_DATA_DIR, else DATABASE_URL, else `.crm` in the current directory."""
    chosen = data or (Path(os.environ["CRM_DATA_DIR"]) if os.environ.get("CRM_DATA_DIR") else None)
    if chosen is not None:
        return Place(chosen, None, makes)
    url = os.environ.get("DATABASE_URL")
    return Place(None, url) if url else Place(DEFAULT_DATA, None, makes)


def data_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--data DIR` to a command."""
    return click.option(
        "--data",
        type=click.Path(file_okay=False, path_type=Path),
        help="Data directory with the embedded Postgres. Else CRM_DATA_DIR, else DATABASE_URL, else ./.crm.",
    )(command)


def workspace_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--workspace W` to a command."""
    return click.option("--workspace", help="The workspace's short name; may be left out where there is one only.")(
        command
    )


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine on uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:  # pragma: no cover - not on Windows
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


@asynccontextmanager
async def opened(place: Place, *, check: bool = True) -> AsyncIterator[Database]:
    """Lend the pools of a place, whose schema must be the code's."""
    with place.database_url() as url:
        database = await Database.open(url)
        try:
            if check:
                await require_current(url)
            yield database
        finally:
            await database.close()


async def find_workspace(database: Database, slug: str | None) -> str:
    """Return the id of a workspace by its short name, or of the only one. Raises OperatorError naming those there
    are."""
    reader = database.primary_reader()
    found = await reader.fetch(FIND, {"slug": slug}) if slug is not None else await reader.fetch(LIST, {})
    if len(found) == 1:
        return str(found[0]["id"])
    known = ", ".join(row["slug"] for row in await reader.fetch(LIST, {}))
    if not known:
        raise OperatorError(
            "there is no workspace yet",
            "make one: `crm-graph user create --email YOU --role admin --new-workspace NAME`",
        )
    if slug is None:
        raise OperatorError("there are several workspaces", f"say which: `--workspace` one of {known}")
    raise OperatorError(f"there is no workspace {slug!r}", f"there are: {known}")


def operator_access() -> Access:
    """Return the access of the operator: an administrator's."""
    policies = [
        policy for each in SLICES for policy in (*(record_of(cls).policy for cls in each.records), *each.policies)
    ]
    return compile_access([built_in_roles(policies)[ADMIN]], policies)


@asynccontextmanager
async def operator_work(database: Database, workspace_id: str, member_id: str) -> AsyncIterator[Work]:
    """Lend a unit of work of the operator acting as a member; commits on exit."""
    async with database.transaction() as session:
        now = system_clock()
        viewer = Viewer(workspace_id, member_id, (ADMIN,), (member_id,))
        yield Work(session, viewer, operator_access(), lambda: now)


async def installation(database: Database, **options: Any) -> Installation:
    """Return what an API process needs, with the secrets of this installation."""
    secrets = await load_secrets(database.primary_reader(), os.environ)
    service = load_service(os.environ, secrets)
    retired = secrets_of_environment(os.environ, RETIRED_SECRETS)
    others: tuple[str | None, str | None] = None, None
    if database.url == os.environ.get("DATABASE_URL"):  # and not an embedded one, which has no others
        others = os.environ.get("DATABASE_READ_URL") or None, os.environ.get("DATABASE_POOL_URL") or None
    return Installation(database.url, secrets, *others, service, retired, **options)


async def vault_of(database: Database) -> Vault:
    """Return the vault of a command."""
    return make_vault(await installation(database), settings(), database)


def settings() -> Settings:
    """Return the settings of the environment."""
    return Settings.from_environment()
