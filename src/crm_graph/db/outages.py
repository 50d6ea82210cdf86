"""Outages: what says that the database is away, and that being told once a process, at its start and at its end.

A line per request, or per round of each background task, would say no more than the first, and fill a disk. So whoever
meets an error that is the database's tells it here. The first opens an outage; the process then looks by itself, every
second, whether the database takes connections and writes again, and says how long it was away.

Decided in D-db-17 (ARCHITECTURE.md).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg

from crm_graph.db.connecting import LOST
from crm_graph.kernel.beside import beside
from crm_graph.kernel.errors import InDoubt, OperatorError, Unreachable

log = logging.getLogger(__name__)

ENDED = (
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.DatabaseDroppedError,
    asyncpg.IdleSessionTimeoutError,
)
"""What a server says when it ends a connection, or does not take one now."""
AWAY = (
    *LOST,
    *ENDED,
    Unreachable,
    asyncpg.InsufficientResourcesError,  # of which are: no connection is free, the disk is full, out of memory
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.PostgresIOError,
)
"""What says that the database is away, or lacks what it needs, and nothing of what was asked for: it may be sent again.
Of a cluster it can be the worker alone on which the workspace lies."""
LOST_IN_TRANSACTION = "failure on connection marked as essential"
"""What Citus says, by no class of its own, where a worker is lost before a transaction commits: none of it is done."""
PROBE_S = 1.0
QUIET_S = 3.0
"""An outage is over when the database works and nobody has met an error of it for so long."""
FORGOTTEN_S = 60.0
"""Of an outage that nobody watches: after so long without an error, the next one is another outage's."""
LOST_KIND, SILENT_KIND = "it cannot be reached", "it does not answer in time"
_KINDS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (asyncpg.TooManyConnectionsError, "no connection is free"),
    (asyncpg.DiskFullError, "the disk is full"),
    (asyncpg.OutOfMemoryError, "out of memory"),
    (asyncpg.InsufficientResourcesError, "it lacks resources"),
    (asyncpg.ReadOnlySQLTransactionError, "it takes no writes"),
    (asyncpg.PostgresIOError, "its disk fails"),
    (ENDED, "it stops or starts"),
    (TimeoutError, SILENT_KIND),
    (LOST, LOST_KIND),
    (asyncpg.PostgresError, "it lets nobody in"),
)


def is_away(error: BaseException | None) -> bool:
    """Return whether an error says that the database is away. Values that asyncpg cannot send are our fault."""
    if isinstance(error, asyncpg.InternalServerError):
        return str(error).startswith(LOST_IN_TRANSACTION)
    return isinstance(error, AWAY) and not isinstance(error, ValueError | InDoubt)


def kind_of(error: BaseException) -> str:
    """Return in words what an error of AWAY says of the database."""
    if isinstance(error, Unreachable) and error.__cause__ is not None:
        error = error.__cause__
    return next((kind for type_, kind in _KINDS if isinstance(error, type_)), LOST_KIND)


def _of_a_worker(error: BaseException) -> bool:
    """Return whether the coordinator of a cluster tells this of a worker, over a connection that goes on: `db/nodes.py`
    says which, and when it is back. A pooler that has no server says the like, and ends the connection: FATAL."""
    if not isinstance(error, asyncpg.PostgresConnectionError):
        return False
    return (getattr(error, "severity_en", None) or getattr(error, "severity", None)) == "ERROR"


