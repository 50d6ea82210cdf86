"""What happens to pipelines and their stages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PipelineCreated:
    """A pipeline was set up with its stages."""


@dataclass(frozen=True, slots=True)
class PipelineUpdated:
    """A pipeline was renamed."""


@dataclass(frozen=True, slots=True)
class StageCreated:
    """A stage was added to a pipeline."""


@dataclass(frozen=True, slots=True)
class StageUpdated:
    """A stage was renamed, moved, or given another probability."""


@dataclass(frozen=True, slots=True)
class StageDeleted:
    """A stage was removed; no opportunity is in it any more."""


EVENTS = (PipelineCreated, PipelineUpdated, StageCreated, StageUpdated, StageDeleted)
