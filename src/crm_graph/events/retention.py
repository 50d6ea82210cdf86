"""Retention: removes events that are older than they are kept, oldest first, once the audit trail has sealed them.

What is removed is always a beginning of the log in its own order `(xid, seq)`, and the transaction that removes it
writes how far: so whoever reads by cursor can tell that there is a gap before their next event. Small steps, each a
transaction, so that nobody waits for it and it can be stopped anywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any, TypeAlias

import asyncpg

from crm_graph.db.connecting import unit
from crm_graph.events.election import run_elected
from crm_graph.kernel.clock import Clock, system_clock
from crm_graph.kernel.cursor import LogCursor

ADVISORY_LOCK = 7_226_101_004
_OLDEST = """
    SELECT xid::text::bigint AS xid, seq, at < $1 AS due FROM event
    WHERE xid < crm_log_horizon() ORDER BY event.xid, seq LIMIT $2
"""
_REMOVE = "DELETE FROM event WHERE (xid, seq) <= ($1::text::xid8, $2)"
_MOVE = """
    INSERT INTO event_horizon AS stored (id, xid, seq, removed_at) VALUES (1, $1, $2, now())
    ON CONFLICT (id) DO UPDATE SET xid = excluded.xid, seq = excluded.seq, removed_at = now()
    WHERE (stored.xid, stored.seq) < (excluded.xid, excluded.seq)
"""

Connection: TypeAlias = "asyncpg.Connection[Any]"
Sealed: TypeAlias = Callable[[Connection], Awaitable[LogCursor]]
"""Returns up to where whoever must have read an event before it goes has read: the audit trail."""


async def remove_batch(connection: Connection, before: datetime, sealed: Sealed, batch: int) -> int:
    """Remove up to `batch` of the oldest events, of those that happened before a time; return how many."""
    async with unit(connection):
        limit = await sealed(connection)
        last = None
        count = 0
        for row in await connection.fetch(_OLDEST, before, batch):
            position = LogCursor(row["xid"], row["seq"])
            if not row["due"] or position > limit:
                break
            last, count = position, count + 1
        if last is None:
            return 0
        await connection.execute(_REMOVE, str(last.xid), last.seq)
        await connection.execute(_MOVE, last.xid, last.seq)
    return count


class Retention:
    """Runs where the relay runs; one of all processes holds the lock and works, the others wait for it."""

    def __init__(
        self,
        url: str,
        days: int,
        sealed: Sealed,
        *,
        batch: int = 5_000,
        every_s: float = 3_600,
        pause_s: float = 0.1,
        election_ms: int = 5_000,
        clock: Clock = system_clock,
    ) -> None:
        self._url = url
        self._days = days
        self._sealed = sealed
        self._batch = batch
        self._every_s = every_s
        self._pause_s = pause_s
        self._election_ms = election_ms
        self._clock = clock

    async def run(self) -> None:
        """Remove what is too old until cancelled; nothing where events are kept for ever."""
        if self._days:
            await run_elected("retention", self._url, ADVISORY_LOCK, self._election_ms, self._work)

    async def _work(self, connection: Connection) -> None:
        while True:
            await self.remove(connection)
            await asyncio.sleep(self._every_s)

    async def remove(self, connection: Connection) -> int:
        """Remove all that is too old, in steps; return how many events that were."""
        before = self._clock() - timedelta(days=self._days)
        total = 0
        while removed := await remove_batch(connection, before, self._sealed, self._batch):
            total += removed
            await asyncio.sleep(self._pause_s)
        return total
