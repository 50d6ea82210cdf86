"""What workers do with jobs: take one up, tell how far it is, and end it, each in one transaction with its entry."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from crm_graph.db.outages import OUTAGES
from crm_graph.db.rows import load
from crm_graph.db.session import Session
from crm_graph.db.statements import Statement
from crm_graph.domains.platform.jobs.events import (
    JobFailed,
    JobPostponed,
    JobProgressed,
    JobStarted,
    JobSucceeded,
)
from crm_graph.domains.platform.jobs.model import Job, JobStatus
from crm_graph.domains.platform.jobs.operations import end
from crm_graph.domains.platform.jobs.policy import JOB
from crm_graph.events.effects import Changes
from crm_graph.identity.services import Services
from crm_graph.identity.viewer import Viewer
from crm_graph.jobs.queue import Taken, put_back, settle
from crm_graph.jobs.worker import Outcomes, Task
from crm_graph.kernel.errors import CrmError, Refused, RequestError
from crm_graph.permissions.access import Access
from crm_graph.work import Work

log = logging.getLogger(__name__)

PROGRESS_S = 1.0
_LOCK = Statement("SELECT * FROM job WHERE workspace_id = $1 AND id = $2 FOR UPDATE", ("workspace_id", "id"), {})
_ADD_PART = Statement(
    "INSERT INTO job_part (workspace_id, job_id, run, number, content) VALUES ($1, $2, $3, $4, $5)",
    ("workspace_id", "job_id", "run", "number", "content"),
    {},
)
_ADD_SIGHT = Statement(
    "INSERT INTO job_sight (workspace_id, job_id, run, sight) VALUES ($1, $2, $3, $4)",
    ("workspace_id", "job_id", "run", "sight"),
    {},
)
_KEEP_SIGHTS = Statement(
    "DELETE FROM job_sight WHERE workspace_id = $1 AND job_id = $2 AND run <= $3 AND run <> $4",
    ("workspace_id", "job_id", "run", "kept"),
    {},
)
_KEEP_PARTS = Statement(
    "DELETE FROM job_part WHERE workspace_id = $1 AND job_id = $2 AND run <= $3 AND run <> $4",
    ("workspace_id", "job_id", "run", "kept"),
    {},
)
NO_RUN = -1


class Given(CrmError):
    """Raised by a handler where no other attempt would help: the message is for the member."""


class Superseded(CrmError):
    """Raised at a step of a job that was called off, or that another worker has taken up."""


@dataclass(slots=True)
class Run:
    """One run of a job, as its handler sees it."""

    runner: Runner
    entry: Taken
    job: Job
    """As it was when this run started."""
    number: int
    parts: int = 0
    _told: float = 0.0

    async def step(self, done: int, total: int | None = None, message: str | None = None) -> None:
        """Tell how far the job is, at most once a second. Raises Superseded where it is not to go on: a handler calls
        this often, and ends there."""
        now = time.monotonic()
        if now - self._told < PROGRESS_S:
            return
        self._told = now
        values = {"done": done, "total": self.job.total if total is None else total, "message": message}
        await self.runner.change(self, JobProgressed(), values)

    async def add_part(self, content: bytes) -> None:
        """Store the next piece of the job's file: it is seen once the job is done. Raises Given where the workspace is
        full: until it is measured, its files are known to nobody else."""
        try:
            self.runner.services.quotas.store(self.job.workspace_id, len(content))
        except Refused as refused:
            raise Given(refused.message) from None
        async with self.runner.services.database.transaction() as session:
            await session.execute(_ADD_PART, {**self.key, "run": self.number, "number": self.parts, "content": content})
        self.parts += 1

    async def add_sight(self, sight: Mapping[str, Any]) -> None:
        """Store what whoever the job reads for can see: who sees less by then does not get its file."""
        async with self.runner.services.database.transaction() as session:
            await session.execute(_ADD_SIGHT, {**self.key, "run": self.number, "sight": sight})

    @property
    def key(self) -> Mapping[str, Any]:
        """What its parts are found by."""
        return {"workspace_id": self.job.workspace_id, "job_id": self.job.id}


Handler = Callable[[Run], Awaitable[dict[str, Any]]]
"""Does the work of one kind of job and returns its result. It may be run again, in part or in whole."""


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs jobs by the handlers of their kinds."""

    services: Services
    handlers: Mapping[str, Handler]
    outcomes: Outcomes = field(default_factory=Outcomes)

    def tasks(self) -> Mapping[str, Task]:
        """Return the tasks for a worker."""
        return {kind: partial(self._run, handler) for kind, handler in self.handlers.items()}

    async def _run(self, handler: Handler, taken: Taken) -> None:
        run = await self._start(taken)
        if run is None:
            return
        try:
            await self._done(run, await handler(run))
        except Superseded:
            await self._forget_parts(run)
        except asyncio.CancelledError:  # the worker stops: the job is as if it had not been taken
            with suppress(Superseded):
                await self._put_back(run, timedelta(0), "Its worker stopped; another one goes on.", attempts=-1)
            raise
        except Exception as error:
            with suppress(Superseded):
                await self._failed(run, error)

    async def _start(self, taken: Taken) -> Run | None:
        """Mark a job as running; None where there is nothing to run."""
        async with self.services.database.transaction() as session:
            job = await _locked(session, taken.payload["workspace_id"], taken.payload["job_id"])
            if job is None or job.queue_id != taken.id:
                await settle(session, taken.id, "canceled")
                return None
            work = self._work(session, job)
            most = self.services.settings.job_max_attempts
            if job.attempts >= most:  # it was running and nobody said how it ended, each time
                job.error = f"Its worker died {job.attempts} times while it ran."
                end(job, work, JobStatus.FAILED)
                await settle(session, taken.id, "exception")
                await work.save(job, JOB, JobFailed())
                return None
            job.status, job.started_at, job.message = JobStatus.RUNNING.value, work.now, None
            job.attempts, job.run = job.attempts + 1, job.run + 1
            await work.save(job, JOB, JobStarted())
            return Run(self, taken, job, job.run)

    async def change(
        self,
        run: Run,
        event: Changes,
        values: Mapping[str, Any],
        then: Callable[[Session, Job, Work], Awaitable[None]] | None = None,
    ) -> None:
        """Change the job of a run. Raises Superseded where it is not this run's any more."""
        async with self.services.database.transaction() as session:
            job = await _locked(session, run.job.workspace_id, run.job.id)
            if job is None or job.status != JobStatus.RUNNING.value or job.run != run.number:
                raise Superseded
            work = self._work(session, job)
            for name, value in values.items():
                setattr(job, name, value)
            if then is not None:
                await then(session, job, work)
            await work.save(job, JOB, event)

    async def _done(self, run: Run, result: dict[str, Any]) -> None:
        async def then(session: Session, job: Job, work: Work) -> None:
            end(job, work, JobStatus.DONE)
            await _keep_parts(session, run, run.number)
            await settle(session, run.entry.id)

        done = result.pop("rows", run.job.done)
        values = {"result": result, "done": done, "total": done, "message": None, "error": None}
        await self.change(run, JobSucceeded(), values, then)
        self.outcomes.done += 1

    async def _failed(self, run: Run, error: Exception) -> None:
        """Try again later, or give up."""
        if isinstance(error, Given | RequestError):
            text, final = str(error), True
        else:
            if not OUTAGES.tell(error):
                log.error("jobs: %s %s failed", run.job.kind, run.job.id, exc_info=error)
            text, final = f"It failed unexpectedly ({type(error).__name__}); the log of the worker says more.", False
        settings = self.services.settings
        if not final and run.job.attempts < settings.job_max_attempts:
            longest = min(settings.job_backoff_ms * 2 ** (run.job.attempts - 1), settings.job_backoff_max_ms)
            delay = timedelta(milliseconds=random.uniform(longest / 2, longest))
            await self._put_back(run, delay, "It failed and is tried again.", error=text)
            return

        async def then(session: Session, job: Job, work: Work) -> None:
            end(job, work, JobStatus.FAILED)
            await _keep_parts(session, run)
            await settle(session, run.entry.id, "exception")

        await self.change(run, JobFailed(), {"error": text}, then)
        self.outcomes.failed += 1

    async def _put_back(
        self, run: Run, delay: timedelta, message: str, *, attempts: int = 0, error: str | None = None
    ) -> None:
        async def again(session: Session, _: Job, __: Work) -> None:
            await _keep_parts(session, run)
            await put_back(session, run.entry.id, delay)

        values = {"status": JobStatus.QUEUED.value, "message": message, "attempts": run.job.attempts + attempts}
        await self.change(run, JobPostponed(), {**values, "error": error}, again)

    async def _forget_parts(self, run: Run) -> None:
        async with self.services.database.transaction() as session:
            await _keep_parts(session, run)

    def _work(self, session: Session, job: Job) -> Work:
        """Return a unit of work in the name of whom a job is for; only what nobody needs a right for is done in it."""
        now = self.services.clock()
        viewer = Viewer(job.workspace_id, job.created_by_id, (), ())
        return Work(session, viewer, Access({}, ""), lambda: now)


async def _keep_parts(session: Session, run: Run, kept: int = NO_RUN) -> None:
    """Delete what runs up to this one wrote, but for that of the run to be kept."""
    for statement in (_KEEP_PARTS, _KEEP_SIGHTS):
        await session.execute(statement, {**run.key, "run": run.number, "kept": kept})


async def _locked(session: Session, workspace_id: str, id_: str) -> Job | None:
    row = await session.fetch_row(_LOCK, {"workspace_id": workspace_id, "id": id_})
    return None if row is None else load(Job, row)
