"""The relay: announces new events with batched NOTIFYs, so that no business transaction has to.

NOTIFY takes a cluster-wide lock at commit, which cuts the throughput of 8 to 64 writers to a half or a third. So one
relay for the whole installation, elected by an advisory lock, looks at the log every few milliseconds and announces
its end. What it sends is a hint: whoever misses it reads the log from its own cursor.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import asyncpg

from crm_graph.db.pool import connect
from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.errors import OperatorError

CHANNEL = "crm_events"
ADVISORY_LOCK = 7_226_101_001
"""The lock that makes a relay the only one; any number that nothing else in the database uses."""

_NEWEST = """
    SELECT xid::text::bigint, seq FROM event
    WHERE (xid, seq) > ($1::text::xid8, $2) AND xid < pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY event.xid DESC, seq DESC LIMIT 1
"""

log = logging.getLogger(__name__)


class Relay:
    """Runs in every API process and worker; one of them holds the lock and works, the others wait for it."""

    def __init__(self, url: str, poll_ms: int = 25, election_ms: int = 500) -> None:
        self._url = url
        self._poll = poll_ms / 1000
        self._election = election_ms / 1000

    async def run(self) -> None:
        """Relay until cancelled; a lost connection is an election anew, not an error."""
        while True:
            try:
                await self._serve()
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, OperatorError) as error:
                log.warning("relay: connection lost (%s); trying again", type(error).__name__)
            await asyncio.sleep(self._election)

    async def _serve(self) -> None:
        connection = await connect(self._url)
        try:
            while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", ADVISORY_LOCK):  # noqa: ASYNC110 - polls
                await asyncio.sleep(self._election)
            await self._relay(connection)
        finally:
            with contextlib.suppress(Exception):
                await connection.close(timeout=1)

    async def _relay(self, connection: asyncpg.Connection[Any]) -> None:
        cursor = LogCursor(0, 0)
        while True:
            newest = await connection.fetchrow(_NEWEST, str(cursor.xid), cursor.seq)
            if newest is not None:
                cursor = LogCursor(newest[0], newest[1])
                await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, cursor.encode())
            await asyncio.sleep(self._poll)
