"""What is done once per tick: jobs that ended long ago are removed, with what they stored, and other leftovers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial

from crm_graph.db.rows import load
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.accounts.meter import forget_old
from crm_graph.domains.platform.jobs.events import JobDeleted
from crm_graph.domains.platform.jobs.model import Job
from crm_graph.domains.platform.jobs.policy import JOB
from crm_graph.idempotency.answers import forget_answers
from crm_graph.identity.services import Services
from crm_graph.identity.viewer import Viewer
from crm_graph.jobs.queue import Schedule, forget_log
from crm_graph.permissions.access import Access
from crm_graph.work import Work

PRUNE, CLEAN, FORGET, PURGE = "pruneJobs", "cleanAttempts", "forgetAnswers", "purgeBin"
SCHEDULES: Sequence[Schedule] = (
    Schedule(PRUNE, timedelta(hours=1)),
    Schedule(CLEAN, timedelta(minutes=10)),
    Schedule(FORGET, timedelta(minutes=10)),
    Schedule(PURGE, timedelta(hours=1)),
)
BATCH = 200
OLD = Statement(
    "SELECT workspace_id, array_agg(id) AS ids FROM (SELECT workspace_id, id FROM job WHERE ended_at < $1"
    " ORDER BY ended_at LIMIT $2) AS old GROUP BY workspace_id",
    ("before", "limit"),
    {},
)
_TAKE = Statement(
    "SELECT * FROM job WHERE workspace_id = $1 AND id = ANY($2::uuid[]) ORDER BY id FOR UPDATE SKIP LOCKED",
    ("workspace_id", "ids"),
    {},
)


def chores(services: Services, purge: Callable[[], Awaitable[None]]) -> Mapping[str, Callable[[], Awaitable[None]]]:
    """Return what is done at the ticks of `SCHEDULES`; `purge` empties the recycle bin of what is due."""
    return {
        PRUNE: partial(prune, services),
        CLEAN: partial(forget_old, services),
        FORGET: partial(forget_answers, services),
        PURGE: purge,
    }


async def _remove(services: Services, workspace_id: str, ids: Sequence[str]) -> int:
    """Remove jobs of a workspace that nobody else is removing; return how many."""
    async with services.database.transaction() as session:
        now = services.clock()
        old = await session.fetch(_TAKE, {"workspace_id": workspace_id, "ids": ids})
        for job in [load(Job, row) for row in old]:
            viewer = Viewer(job.workspace_id, job.created_by_id, (), ())
            await Work(session, viewer, Access({}, ""), lambda: now).delete(job, JOB, JobDeleted())
        return len(old)


async def prune(services: Services) -> None:
    """Remove the jobs of all workspaces that ended longer ago than they are kept, and the queue's own notes."""
    keep = timedelta(days=services.settings.job_keep_days)
    removed = BATCH
    while removed == BATCH:
        before = services.clock() - keep
        old = await services.database.primary_reader().fetch(OLD, {"before": before, "limit": BATCH})
        removed = sum([await _remove(services, row["workspace_id"], row["ids"]) for row in old])
    async with services.database.transaction() as session:
        await forget_log(session, keep)
