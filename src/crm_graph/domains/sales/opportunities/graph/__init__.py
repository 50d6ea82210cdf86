"""Opportunities in the schema."""

from __future__ import annotations

from crm_graph.domains.sales.opportunities import events, model, operations
from crm_graph.domains.sales.opportunities.graph.mutations import Mutations
from crm_graph.domains.sales.opportunities.graph.subscriptions import Subscriptions
from crm_graph.domains.sales.opportunities.graph.types import (
    EXTENSIONS,
    Opportunity,
    OpportunityLine,
    Queries,
    StageMove,
)
from crm_graph.graph.schema.build import Slice
from crm_graph.valuing import kind_of

SLICE = Slice(
    "opportunities",
    records=(Opportunity, OpportunityLine, StageMove),
    queries=(Queries,),
    mutations=(Mutations,),
    subscriptions=(Subscriptions,),
    extensions=EXTENSIONS,
    events=events.EVENTS,
    timers={kind_of(model.Opportunity): operations.restate_opportunities},
)

__all__ = ["SLICE", "Opportunity", "OpportunityLine", "StageMove"]
