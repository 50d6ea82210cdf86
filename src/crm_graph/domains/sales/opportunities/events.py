"""What happens to opportunities."""

from __future__ import annotations

from crm_graph.events.effects import Changes, Creates, Removes


class OpportunityCreated(Creates):
    """An opportunity was opened in a stage."""

    stage_id: str


class OpportunityUpdated(Changes):
    """An opportunity's data changed, its stage did not."""


class OpportunityStageChanged(Changes):
    """An opportunity moved to another stage of its pipeline."""

    from_stage_id: str
    to_stage_id: str
    seconds_in_stage: int


class OpportunityWon(Changes):
    """An opportunity moved to a stage that means it was won."""

    from_stage_id: str
    to_stage_id: str
    seconds_in_stage: int


class OpportunityLost(Changes):
    """An opportunity moved to a stage that means it was lost."""

    from_stage_id: str
    to_stage_id: str
    seconds_in_stage: int
    reason: str


class OpportunityReopened(Changes):
    """A won or lost opportunity was opened again."""

    from_stage_id: str
    to_stage_id: str
    seconds_in_stage: int


class OpportunityDeleted(Removes):
    """An opportunity was removed."""


class OpportunityLineAdded(Creates):
    """A product was put on an opportunity."""

    product_id: str


class OpportunityLineUpdated(Changes):
    """A line's quantity or price changed."""


class OpportunityLineRemoved(Removes):
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
