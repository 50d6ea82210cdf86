"""What happens to opportunities."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OpportunityCreated:
    """An opportunity was opened in a stage."""

    stage_id: str


@dataclass(frozen=True, slots=True)
class OpportunityUpdated:
    """An opportunity's data changed, its stage did not."""


@dataclass(frozen=True, slots=True)
class OpportunityStageChanged:
    """An opportunity moved to another stage of its pipeline."""

    from_stage_id: str
    to_stage_id: str
    seconds_in_stage: int


@dataclass(frozen=True, slots=True)
class OpportunityWon:
    """An opportunity moved to a stage that means it was won."""

    from_stage_id: str
    to_stage_id: str
    seconds_in_stage: int


@dataclass(frozen=True, slots=True)
class OpportunityLost:
    """An opportunity moved to a stage that means it was lost."""

    from_stage_id: str
    to_stage_id: str
    seconds_in_stage: int
    reason: str


@dataclass(frozen=True, slots=True)
class OpportunityReopened:
    """A won or lost opportunity was opened again."""

    from_stage_id: str
    to_stage_id: str
    seconds_in_stage: int


@dataclass(frozen=True, slots=True)
class OpportunityDeleted:
    """An opportunity was removed."""


@dataclass(frozen=True, slots=True)
class OpportunityLineAdded:
    """A product was put on an opportunity."""

    product_id: str


@dataclass(frozen=True, slots=True)
class OpportunityLineUpdated:
    """A line's quantity or price changed."""


@dataclass(frozen=True, slots=True)
class OpportunityLineRemoved:
    """A product was taken off an opportunity."""

    product_id: str


StageEvent = OpportunityStageChanged | OpportunityWon | OpportunityLost | OpportunityReopened

EVENTS = (
    OpportunityCreated,
    OpportunityUpdated,
    OpportunityStageChanged,
    OpportunityWon,
    OpportunityLost,
    OpportunityReopened,
    OpportunityDeleted,
    OpportunityLineAdded,
    OpportunityLineUpdated,
    OpportunityLineRemoved,
)
