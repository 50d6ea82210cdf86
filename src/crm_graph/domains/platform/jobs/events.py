"""What happens to jobs."""

from __future__ import annotations

from crm_graph.events.effects import Changes, Creates, Removes


class JobCreated(Creates):
    """Work was queued."""


class JobStarted(Changes):
    """A worker took the job up, for the first time or again."""


class JobProgressed(Changes):
    """The job came further; at most one a second."""


class JobPostponed(Changes):
    """An attempt failed, or its worker stopped: the job waits for its next one."""


class JobSucceeded(Changes):
    """The job is done."""


class JobFailed(Changes):
    """The job is given up, and kept with its error."""


class JobCancelled(Changes):
    """A member called the job off; one that runs ends at its next step."""


class JobRequeued(Changes):
    """A job that failed or was called off is to be done again."""


class JobDeleted(Removes):
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
