"""Jobs, the parts of the files that they make, and what those who read for them could see."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import BigInteger, ForeignKeyConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Base, Id, Paragraph, Row, indexed, refers
from crm_graph.db.placement import DISTRIBUTED
from crm_graph.db.rules import one_of
from crm_graph.db.sizes import SizedJson


class JobStatus(Enum):
    """How far a job is."""

    QUEUED = "QUEUED"
    RUNNING = "RUNNING"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class Job(Row):
    """Work behind a request. `run` counts how often it was taken up, for good: a worker that was given up for dead, and
    is not, finds another number here and stops. `attempts` starts again when the job is queued again."""

    __tablename__ = "job"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("workspace_id", "workspace"),
        refers("created_by_id", "member"),
        indexed("job", "created_by_id"),
        indexed("job", "status"),
        Index("ix_job_ended_at", "workspace_id", "ended_at"),
        one_of("status", JobStatus),
    )

    kind: Mapped[str]
    status: Mapped[str]
    done: Mapped[int] = mapped_column(BigInteger)
    total: Mapped[int | None] = mapped_column(BigInteger)
    message: Mapped[Paragraph | None]
    attempts: Mapped[int]
    error: Mapped[Paragraph | None]
    created_by_id: Mapped[Id] = mapped_column(nullable=False)
    client_id: Mapped[Id | None]
    """The API client that asked for it: the roles that it lacks the job lacks too."""
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    arguments: Mapped[dict[str, Any]] = mapped_column(SizedJson(64 * 1024))
    result: Mapped[dict[str, Any] | None] = mapped_column(SizedJson(64 * 1024, none_as_null=True))
    queue_id: Mapped[int | None] = mapped_column(BigInteger)
    """The entry of the queue; None once the job has ended."""
    run: Mapped[int]


class JobSight(Base):
    """What whoever a run read for could see at that moment: its file is for those who see as much (`Sight`)."""

    __tablename__ = "job_sight"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        ForeignKeyConstraint(["workspace_id", "job_id"], ["job.workspace_id", "job.id"], ondelete="CASCADE"),
    )

    workspace_id: Mapped[Id] = mapped_column(primary_key=True)
    job_id: Mapped[Id] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sight: Mapped[dict[str, Any]] = mapped_column(SizedJson(256 * 1024))


class JobPart(Base):
    """A piece of the file that one run of a job wrote."""

    __tablename__ = "job_part"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        ForeignKeyConstraint(["workspace_id", "job_id"], ["job.workspace_id", "job.id"], ondelete="CASCADE"),
    )

    workspace_id: Mapped[Id] = mapped_column(primary_key=True)
    job_id: Mapped[Id] = mapped_column(primary_key=True)
    run: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[bytes]