class Outages:
    """The outage of the database as a process meets it: one at a time, whatever its errors are."""

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        """How often it failed since the process started, by what was said."""
        self._before: Counter[str] = Counter()
        self._began: float | None = None
        self._last = 0.0
        self._silent = False
        self._watching: set[asyncio.Event] = set()

    @property
    def is_open(self) -> bool:
        """Whether the database is away, as far as is known."""
        return self._began is not None

    @property
    def is_silent(self) -> bool:
        """Whether the database is away and does not even refuse: nobody who waits for it is answered. Only where its
        end is looked for."""
        return self._began is not None and self._silent and bool(self._watching)

    def tell(self, error: BaseException) -> bool:
        """Count an error of the database, and say it where it is the first of an outage; return whether it is one: then
        whoever met it has nothing to add."""
        if not (is_away(error) or isinstance(error, InDoubt)):
            return False
        kind, now = kind_of(error), time.monotonic()
        if _of_a_worker(error):
            self.kinds["a worker is down"] += 1
            return True
        forgotten = not self._watching and now - self._last > FORGOTTEN_S
        if self._began is None or forgotten:
            self._began, self._before, self._silent = now, self.kinds.copy(), False
            log.warning("the database is away: %s; requests are UNAVAILABLE, background work waits", said(error))
        self.kinds[kind] += 1
        self._last = now
        self._silent |= kind == SILENT_KIND  # until a probe says otherwise: that a connection was cut can be our doing
        for wake in self._watching:
            wake.set()
        return True

    def _end(self) -> None:
        if self._began is None:  # another one who watches was faster
            return
        seconds = self._last - self._began
        self._began = None
        counts = ", ".join(f"{kind} {count:,}" for kind, count in (self.kinds - self._before).most_common())
        log.warning("the database is back after %.1f s; errors: %s", seconds, counts)

    @asynccontextmanager
    async def watched(self, probe: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """Look for the end of outages as long as the block lasts: `probe` raises while the database is away."""
        wake = asyncio.Event()
        self._watching.add(wake)
        try:
            async with beside(self._watch(wake, probe)):
                yield
        finally:
            self._watching.discard(wake)

    async def _watch(self, wake: asyncio.Event, probe: Callable[[], Awaitable[None]]) -> None:
        while True:
            await wake.wait()
            wake.clear()
            while self.is_open:
                await asyncio.sleep(PROBE_S)
                try:
                    await probe()
                except Exception as error:
                    log.debug("the database is still away: %s", type(error).__name__)
                    self._last, self._silent = time.monotonic(), kind_of(error) == SILENT_KIND
                    continue
                self._silent = False
                if time.monotonic() - self._last >= QUIET_S:
                    self._end()


OUTAGES = Outages()
"""The one of this process."""


class Outage:
    """A piece of background work that fails again and again: told once, and once that it works again. What is the
    database's is told as the outage of the process, and not for each piece of work."""

    def __init__(self, log: logging.Logger, what: str) -> None:
        self._log = log
        self._what = what
        self._told: set[type[BaseException]] = set()
        self._began = 0.0
        self._count = 0

    def fails(self, error: BaseException) -> None:
        """Count a failure; it is said where it is the first, and where it is another error than before."""
        if OUTAGES.tell(error):
            return
        if not self._count:
            self._began = time.monotonic()
        self._count += 1
        if type(error) not in self._told:
            self._told.add(type(error))
            self._log.warning("%s: %s; trying again", self._what, _named(error))

    def ends(self) -> None:
        """Say that it works again, where it did not."""
        if not self._count:
            return
        seconds, count = time.monotonic() - self._began, self._count
        self._told.clear()
        self._count = 0
        self._log.warning("%s: works again after %.0f s and %d failures", self._what, seconds, count)


def _named(error: BaseException) -> str:
    """Return what an operator is told of an error: ours say it, others may hold what is stored."""
    return f"{error.what} (fix: {error.fix})" if isinstance(error, OperatorError) else type(error).__name__


def said(error: BaseException) -> str:
    """Return in a line what an error of AWAY says of the database. It holds no values: no row was looked at."""
    if isinstance(error, asyncpg.InterfaceError | asyncpg.InternalClientError):  # asyncpg's inside says nothing here
        text = "a connection was lost"
    else:
        text = error.what if isinstance(error, Unreachable) else str(error)
    return f"{kind_of(error)} ({text.strip().partition(chr(10))[0] or type(error).__name__})"
