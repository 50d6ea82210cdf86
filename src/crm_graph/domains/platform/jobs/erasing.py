"""What exports have of a person who is erased: their files go, and those under way are called off."""

from __future__ import annotations

from crm_graph.db.rows import load
from crm_graph.db.statements import Statement
from crm_graph.domains.platform.jobs.events import JobCancelled, JobDeleted
from crm_graph.domains.platform.jobs.model import Job, JobStatus
from crm_graph.domains.platform.jobs.operations import ENDED, EXPORT, end
from crm_graph.domains.platform.jobs.policy import JOB
from crm_graph.jobs.queue import settle
from crm_graph.work import Work

_WITH_FILES = Statement(
    "SELECT * FROM job WHERE workspace_id = $1 AND kind = $2 AND status = ANY($3) ORDER BY id FOR UPDATE",
    ("workspace_id", "kind", "statuses"),
    {},
)
_PARTS = Statement("DELETE FROM job_part WHERE workspace_id = $1", ("workspace_id",), {})


async def forget_files(work: Work) -> None:
    """Remove the files of a workspace's exports, whatever is in them: rows name others by what people know them by. One
    that is being written shows rows as they were before, so its job is called off; it can be queued again."""
    of = {"workspace_id": work.viewer.workspace_id}
    statuses = [JobStatus.QUEUED.value, JobStatus.RUNNING.value, JobStatus.DONE.value]
    rows = await work.session.fetch(_WITH_FILES, {**of, "kind": EXPORT, "statuses": statuses})
    for job in [load(Job, row) for row in rows]:
        if job.status in ENDED:
            await work.delete(job, JOB, JobDeleted())
            continue
        if job.queue_id is not None:
            await settle(work.session, job.queue_id, "canceled")
        end(job, work, JobStatus.CANCELLED)
        await work.save(job, JOB, JobCancelled())
    await work.session.execute(_PARTS, of)
