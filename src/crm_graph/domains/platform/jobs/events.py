"""What happens to jobs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JobCreated:
    """Work was queued."""


@dataclass(frozen=True, slots=True)
class JobStarted:
    """A worker took the job up, for the first time or again."""


@dataclass(frozen=True, slots=True)
class JobProgressed:
    """The job came further; at most one a second."""


@dataclass(frozen=True, slots=True)
class JobPostponed:
    """An attempt failed, or its worker stopped: the job waits for its next one."""


@dataclass(frozen=True, slots=True)
class JobSucceeded:
    """The job is done."""


@dataclass(frozen=True, slots=True)
class JobFailed:
    """The job is given up, and kept with its error."""


@dataclass(frozen=True, slots=True)
class JobCancelled:
    """A member called the job off; one that runs ends at its next step."""


@dataclass(frozen=True, slots=True)
class JobRequeued:
    """A job that failed or was called off is to be done again."""


@dataclass(frozen=True, slots=True)
class JobDeleted:
    """A job that had ended was removed with what it stored, after its time."""


EVENTS = (
    JobCreated,
    JobStarted,
    JobProgressed,
    JobPostponed,
    JobSucceeded,
    JobFailed,
    JobCancelled,
    JobRequeued,
    JobDeleted,
)
