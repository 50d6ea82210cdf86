"""The relay: announces new events with batched NOTIFYs, so that no business transaction has to.

NOTIFY takes a cluster-wide lock at commit, which cuts the throughput of 8 to 64 writers to a half or a third. So one
relay for the whole installation, elected by an advisory lock, looks at the log every few milliseconds and announces
its end. What it sends is a hint: whoever misses it reads the log from its own cursor.
"""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from crm_graph.events.election import run_elected
from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.roles import role

CHANNEL, ROLE = "crm_events", "relay"
ADVISORY_LOCK = 7_226_101_001
"""The lock that makes a relay the only one; any number that nothing else in the database uses."""
SOONER, BUSY_S = 3, 2.0
"""So much more often it looks for a while after an event: changes come in bursts, and who watches them waits."""

_NEWEST = """
    SELECT xid::text::bigint, seq, extract(epoch FROM clock_timestamp() - at)::float8 FROM event
    WHERE (xid, seq) > ($1::text::xid8, $2) AND xid < crm_log_horizon()
    ORDER BY event.xid DESC, seq DESC LIMIT 1
"""


class Relay:
    """Runs in every API process and worker; one of them holds the lock and works, the others wait for it. With
    `failover` it is the one that continues the log where a standby was promoted."""

    def __init__(self, url: str, poll_ms: int = 25, election_ms: int = 500, *, failover: bool = False) -> None:
        self._url = url
        self._poll = poll_ms / 1000
        self._election_ms = election_ms
        self._failover = failover

    async def run(self) -> None:
        """Relay until cancelled."""
        await run_elected(ROLE, self._url, ADVISORY_LOCK, self._election_ms, self._relay, failover=self._failover)

    async def _relay(self, connection: asyncpg.Connection[Any]) -> None:
        cursor, quiet_s, relay, first = LogCursor(0, 0), BUSY_S, role(ROLE), True
        while True:
            newest = await connection.fetchrow(_NEWEST, str(cursor.xid), cursor.seq)
            if newest is not None:
                cursor = LogCursor(newest[0], newest[1])
                await connection.execute("SELECT pg_notify($1, $2)", CHANNEL, cursor.encode())
                quiet_s = 0
            # The end of the log that it found when it began is no event that it was late with.
            relay.reports(0.0 if newest is None or first else max(0.0, newest[2]))
            first = False
            pause_s = self._poll / SOONER if quiet_s < BUSY_S else self._poll
            quiet_s += pause_s
            await asyncio.sleep(pause_s)
