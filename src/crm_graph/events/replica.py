"""The replica: whether it is there, how far it has come, and whether it may answer somebody.

A replica shows what was. So no right is read there: a viewer is confirmed on the primary before the replica is asked.
And nobody misses there what they wrote themselves, through whichever process: whoever has an event in the log that the
replica may not have yet is answered by the primary. What is left is that others' changes are seen late, by no more than
`CRM_REPLICA_MAX_LAG_MS`: a replica that is further behind is not used.

Decided in D-db-06 (ARCHITECTURE.md).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from crm_graph.db.lending import Pool, Reader
from crm_graph.db.outages import kind_of
from crm_graph.db.pool import Database
from crm_graph.db.session import ReadSession
from crm_graph.db.statements import Statement
from crm_graph.events.log import end
from crm_graph.kernel.beside import beside
from crm_graph.kernel.cursor import LogCursor

log = logging.getLogger(__name__)

MAX_SAMPLES = 1_000
_WRITTEN = Statement("SELECT (pg_current_wal_lsn() - '0/0')::bigint", (), {})
_REPLAYED = Statement(
    "SELECT CASE WHEN pg_is_in_recovery() THEN (pg_last_wal_replay_lsn() - '0/0')::bigint END", (), {}
)
_AHEAD = Statement(
    "SELECT 1 FROM event WHERE workspace_id = $1 AND xid > $2::text::xid8 AND actor = $3 LIMIT 1",
    ("workspace_id", "xid", "member_id"),
    {},
)


class Replica:
    """What a process knows of the replica. Without one, `is_usable` never holds."""

    def __init__(self, database: Database, max_lag_ms: int, poll_ms: int) -> None:
        self._database = database
        self._max_lag_s = max_lag_ms / 1000
        self._poll_s = poll_ms / 1000
        self._written: deque[tuple[float, int]] = deque(maxlen=MAX_SAMPLES)
        """When the primary's log was how long, in the order of time."""
        self._position = LogCursor(0, 0)
        """What lies behind it in the event log, the replica may not have."""
        self._current_at: float | None = None
        """The replica has all that the primary had then; None while it is away."""
        self._left_at: float | None = None
        """Since when it is not used, where that was told."""

    @property
    def pool(self) -> Pool:
        """The replica's connections; there are some where it is usable."""
        assert self._database.replica is not None
        return self._database.replica

    @property
    def lag_s(self) -> float | None:
        """How far it is behind, at most; None while it is away, and where there is none."""
        return None if self._current_at is None else time.monotonic() - self._current_at

    @property
    def is_usable(self) -> bool:
        """Whether it is there and not too far behind; one that was, is taken up again when it is half as far."""
        lag_s, most_s = self.lag_s, self._max_lag_s if self._left_at is None else self._max_lag_s / 2
        return lag_s is not None and lag_s <= most_s

    async def lacks(self, session: ReadSession, workspace_id: str, member_id: str) -> bool:
        """Return whether a member has written what the replica may not have yet: asked on the primary."""
        values = {"workspace_id": workspace_id, "xid": str(self._position.xid), "member_id": member_id}
        return bool(await session.fetch(_AHEAD, values))

    def fails(self, error: BaseException) -> None:
        """Use it no more until it answers again."""
        self._current_at = None
        self._leave(f"{kind_of(error)} ({type(error).__name__})")

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Keep looking, as long as the block lasts."""
        if self._database.replica is None:
            yield
            return
        async with beside(self._watch()):
            yield

    async def _watch(self) -> None:
        while True:
            try:
                (written,) = await self._database.primary_reader().fetch(_WRITTEN, {})
            except Exception as error:  # others tell of the primary; nobody is confirmed there meanwhile
                log.debug("the primary does not say how far it is: %s", type(error).__name__)
            else:
                self._written.append((time.monotonic(), written[0]))
                await self._look()
            await asyncio.sleep(self._poll_s)

    async def _look(self) -> None:
        reader = ReadSession(Reader(self.pool, self._max_lag_s))
        try:
            position = await end(reader)
            (replayed,) = await reader.fetch(_REPLAYED, {})
        except Exception as error:
            self.fails(error)
            return
        self._position = position
        self._current_at = self._time_of(replayed[0])
        if self.is_usable:
            self._take_up()
        else:
            self._leave(f"it is more than {self._max_lag_s:g} s behind")

    def _time_of(self, replayed: int | None) -> float:
        """Return when the primary was as far as the replica is now; one that is no standby is always there."""
        at, newest = float("-inf"), self._written[-1][0]
        if replayed is None:
            return newest
        while self._written and self._written[0][1] <= replayed:
            at = self._written.popleft()[0]
        if at > float("-inf"):
            self._written.appendleft((at, replayed))
        return at

    def _leave(self, why: str) -> None:
        if self._left_at is None:
            self._left_at = time.monotonic()
            log.warning("the replica is not used: %s; queries go to the primary", why)

    def _take_up(self) -> None:
        if self._left_at is not None:
            log.warning("the replica is used again after %.1f s", time.monotonic() - self._left_at)
            self._left_at = None
