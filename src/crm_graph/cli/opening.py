"""Opening the database of a command, and finding the workspace in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from crm_graph.cli.place import Place, settings
from crm_graph.db.pool import Database
from crm_graph.db.revisions import require_current
from crm_graph.domains.workspace.workspaces.directory import FIND, LIST
from crm_graph.events.epoch import require_own_log
from crm_graph.kernel.errors import OperatorError


@asynccontextmanager
async def opened(place: Place, *, check: bool = True) -> AsyncIterator[Database]:
    """Lend the pools of a place, whose schema must be the code's, and whose log its cluster's."""
    with place.database_url() as url:
        database = await Database.open(url)
        try:
            if check:
                await require_current(url)
                await require_own_log(url, failover=settings().continue_after_failover)
            yield database
        finally:
            await database.close()


async def find_workspace(database: Database, slug: str | None) -> str:
    """Return the id of a workspace by its short name, or of the only one. Raises OperatorError naming those there
    are."""
    reader = database.primary_reader()
    rows = await reader.fetch(FIND, {"slug": slug}) if slug is not None else await reader.fetch(LIST, {})
    if len(rows) == 1:
        return str(rows[0]["id"])
    known = ", ".join(row["slug"] for row in await reader.fetch(LIST, {}))
    if not known:
        raise OperatorError(
            "there is no workspace yet",
            "make one: `crm-graph user create --email YOU --role admin --new-workspace NAME`",
        )
    if slug is None:
        raise OperatorError("there are several workspaces", f"say which: `--workspace` one of {known}")
    raise OperatorError(f"there is no workspace {slug!r}", f"there are: {known}")
