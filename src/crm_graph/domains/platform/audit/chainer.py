"""The chainer: follows the event log and gives each event its entry, in an order that all agree on.

Not in the transaction of the change, where the last hash would make all writers of a workspace wait for each other; one
process, elected, reads the log behind the snapshot horizon by its cursor `(xid, seq)`. Entries and position are one
transaction: killed at any point, it goes on where it was, none doubled and none lost. Writers never wait for it.

Entries lie with their workspace. Where that is a worker of a cluster that is down, those of others are sealed all the
same: the workspace is deferred (`deferrals.py`), and caught up on when its worker answers again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

import asyncpg

from crm_graph.db.connecting import unit
from crm_graph.db.nodes import on_workers_down
from crm_graph.db.outages import AWAY
from crm_graph.domains.platform.audit.chain import (
    ENTRY_FIELDS,
    EVENT_COLUMNS,
    GENESIS,
    LATER_ENTRY_FIELDS,
    SealKey,
    entry_hash,
    entry_of,
    head_seal,
)
from crm_graph.domains.platform.audit.deferrals import Deferrals, Down
from crm_graph.events.election import run_elected
from crm_graph.events.projected import projected_position
from crm_graph.kernel.clock import Clock, system_clock
from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.ids import new_id

ADVISORY_LOCK = 7_226_101_002
_HEAD = "SELECT workspace_id, number, hash, event_xid, event_seq, key_id, seal FROM audit_head"
_LAST_HEAD = f"{_HEAD} ORDER BY event_xid DESC, event_seq DESC LIMIT 1"
_SEALED = f"""
    (SELECT 1 AS place, event_xid, event_seq FROM audit_deferral ORDER BY event_xid, event_seq LIMIT 1)
    UNION ALL (SELECT 2, event_xid, event_seq FROM ({_LAST_HEAD}) AS last) ORDER BY place LIMIT 1
"""  # noqa: S608 - constants
_NEXT = f"""
    SELECT {EVENT_COLUMNS} FROM event
    WHERE (xid, seq) > ($1::text::xid8, $2) AND xid < crm_log_horizon()
    ORDER BY event.xid, seq LIMIT $3
"""  # noqa: S608 - constants
_NEXT_OF_ONE = f"""
    SELECT {EVENT_COLUMNS} FROM event
    WHERE workspace_id = $1 AND (xid, seq) > ($2::text::xid8, $3) AND (xid, seq) <= ($4::text::xid8, $5)
    ORDER BY event.xid, seq LIMIT $6
"""  # noqa: S608 - constants
_HEADS = f"{_HEAD} WHERE workspace_id = ANY($1::uuid[]) ORDER BY workspace_id FOR UPDATE"
_COLUMNS = (*ENTRY_FIELDS, *LATER_ENTRY_FIELDS, "previous_hash", "hash")
_WRITE_ENTRIES = f"""
    INSERT INTO audit_entry ({", ".join(_COLUMNS)})
    SELECT {", ".join(f"given.{name}" for name in _COLUMNS)}
    FROM jsonb_populate_recordset(NULL::audit_entry, $1::jsonb) AS given ORDER BY workspace_id, number
"""  # noqa: S608 - constants
_WRITE_HEADS = """
    INSERT INTO audit_head SELECT * FROM jsonb_populate_recordset(NULL::audit_head, $1::jsonb)
    ON CONFLICT (workspace_id) DO UPDATE SET number = excluded.number, hash = excluded.hash,
        event_xid = excluded.event_xid, event_seq = excluded.event_seq, key_id = excluded.key_id, seal = excluded.seal
