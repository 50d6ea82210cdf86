"""The worker takes entries, runs their tasks, renews its lease, and gives entries back when it is to stop."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import asyncpg

from crm_graph.db.outages import OUTAGES, Outage
from crm_graph.db.pool import Database
from crm_graph.jobs.queue import Schedule, Taken, beat, due, enqueue, know, put_back, settle, take, waiting
from crm_graph.kernel import spans
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.settings import Settings
from crm_graph.kernel.spans import SpanKind

log = logging.getLogger(__name__)

Task = Callable[[Taken], Awaitable[None]]
"""Does the work of an entry and settles it in its own last transaction: taken again after a kill, it has one effect."""
LOST = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OperatorError)
CHORE_DELAY = timedelta(minutes=1)
MAX_CHORE_ATTEMPTS = 5


@dataclass(slots=True)
class Outcomes:
    """What a process counts of jobs. `queued` is how many were due in the whole queue when it last looked."""

    queued: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0


@dataclass(slots=True)
class Worker:
    """One a process. `tasks` are run under their entry's lease; `chores` too, but these the worker settles itself."""

    database: Database
    settings: Settings
    tasks: Mapping[str, Task]
    chores: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    schedules: Sequence[Schedule] = ()
    outcomes: Outcomes = field(default_factory=Outcomes)
    id: UUID = field(default_factory=uuid4)
    _running: dict[int, asyncio.Task[None]] = field(default_factory=dict)

    async def run(self) -> None:
        """Work until cancelled; then what runs is cancelled too, and gives its place back. A database that is gone for
        a while delays work and ends nothing."""
        pause_s = self.settings.job_poll_ms / 1000
        beating = asyncio.create_task(self._beat())
        known = False
        outage = Outage(log, "jobs: the queue cannot be read")
        try:
            while True:
                try:
                    if not known:
                        async with self.database.transaction() as session:
                            await know(session, self.schedules, time.time())
                        known = True
                    await self._tick()
                    await self._fill()
                    outage.ends()
                except LOST as error:
                    outage.fails(error)
                await asyncio.sleep(pause_s)
        finally:
            running = list(self._running.values())
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            beating.cancel()
            with suppress(asyncio.CancelledError):
                await beating

    async def _tick(self) -> None:
        """Queue what is due. In one transaction: a worker that dies here has taken no tick away."""
        async with self.database.transaction() as session:
            for kind in await due(session, self.schedules, time.time()):
                await enqueue(session, kind, {}, unique=kind)

    async def _fill(self) -> None:
        """Take as much as there is room for."""
        async with self.database.transaction() as session:
            self.outcomes.queued = await waiting(session, [*self.tasks, *self.chores])
        room = self.settings.job_concurrency - len(self._running)
        if room <= 0:
            return
        lease = timedelta(seconds=self.settings.job_lease_seconds)
        async with self.database.transaction() as session:
            taken = await take(session, self.id, [*self.tasks, *self.chores], room, lease)
        for each in taken:
            if each.id not in self._running:  # a late sign of life lets us take what runs here
                task = asyncio.create_task(self._one(each))
                self._running[each.id] = task
                self.outcomes.running = len(self._running)
                task.add_done_callback(partial(self._ended, each.id))

    def _ended(self, id_: int, _: asyncio.Task[None]) -> None:
        self._running.pop(id_, None)
        self.outcomes.running = len(self._running)

    async def _one(self, taken: Taken) -> None:
        try:
            with spans.span(f"job {taken.kind}", SpanKind.CONSUMER, {"crm_graph.attempts": taken.attempts}):
                if taken.kind in self.tasks:
                    await self.tasks[taken.kind](taken)
                else:
                    await self._chore(taken)
        except LOST as error:  # its lease ends, and it is taken again
            if not OUTAGES.tell(error):
                log.warning("jobs: %s was left (%s)", taken.kind, type(error).__name__)
        except Exception:
            log.exception("jobs: %s failed beyond its own handling", taken.kind)

    async def _chore(self, taken: Taken) -> None:
        again: timedelta | None = None
        try:
            await self.chores[taken.kind]()
        except asyncio.CancelledError:
            async with self.database.transaction() as session:
                await put_back(session, taken.id, timedelta(0))
            raise
        except Exception as error:
            if not OUTAGES.tell(error):
                log.exception("jobs: the chore %s failed", taken.kind)
            if taken.attempts + 1 < MAX_CHORE_ATTEMPTS:
                again = CHORE_DELAY
        async with self.database.transaction() as session:
            if again is None:
                await settle(session, taken.id)
            else:
                await put_back(session, taken.id, again)

    async def _beat(self) -> None:
        """Say three times a lease what is being worked on."""
        while True:
            await asyncio.sleep(self.settings.job_lease_seconds / 3)
            if self._running:
                try:
                    async with self.database.transaction() as session:
                        await beat(session, list(self._running))
                except LOST as error:
                    if not OUTAGES.tell(error):
                        log.warning("jobs: no sign of life (%s)", type(error).__name__)
