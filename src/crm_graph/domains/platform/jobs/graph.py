"""Jobs in the schema."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

import strawberry

from crm_graph.domains.platform.jobs import events, model, operations, policy
from crm_graph.domains.platform.jobs.erasing import forget_files
from crm_graph.domains.platform.jobs.exports import PREFIX, export_records
from crm_graph.domains.platform.jobs.model import JobStatus
from crm_graph.domains.platform.jobs.policy import JOB
from crm_graph.domains.workspace.members.graph import AS_IT_IS, THAT_MATCH, Member, MemberChange
from crm_graph.graph.context import Info
from crm_graph.graph.payloads import Payload, key_of, perform
from crm_graph.graph.records import roots
from crm_graph.graph.records.enums import describe
from crm_graph.graph.records.record import Node, by_key, column, record, to_one, watch
from crm_graph.graph.records.scalars import JSON
from crm_graph.graph.records.types import Connection
from crm_graph.graph.schema.build import Slice
from crm_graph.graph.writes import does
from crm_graph.permissions.grants import CREATE, UPDATE


class ExportFormat(Enum):
    """The forms of an export's file."""

    CSV = "csv"
    NDJSON = "ndjson"


describe(
    JobStatus,
    "How far a job is.",
    {
        "QUEUED": "The job waits for a worker, for the first time or after an attempt that failed.",
        "RUNNING": "A worker runs the job.",
        "DONE": "The job is done; `result` has what it made.",
        "FAILED": "The job was given up; `error` says why. It can be queued again.",
        "CANCELLED": "A member called the job off. It can be queued again.",
    },
)
describe(
    ExportFormat,
    "The form of an export's file.",
    {
        "CSV": "Comma-separated values with a line of headers, in UTF-8.",
        "NDJSON": "A JSON object a line.",
    },
)


@record(PREFIX, model.Job, policy.JOB)
class Job(Node):
    """Work that goes on behind a request: an export, say."""

    kind: str = column("What the job does: `exportRecords`.")
    status: JobStatus = column("How far the job is.")
    done: int = column("How much of the job is done; of an export, the number of rows.")
    total: int | None = column("How much there is to do in all, where that is known.")
    message: str | None = column("What the job does right now, or waits for, in words.")
    attempts: int = column("How often a worker took the job up since it was queued.")
    error: str | None = column("Why the last attempt failed, in words.")
    created_by: Member | None = to_one(
        "created_by_id", "The member who asked for the job last; the job runs under that member's permissions."
    )
    arguments: JSON = column("What was asked for: of an export, `type` and `format`.")
    result: JSON | None = column(
        "The result of the job. Of an export: `url`, where GET with a bearer token gets its file; `cursor`, a"
        " position of"
        " the log before the file's rows were read, to go on from with `after` of `changes` or of subscriptions;"
        " `bytes`; `withheld`. The file is for whoever may see by then all that it was made from."
    )
    started_at: datetime | None = column("When a worker last took it up.")
    ended_at: datetime | None = column("When it was done, given up or called off; some days later it is removed.")
    version: int = column("Counts the changes of this record; send it as `ifVersion` to refuse a lost update.")
    created_at: datetime = column("When it was queued.")
    updated_at: datetime = column("When the record last changed.")


class Queries:
    """Fields of Query."""

    job: Job | None = roots.one("A job by id.")
    jobs: Connection[Job] = roots.many("Jobs: one's own, and for administrators all.")


@strawberry.input(description="An export of all records of a type that you may see when it runs.")
class ExportRecordsInput:
    """See `exports.export_records`."""

    type: str = strawberry.field(description="The type of the records: `Customer`.")
    format: ExportFormat = strawberry.field(description="The form of the file.", default=ExportFormat.CSV)


@strawberry.input(description="A job to call off.")
class CancelJobInput:
    """See `operations.cancel_job`."""

    id: strawberry.ID = strawberry.field(description="The job.")
    if_version: int | None = strawberry.field(description="Refuse if the job is at another version.", default=None)


@strawberry.input(description="A job to queue again.")
class RequeueJobInput:
    """See `operations.requeue_job`."""

    id: strawberry.ID = strawberry.field(description="The job.")
    if_version: int | None = strawberry.field(description="Refuse if the job is at another version.", default=None)


@strawberry.type(description="A job, or why not.")
class JobPayload(Payload):
    """What mutations of jobs return."""

    job: Job | None = by_key("record_id", "The job; null when refused.")


class Mutations:
    """Fields of Mutation."""

    @strawberry.mutation(
        description="Queues an export; its job tells how far it is, and at the end where its file is.",
        metadata=does(JOB, CREATE),
    )
    async def export_records(self, info: Info, input: ExportRecordsInput) -> JobPayload:
        context = info.context
        limit = context.services.settings.max_jobs_per_member
        form = ExportFormat(input.format).value
        return await perform(
            info, JobPayload, lambda work: export_records(work, context.registry, input.type, form, limit)
        )

    @strawberry.mutation(
        description="Calls a job off. One that runs ends at its next step.", metadata=does(JOB, UPDATE)
    )
    async def cancel_job(self, info: Info, input: CancelJobInput) -> JobPayload:
        return await perform(
            info, JobPayload, lambda work: operations.cancel_job(work, key_of(Job, input.id), input.if_version)
        )

    @strawberry.mutation(
        description="Queues a job again that failed or was called off. It is yours then, and runs with your"
        " permissions.",
        metadata=does(JOB, UPDATE),
    )
    async def requeue_job(self, info: Info, input: RequeueJobInput) -> JobPayload:
        limit = info.context.services.settings.max_jobs_per_member
        return await perform(
            info, JobPayload, lambda work: operations.requeue_job(work, key_of(Job, input.id), input.if_version, limit)
        )


@strawberry.type(description="Something that happened to a job that you may see.")
class JobChange(MemberChange):
    """One event of the log with the current record."""

    job: Job | None = by_key("key", f"The job {AS_IT_IS}")


class Subscriptions:
    """Fields of Subscription."""

    job_changed: JobChange = watch(Job, f"Every change of the jobs {THAT_MATCH}")
    job_progress: JobChange = watch(Job, "Every change of one job: how far it is, and how it ended.", within="id")


SLICE = Slice(
    "jobs",
    records=(Job,),
    queries=(Queries,),
    mutations=(Mutations,),
    subscriptions=(Subscriptions,),
    events=events.EVENTS,
    traces=(forget_files,),
)
