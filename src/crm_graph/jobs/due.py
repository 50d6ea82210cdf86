"""Due work: every process takes timers that are due, and does each in a transaction of its own.

There is no election. Workspaces take turns, so that one with a hundred thousand timers keeps no other waiting. Times
are compared by the database's clock and waited for by a clock that does not jump.

Decided in D-jobs-02 (ARCHITECTURE.md).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

import asyncpg

from crm_graph.db.outages import Outage, is_away
from crm_graph.db.pool import Database
from crm_graph.db.session import Session
from crm_graph.identity.viewer import NOBODY
from crm_graph.jobs.timers import Due, Timers, due_workspaces, next_due_in, put_off, take_due, walk_workspaces
from crm_graph.kernel import spans
from crm_graph.kernel.errors import OperatorError, Refused
from crm_graph.kernel.settings import Settings
from crm_graph.kernel.spans import SpanKind

log = logging.getLogger(__name__)

Handler = Callable[[Session, Due], Awaitable[None]]
"""Does the work of a timer in the session's transaction, which also removes the timer. It may set it anew."""
GAVE_WAY = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.SerializationError)
"""Somebody is at the record: no failure, and soon tried again."""


@dataclass(slots=True)
class DueOutcomes:
    """What a process counts of timers, by kind: what was done, what failed, and what will not be tried again."""

    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    given_up: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class DueWork:
    """One a process. `handlers` are by kind; a timer of a kind that this version does not know is left to others."""

    database: Database
    settings: Settings
    handlers: Mapping[str, Handler]
    outcomes: DueOutcomes = field(default_factory=DueOutcomes)
    _after: str = NOBODY
    """The workspace up to which they have been walked."""

    async def run(self) -> None:
        """Work until cancelled: what runs then is rolled back. A database that is gone delays work and ends nothing."""
        outage = Outage(log, "timers: what is due cannot be read")
        longest_s = self.settings.timer_poll_ms / 1000
        while True:
            try:
                pause_s = 0.0 if await self.turn() else await self._pause_s(longest_s)
                outage.ends()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, OperatorError) as error:
                outage.fails(error)
                pause_s = longest_s
            await asyncio.sleep(pause_s)

    async def _pause_s(self, longest_s: float) -> float:
        """Return how long nothing is due; of what is due and another process is at, a tenth of the longest."""
        seconds = await next_due_in(self.database.primary_reader())
        return longest_s if seconds is None else min(longest_s, max(longest_s / 10, seconds))

    async def turn(self) -> int:
        """Do what is due, up to a batch, workspace after workspace; return how many timers were looked after. Raises
        what says that the database is away."""
        waiting, left = deque(await self._workspaces()), self.settings.timer_batch_size
        handled = 0

        async def lane() -> None:
            nonlocal left, handled
            while waiting and left > 0:
                left -= 1
                workspace_id = waiting[0]
                waiting.rotate(-1)
                if await self._one(workspace_id):
                    handled += 1
                else:
                    left += 1
                    if workspace_id in waiting:  # else the other lane has found it empty
                        waiting.remove(workspace_id)

        lanes = [lane() for _ in range(self.settings.timer_concurrency)]
        for outcome in await asyncio.gather(*lanes, return_exceptions=True):
            if isinstance(outcome, BaseException):
                raise outcome
        return handled

    async def _workspaces(self) -> list[str]:
        """Return the workspaces whose timers are due. Where more are due than a batch, the oldest could all be one
        workspace's: then the others are asked too, so many of them at a time."""
        limit, reader = self.settings.timer_batch_size, self.database.primary_reader()
        oldest = await due_workspaces(reader, tuple(self.handlers), limit)
        others: list[str] = []
        if len(oldest) == limit:
            others, self._after = await walk_workspaces(reader, self._after, limit)
        return list(dict.fromkeys((*others, *oldest)))

    async def _one(self, workspace_id: str) -> bool:
        """Take a timer and do its work; return whether there was one. What fails is put off in the same transaction, so
        that nobody takes it before."""
        async with self.database.transaction() as session:
            due = await take_due(session, workspace_id, tuple(self.handlers), self.settings.timer_lock_ms)
            if due is None:
                return False
            counter = self.outcomes.done
            try:
                async with session.savepoint():
                    await self._handle(session, due)
            except GAVE_WAY:
                session.finishing.clear()
                await put_off(session, due, timedelta(milliseconds=self.settings.timer_poll_ms), due.attempts, None)
                return True
            except Exception as error:
                if is_away(error):
                    raise
                session.finishing.clear()
                counter = self.outcomes.failed
                await self._failed(session, due, error)
        counter[due.kind] += 1
        return True

    async def _handle(self, session: Session, due: Due) -> None:
        with spans.span(f"timer {due.kind}", SpanKind.CONSUMER, {"crm_graph.attempts": due.attempts}):
            await Timers(session, due.workspace_id).clear(due.key)  # before the handler, which may set it anew
            await self.handlers[due.kind](session, due)
            await session.finish()
            session.finishing.clear()

    async def _failed(self, session: Session, due: Due, error: Exception) -> None:
        """Try again later, and at some time no more. What is given up stays in the table, for the operator."""
        attempts = due.attempts + 1
        gives_up = attempts >= self.settings.timer_max_attempts
        then = "is given up" if gives_up else "is tried again"
        log.warning("timers: %s failed %d times and %s", due.kind, attempts, then, exc_info=error)
        longest = min(self.settings.timer_backoff_ms * 2 ** min(due.attempts, 30), self.settings.timer_backoff_max_ms)
        delay = timedelta(milliseconds=longest * random.uniform(0.5, 1))
        name = f"{type(error).__name__} {error.code}" if isinstance(error, Refused) else type(error).__name__
        await put_off(session, due, delay, attempts, name, gives_up=gives_up)
        self.outcomes.given_up[due.kind] += gives_up
