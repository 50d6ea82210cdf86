"""The projector: follows the event log and writes the versions of rows whose history is kept (`db/history.py`).

One more reader of the log behind its horizon, elected as the chainer of the audit trail is. What a batch of events
makes of rows, and how far the projector has come, are one transaction: killed at any point, it goes on where it was,
none doubled and none lost. Writers never wait for it; whoever asks for a moment does (`graph/reading/moments.py`).

It begins a type with the rows that are there: its history is whole from when they were all copied. `rebuild` then adds
what the log still tells of before.

Decided in D-events-06 (ARCHITECTURE.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Table

from crm_graph.db.connecting import unit
from crm_graph.db.history import (
    BY_CLIENT,
    BY_KIND,
    BY_MEMBER,
    EVENT_SEQ,
    EVENT_XID,
    STILL,
    TOLD_AS,
    VALID_FROM,
    VALID_TO,
    instant,
)
from crm_graph.events.effects import Effects
from crm_graph.events.election import run_elected
from crm_graph.events.opened import opened, with_keys
from crm_graph.events.projected import projected_position
from crm_graph.events.versions import (
    EVENT,
    Connection,
    Kept,
    Values,
    fold,
    rows_now,
    take_all,
    take_open,
    undo,
    write,
)
from crm_graph.kernel.clock import Clock, system_clock
from crm_graph.kernel.cursor import LogCursor
from crm_graph.vault.vault import Vault

ADVISORY_LOCK, WRITING_LOCK = 7_226_101_006, 7_226_101_007
"""Who projects, and who writes versions at the moment: that, or a rebuild."""
_MOVE = """
    INSERT INTO history_position (id, xid, seq) VALUES (1, $1, $2)
    ON CONFLICT (id) DO UPDATE SET xid = excluded.xid, seq = excluded.seq
"""
_HORIZON = "SELECT crm_log_horizon()::text::bigint - 1"
_BEGUN = "SELECT name FROM history_type"
_BEGIN = """
    INSERT INTO history_type (name, began_at) VALUES ($1, $2)
    ON CONFLICT (name) DO UPDATE SET began_at = least(history_type.began_at, excluded.began_at)
"""
_NEXT = f"""
    SELECT {EVENT} FROM event
    WHERE (xid, seq) > ($1::text::xid8, $2) AND xid < crm_log_horizon()
    ORDER BY event.xid, seq LIMIT $3
"""  # noqa: S608 - constants
_EARLIER = f"""
    SELECT {EVENT} FROM event
    WHERE workspace_id = ANY($1::uuid[]) AND entity_id = ANY($2::uuid[]) AND (xid, seq) > ($3::text::xid8, $4)
      AND seq < $5
"""  # noqa: S608 - constants
_LAG = """
    SELECT count(*) AS events, min(at) AS oldest FROM event
    WHERE (xid, seq) > ($1::text::xid8, $2) AND xid < crm_log_horizon()
"""
_FIRST = "SELECT min(at) FROM event"
_TOLD_OF = """
    SELECT workspace_id, entity_id FROM event WHERE entity = $1 AND (workspace_id, entity_id) > ($2, $3)
    GROUP BY 1, 2 ORDER BY 1, 2 LIMIT $4
"""
_ALL_OF = f"""
    SELECT {EVENT} FROM event WHERE workspace_id = $1 AND entity = $2 AND entity_id = ANY($3::uuid[])
