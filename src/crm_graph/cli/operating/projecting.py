"""`crm-graph project`: how far the kept history has come, and how it is made anew."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from crm_graph.api.schema import make_schema
from crm_graph.app import projector_for
from crm_graph.cli.console import console
from crm_graph.cli.installed import vault_of
from crm_graph.cli.opening import opened
from crm_graph.cli.place import Place
from crm_graph.db.connecting import close, connect
from crm_graph.events.projector import lag
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.settings import Settings

_BEGUN = "SELECT name, began_at FROM history_type ORDER BY name"


async def history_status(place: Place) -> list[str]:
    """Return what is to be said of the kept history. Raises OperatorError."""
    async with opened(place) as database:
        connection = await connect(database.url)
        try:
            since = [f"{row['name']}: kept since {row['began_at']}" for row in await connection.fetch(_BEGUN)]
            return [*since, await _told(connection)]
        finally:
            await close(connection)


async def _told(connection: asyncpg.Connection[Any]) -> str:
    """Return in words how far the history is behind the log."""
    behind = await lag(connection)
    if not behind.events:
        return "the history has all that the log has"
    return f"the history is {behind.events:,} events behind the log, the oldest of {behind.oldest}"


async def rebuild_history(place: Place, type_: str | None, archives: Sequence[Path]) -> list[tuple[str, int]]:
    """Make the versions of a type, or of all, anew; return of how many records, by type. Raises OperatorError."""
    async with opened(place) as database:
        projector = projector_for(database.url, Settings.from_environment(), make_schema(), await vault_of(database))
        chosen = [kept for kept in projector.kept if type_ in {None, kept.type}]
        if not chosen:
            names = ", ".join(kept.type for kept in projector.kept)
            raise OperatorError(f"no history of {type_} is kept", f"name one of {names}, or none for all")
        archived = [event for file in archives for event in _events(file)]
        connection = await connect(database.url)
        try:
            await projector.begin(connection)
            with console.status("making versions"):
                return [(kept.type, await projector.rebuild(connection, kept, archived)) for kept in chosen]
        finally:
            await close(connection)


def _events(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the events of a file that `crm-graph events export` wrote, as they are read from the log."""
    try:
        with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as lines:
            for line in lines:
                event = orjson.loads(line)
                for name in ("workspace_id", "entity_id", "actor", "client_id"):
                    event[name] = event[name] and event[name].replace("-", "")
                kind = "SYSTEM" if event["actor"] is None else "MEMBER"
                yield {**event, "actor_kind": event.get("actor_kind") or kind}
    except (OSError, EOFError, KeyError, ValueError, AttributeError) as error:
        what = f"{file} is no archive of events: {error}"
        raise OperatorError(what, "name a file that `crm-graph events export` wrote") from None