"""

log = logging.getLogger(__name__)


async def sealed_position(connection: asyncpg.Connection[Any]) -> LogCursor:
    """Return the position up to which every event has its entry, of workspaces that are deferred too."""
    last = await connection.fetchrow(_SEALED)
    return LogCursor(0, 0) if last is None else LogCursor(last["event_xid"], last["event_seq"])


async def passed_position(connection: asyncpg.Connection[Any]) -> LogCursor:
    """Return the position up to which every event has its entry and is in the kept history: it may be removed."""
    return min(await sealed_position(connection), await projected_position(connection))


class BrokenHead(OperatorError):
    """Raised when the end of a chain is not what this installation sealed: continuing would make that good."""

    def __init__(self, workspace_id: str, why: str, fix: str) -> None:
        super().__init__(f"the audit trail of workspace {workspace_id} cannot be continued: {why}", fix)


class Chainer:
    """Runs where the relay runs; one of all processes holds the lock and works, the others wait for it."""

    def __init__(
        self,
        url: str,
        keys: Sequence[SealKey],
        prefixes: Mapping[str, str],
        *,
        retired: Sequence[SealKey] = (),
        poll_ms: int = 200,
        batch: int = 1_000,
        election_ms: int = 500,
        clock: Clock = system_clock,
        down: Down = on_workers_down,
    ) -> None:
        self._url = url
        self._keys = {key.id: key for key in (*keys, *retired)}
        self._key = keys[0]
        self._prefixes = prefixes
        self._poll = poll_ms / 1000
        self._batch = batch
        self._election_ms = election_ms
        self._clock = clock
        self._down = down
        self._deferrals = Deferrals()

    async def run(self) -> None:
        """Chain until cancelled. A head that is broken is said in the log, again and again: nothing is sealed then."""
        await run_elected("audit chainer", self._url, ADVISORY_LOCK, self._election_ms, self._chain)

    async def _chain(self, connection: asyncpg.Connection[Any]) -> None:
        self._deferrals = await Deferrals.read(connection)
        while True:
            try:
                sealed = await self.chain_batch(connection)
                sealed += await self.catch_up(connection)
            except BrokenHead as error:
                log.error("audit chainer: %s", error)
                sealed = 0
                await asyncio.sleep(self._election_ms / 100)
            if sealed < self._batch:
                await asyncio.sleep(self._poll)

    async def chain_batch(self, connection: asyncpg.Connection[Any]) -> int:
        """Give the next events their entries, in a transaction of its own; return how many events were passed, those of
        deferred workspaces among them. Raises BrokenHead, and what says that the database is away."""
        deferrals = self._deferrals
        position, workspaces = deferrals.passed, set[str]()
        try:
            async with unit(connection):
                last = await connection.fetchrow(_LAST_HEAD)
                if last is not None:
                    self._check(last)
                    position = max(position, LogCursor(last["event_xid"], last["event_seq"]))
                events = await connection.fetch(_NEXT, str(position.xid), position.seq, self._batch)
                theirs = [event for event in events if event["workspace_id"] not in deferrals]
                workspaces = {event["workspace_id"] for event in theirs}
                if theirs:
                    await self._seal(connection, theirs)
        except AWAY:
            if connection.is_closed() or not (down := await self._down(connection, sorted(workspaces))):
                raise
            await deferrals.add(connection, down, position)
            return await self.chain_batch(connection)
        if events:
            deferrals.passed = LogCursor(events[-1]["xid"], events[-1]["seq"])
        return len(events)

    async def catch_up(self, connection: asyncpg.Connection[Any]) -> int:
        """Seal what was deferred, of workspaces whose workers answer again, a batch of each; return how many events.
        Nothing while it was looked at a moment ago."""
        sealed = 0
        for workspace_id in await self._deferrals.due(connection, self._down):
            try:
                async with unit(connection):
                    count, position = await self._catch_up_on(connection, workspace_id)
            except AWAY:
                if connection.is_closed():
                    raise
            else:
                sealed += count
                self._deferrals.moved(workspace_id, position)
        return sealed

    async def _catch_up_on(
        self, connection: asyncpg.Connection[Any], workspace_id: str
    ) -> tuple[int, LogCursor | None]:
        position, passed = self._deferrals[workspace_id], self._deferrals.passed
        last = await connection.fetchrow(_LAST_HEAD)
        if last is not None:
            self._check(last)
            passed = max(passed, LogCursor(last["event_xid"], last["event_seq"]))
        bounds = str(position.xid), position.seq, str(passed.xid), passed.seq
        events = await connection.fetch(_NEXT_OF_ONE, workspace_id, *bounds, self._batch)
        if events:
            await self._seal(connection, events)
        after = LogCursor(events[-1]["xid"], events[-1]["seq"]) if len(events) == self._batch else None
        await self._deferrals.move(connection, workspace_id, after)
        return len(events), after

    async def _seal(self, connection: asyncpg.Connection[Any], events: Sequence[Any]) -> None:
        workspaces = sorted({event["workspace_id"] for event in events})
        heads = {row["workspace_id"]: dict(row) for row in await connection.fetch(_HEADS, workspaces)}
        for head in heads.values():
            self._check(head)
        now = self._clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")  # as the database will print it
        entries: list[dict[str, Any]] = []
        for event in events:
            entry = entry_of(event, self._prefixes)
            workspace_id = entry["workspace_id"]
            last = heads.get(workspace_id)
            number, previous = (1, GENESIS) if last is None else (last["number"] + 1, last["hash"])
            entry.update(number=number, id=new_id(), sealed_at=now, key_id=self._key.id, previous_hash=previous)
            entry["hash"] = entry_hash(self._key, previous, entry)
            entries.append(entry)
            heads[workspace_id] = {
                "workspace_id": workspace_id,
                "number": number,
                "hash": entry["hash"],
                "event_xid": entry["event_xid"],
                "event_seq": entry["event_seq"],
                "key_id": self._key.id,
            }
        for head in heads.values():
            head["seal"] = head_seal(self._key, head)
        await connection.execute(_WRITE_ENTRIES, entries)
        await connection.execute(_WRITE_HEADS, list(heads.values()))

    def _check(self, head: Any) -> None:
        key = self._keys.get(head["key_id"])
        if key is None:
            raise BrokenHead(
                head["workspace_id"],
                f"its head is sealed under the key {head['key_id']}, which none of the secrets makes",
                "keep the secret from before in CRM_SECRET behind the new one, or in CRM_AUDIT_SECRETS",
            )
        if head_seal(key, head) != head["seal"]:
            raise BrokenHead(
                head["workspace_id"],
                "its head was altered",
                "find out by whom: `crm-graph audit verify`; then restore audit_head and audit_entry from a backup",
            )
