"""Election: of all processes of an installation, one does a piece of background work, by a lock of the database.

The lock is the session's, on the connection that the work is done on: a process that dies, or loses its connection, has
lost the lock with it, and what it had not committed was never done.

A connection does not outlive its server, so each that is made anew asks once whether the log is this cluster's: nothing
is relayed, sealed or removed in one that took its place until its log is continued (`epoch.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import asyncpg

from crm_graph.db.connecting import close, connect
from crm_graph.db.outages import Outage
from crm_graph.events.epoch import Epoch, own_or_continued, require_own
from crm_graph.kernel.roles import Role, role

log = logging.getLogger(__name__)

STEADY_S = 3
"""After so long at work it works again: what fails as soon as it begins, a worker of a cluster being down, does not."""
ElectedWork: TypeAlias = "Callable[[asyncpg.Connection[Any]], Awaitable[None]]"
"""What the elected one does on its connection; it runs until it is cancelled or raises."""


async def run_elected(
    name: str, url: str, lock: int, election_ms: int, work: ElectedWork, *, failover: bool = False
) -> None:
    """Work whenever elected, until cancelled; a lost connection is an election anew, not an error.

    Whatever else it is that ends the work, too: asyncpg raises more than its documented errors where the server ends a
    connection in the middle of a transaction, and background work that ended in silence would not be missed for days.
    With `failover` the elected one continues the log where a standby was promoted.
    """
    outage = Outage(log, f"{name}: interrupted")
    while True:
        try:
            own = own_or_continued if failover else require_own
            await _serve(url, lock, election_ms, work, outage, own, role(name))
        except Exception as error:
            outage.fails(error)
        await asyncio.sleep(election_ms / 1000)


async def _serve(
    url: str,
    lock: int,
    election_ms: int,
    work: ElectedWork,
    outage: Outage,
    own: Callable[[Any], Awaitable[Epoch]],
    held: Role,
) -> None:
    connection = await connect(url)
    try:
        while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", lock):  # noqa: ASYNC110 - polls
            await asyncio.sleep(election_ms / 1000)
        await own(connection)
        steady = asyncio.get_running_loop().call_later(STEADY_S, outage.ends)
        held.held = True
        try:
            await work(connection)
        finally:
            steady.cancel()
    finally:
        held.held = False
        await close(connection)
