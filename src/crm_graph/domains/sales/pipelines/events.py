"""What happens to pipelines and their stages."""

from __future__ import annotations

from crm_graph.events.effects import Changes, Creates, Removes


class PipelineCreated(Creates):
    """A pipeline was set up with its stages."""


class PipelineUpdated(Changes):
    """A pipeline was renamed."""


class StageCreated(Creates):
    """A stage was added to a pipeline."""


class StageUpdated(Changes):
    """A stage was renamed, moved, or given another probability."""


class StageDeleted(Removes):
    """A stage was removed; no opportunity is in it any more."""


EVENTS = (PipelineCreated, PipelineUpdated, StageCreated, StageUpdated, StageDeleted)
