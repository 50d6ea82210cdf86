"""What members do with jobs. What workers do with them is in `running`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm_graph.db.statements import Statement
from crm_graph.domains.platform.jobs.events import JobCancelled, JobCreated, JobRequeued
from crm_graph.domains.platform.jobs.model import Job, JobStatus
from crm_graph.domains.platform.jobs.policy import JOB
from crm_graph.domains.workspace.members.policy import MEMBER
from crm_graph.jobs.queue import enqueue, settle
from crm_graph.kernel.errors import Refused
from crm_graph.work import CREATE, UPDATE, Work

EXPORT = "exportRecords"
"""The kind of the jobs that write files of records."""
ENDED = frozenset({JobStatus.DONE.value, JobStatus.FAILED.value, JobStatus.CANCELLED.value})
_OPEN = Statement(
    "SELECT count(*) FROM job WHERE workspace_id = $1 AND created_by_id = $2 AND status IN ('QUEUED', 'RUNNING')",
    ("workspace_id", "member_id"),
    {},
)


async def create_job(work: Work, kind: str, arguments: Mapping[str, Any], limit: int) -> str:
    """Queue work, in this transaction. Raises Refused INVALID where the member has `limit` jobs under way."""
    work.may(JOB, CREATE)
    await _check_room(work, limit)
    viewer = work.viewer
    job: Job = Job.make(
        kind=kind,
        status=JobStatus.QUEUED.value,
        done=0,
        attempts=0,
        run=0,
        created_by_id=viewer.member_id,
        client_id=viewer.client_id,
        arguments=dict(arguments),
    )
    job.queue_id = await _enqueue(work, job)
    await work.create(job, JOB, JobCreated())
    return job.id


async def cancel_job(work: Work, id_: str, if_version: int | None) -> str:
    """Call a job off. Its worker, if one has it, ends at its next step and changes nothing more."""
    job = await work.get(Job, JOB, id_, UPDATE, if_version)
    if job.status in ENDED:
        raise Refused("ILLEGAL_TRANSITION", f"This job has ended already: it is {job.status}.", ("id",))
    if job.queue_id is not None:
        await settle(work.session, job.queue_id, "canceled")
    end(job, work, JobStatus.CANCELLED)
    await work.save(job, JOB, JobCancelled())
    return job.id


async def requeue_job(work: Work, id_: str, if_version: int | None, limit: int) -> str:
    """Have a job done again that failed or was called off. It becomes the job of who asks for that: it runs with their
    rights, by the credential that they ask with, and with those of nobody before. Raises Refused as `create_job` does.
    """
    await _check_room(work, limit)
    job = await work.get(Job, JOB, id_, UPDATE, if_version)
    if job.status not in {JobStatus.FAILED.value, JobStatus.CANCELLED.value}:
        message = f"Only a job that FAILED or was CANCELLED can be queued again; this one is {job.status}."
        raise Refused("ILLEGAL_TRANSITION", message, ("id",))
    job.status, job.attempts, job.done, job.total = JobStatus.QUEUED.value, 0, 0, None
    job.created_by_id, job.client_id = work.viewer.member_id, work.viewer.client_id
    job.error = job.message = job.started_at = job.ended_at = None
    job.queue_id = await _enqueue(work, job)
    await work.save(job, JOB, JobRequeued())
    return job.id


def end(job: Job, work: Work, status: JobStatus) -> None:
    """Let a job have ended; saving it, and settling its entry, is its caller's."""
    job.status, job.ended_at, job.queue_id = status.value, work.now, None


async def _check_room(work: Work, limit: int) -> None:
    """Raise Refused INVALID where the member has `limit` jobs under way. The member's row is held, so that two who ask
    at once do not both find room."""
    await work.alone(MEMBER, work.viewer.member_id)
    binds = {"workspace_id": work.viewer.workspace_id, "member_id": work.viewer.member_id}
    (row,) = await work.session.fetch(_OPEN, binds)
    if row[0] >= limit:
        raise Refused("INVALID", f"You have {row[0]} jobs under way, the most there may be: wait, or cancel one.")


async def _enqueue(work: Work, job: Job) -> int | None:
    return await enqueue(work.session, job.kind, {"workspace_id": work.viewer.workspace_id, "job_id": job.id})