"""  # noqa: S608 - constants
_NOBODY = "0" * 32


@dataclass(frozen=True, slots=True)
class Lag:
    """How far the projector is behind: events it has not passed, and when the oldest of them happened."""

    events: int
    oldest: str | None


async def lag(connection: Connection) -> Lag:
    """Return how far the projector is behind."""
    position = await projected_position(connection)
    row = await connection.fetchrow(_LAG, str(position.xid), position.seq)
    assert row is not None
    return Lag(row["events"], row["oldest"])


class Projector:
    """Runs where the relay runs; one of all processes holds the lock and works, the others wait for it. `types` are
    the tables of the record types, by the names that the log calls them by."""

    def __init__(
        self,
        url: str,
        types: Mapping[str, Table],
        effects: Effects,
        vault: Vault,
        *,
        poll_ms: int = 200,
        batch: int = 1_000,
        election_ms: int = 500,
        clock: Clock = system_clock,
    ) -> None:
        self._url = url
        self.kept = Kept.of(types)
        self._by_type = {each.type: each for each in self.kept}
        self._effects = effects
        self._vault = vault
        self._poll = poll_ms / 1000
        self._batch = batch
        self._election_ms = election_ms
        self._clock = clock

    async def run(self) -> None:
        """Project until cancelled."""
        await run_elected("projector", self._url, ADVISORY_LOCK, self._election_ms, self._work)

    async def _work(self, connection: Connection) -> None:
        await self.begin(connection)
        while True:
            if await self.project_batch(connection) < self._batch:
                await asyncio.sleep(self._poll)

    async def begin(self, connection: Connection) -> list[str]:
        """Begin the history of those types that have none, with the rows that are there; return their names.

        The position is taken before rows are copied: what happens meanwhile is in both, and is taken once more.
        """
        async with _alone(connection):
            begun = {row["name"] for row in await connection.fetch(_BEGUN)}
            new = [each for each in self.kept if each.table.name not in begun]
            if new and await projected_position(connection) == LogCursor(0, 0):
                await connection.execute(_MOVE, await connection.fetchval(_HORIZON), 2**63 - 1)
            for each in new:
                await self._copy(connection, each)
                await connection.execute(_BEGIN, each.table.name, self._clock())
        return [each.type for each in new]

    async def _copy(self, connection: Connection, kept: Kept) -> None:
        """Copy the rows of each workspace in a transaction of its own: a long one would hold the log's horizon. What an
        interrupted copy left makes room."""
        for row in await connection.fetch(f"SELECT DISTINCT workspace_id FROM {kept.table.name}"):  # noqa: S608
            async with unit(connection):
                await connection.execute("SET LOCAL statement_timeout = 0")
                await connection.execute(_emptying(kept), row["workspace_id"])
                await connection.execute(_copying(kept), row["workspace_id"], self._clock())

    async def project_batch(self, connection: Connection) -> int:
        """Make versions of the next events, in a transaction of its own; return how many events were passed. Raises
        what says that the database is away."""
        async with unit(connection):
            await connection.execute("SELECT pg_advisory_xact_lock($1)", WRITING_LOCK)
            position = await projected_position(connection)
            events = await connection.fetch(_NEXT, str(position.xid), position.seq, self._batch)
            if not events:
                return 0
            last = events[-1]
            for kept, theirs in self._apart(events):
                told = [*theirs, *await self._written_before(connection, theirs, last)]
                both = await opened(self._vault, connection, told, kept.table)
                workspaces, ids = _keys(both)
                taken = await connection.fetch(take_open(kept), workspaces, ids)
                open_ = {(row["workspace_id"], row["id"]): dict(row) for row in taken}
                await connection.execute(write(kept), fold(kept, both, open_, self._effects))
            await connection.execute(_MOVE, last["xid"], last["seq"])
        return len(events)

    def _apart(self, events: Sequence[Any]) -> list[tuple[Kept, list[Any]]]:
        """Return the events of each type whose history is kept."""
        apart: dict[str, list[Any]] = {}
        for event in events:
            if event["entity"] in self._by_type:
                apart.setdefault(event["entity"], []).append(event)
        return [(self._by_type[type_], theirs) for type_, theirs in apart.items()]

    async def _written_before(self, connection: Connection, events: Sequence[Any], last: Any) -> list[Any]:
        """Return the events of the same rows that were written before the last of these and come after them in the log:
        of transactions that began later, and changed the row first."""
        workspaces, ids = _keys(events)
        newest = max(event["seq"] for event in events)
        return list(await connection.fetch(_EARLIER, workspaces, ids, str(last["xid"]), last["seq"], newest))

    async def rebuild(self, connection: Connection, kept: Kept, archived: Iterable[Any] = ()) -> int:
        """Make the versions of a type anew, of what the log tells, with events of it that were `archived`; those from
        before that stay as they are. Returns how many rows that were.

        A batch of rows is a transaction. Rows and log are read at one moment, which on a cluster nobody may write in.
        """
        since, told_before = self._archived(kept, archived)
        total = 0
        after = _NOBODY, _NOBODY
        while keys := await self._told_of(connection, kept, after, told_before):
            for workspace_id in dict.fromkeys(workspace_id for workspace_id, _ in keys):
                ids = [id_ for workspace, id_ in keys if workspace == workspace_id]
                async with _alone(connection), unit(connection, isolation="repeatable_read"):
                    await self._remake(connection, kept, workspace_id, ids, told_before)
            total, after = total + len(keys), keys[-1]
        async with unit(connection):
            await connection.execute("SET LOCAL statement_timeout = 0")
            await connection.execute(_since_creation(kept))
        began = await self._whole_since(connection, since)
        if began is not None:
            await connection.execute(_BEGIN, kept.table.name, began)
        return total

    def _archived(self, kept: Kept, events: Iterable[Any]) -> tuple[datetime | None, dict[tuple[str, str], list[Any]]]:
        first: datetime | None = None
        of_rows: dict[tuple[str, str], list[Any]] = {}
        for event in events:
            at = datetime.fromisoformat(event["at"])
            first = at if first is None else min(first, at)
            if event["entity"] == kept.type:
                of_rows.setdefault((event["workspace_id"], event["entity_id"]), []).append(event)
        return first, of_rows

    async def _told_of(
        self,
        connection: Connection,
        kept: Kept,
        after: tuple[str, str],
        archived: Mapping[tuple[str, str], Any],
    ) -> list[tuple[str, str]]:
        """Return the next rows, in the order of their ids, that the log or the archive tells of."""
        rows = await connection.fetch(_TOLD_OF, kept.type, *after, self._batch)
        keys = {(row["workspace_id"], row["entity_id"]) for row in rows}
        keys.update(sorted(key for key in archived if key > after)[: self._batch])
        return sorted(keys)[: self._batch]

    async def _remake(
        self,
        connection: Connection,
        kept: Kept,
        workspace_id: str,
        ids: Sequence[str],
        archived: Mapping[tuple[str, str], Sequence[Any]],
    ) -> None:
        now = {row["id"]: dict(row) for row in await connection.fetch(rows_now(kept), workspace_id, list(ids))}
        events: dict[str, dict[int, Any]] = {id_: {} for id_ in ids}
        before = [event for id_ in ids for event in archived.get((workspace_id, id_), ())]
        told = [
            *await with_keys(connection, workspace_id, before),
            *await connection.fetch(_ALL_OF, workspace_id, kept.type, list(ids)),
        ]
        for event in await opened(self._vault, connection, told, kept.table):
            events[event["entity_id"]][event["seq"]] = event
        stored: dict[str, list[Values]] = {id_: [] for id_ in ids}
        for row in await connection.fetch(take_all(kept), workspace_id, list(ids)):
            stored[row["id"]].append(dict(row))
        made: list[Values] = []
        for id_ in ids:
            of_row = [event for _, event in sorted(events[id_].items())]
            began = instant(of_row[0]["at"])
            older = sorted(
                (each for each in stored[id_] if instant(each[VALID_FROM]) < began),
                key=lambda each: instant(each[VALID_FROM]),
            )
            start = older.pop() if older else _since_made(undo(kept, of_row, now.get(id_), self._effects))
            open_ = {} if start is None else {(workspace_id, id_): _reopened(start, of_row[0])}
            made += [*older, *fold(kept, of_row, open_, self._effects)]
        await connection.execute(write(kept), made)

    async def _whole_since(self, connection: Connection, archived: datetime | None) -> datetime | None:
        """Return since when the log tells all: its first event, or the first of the archive."""
        first = await connection.fetchval(_FIRST)
        found = [each for each in (archived, None if first is None else datetime.fromisoformat(first)) if each]
        return min(found, default=None)


def _keys(events: Iterable[Any]) -> tuple[list[str], list[str]]:
    """Return the workspaces of events, and the ids of their rows."""
    keys = {(event["workspace_id"], event["entity_id"]) for event in events}
    return sorted({workspace_id for workspace_id, _ in keys}), sorted({id_ for _, id_ in keys})


def _since_made(values: Values | None) -> Values | None:
    """Return the version of a row of which nothing is told before: since it was made, by nobody that is known."""
    if values is None:
        return None
    return {**values, **dict.fromkeys((BY_KIND, BY_MEMBER, BY_CLIENT, TOLD_AS)), VALID_FROM: values["created_at"]}


def _reopened(version: Values, first: Any) -> Values:
    """Return a version as the one that is valid, before an event."""
    return {**version, VALID_TO: STILL, EVENT_XID: 0, EVENT_SEQ: first["seq"] - 1}


@asynccontextmanager
async def _alone(connection: Connection) -> AsyncIterator[None]:
    """Write versions alone. The lock is taken before a transaction, whose snapshot is to be of afterwards."""
    await connection.execute("SELECT pg_advisory_lock($1)", WRITING_LOCK)
    try:
        yield
    finally:
        await connection.execute("SELECT pg_advisory_unlock($1)", WRITING_LOCK)


@cache
def _emptying(kept: Kept) -> str:
    return f"DELETE FROM {kept.versions.name} WHERE workspace_id = $1"  # noqa: S608 - a table of ours


@cache
def _copying(kept: Kept) -> str:
    names = ", ".join(kept.columns)
    return (
        f"INSERT INTO {kept.versions.name} ({names}, {VALID_FROM}, {VALID_TO}, {EVENT_XID}, {EVENT_SEQ})"  # noqa: S608
        f" SELECT {names}, $2, '{STILL}', 0, 0 FROM {kept.table.name} WHERE workspace_id = $1"
    )


@cache
def _since_creation(kept: Kept) -> str:
    """Return what says of rows that were copied, and of which the log tells nothing, that they were always so."""
    return (
        f"UPDATE {kept.versions.name} SET {VALID_FROM} = created_at"  # noqa: S608 - of ours
        f" WHERE {EVENT_SEQ} = 0 AND {VALID_FROM} > created_at"
    )
