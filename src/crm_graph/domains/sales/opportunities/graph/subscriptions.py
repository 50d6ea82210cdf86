"""Watching opportunities."""

from __future__ import annotations

import strawberry

from crm_graph.domains.sales.opportunities.graph.types import Opportunity
from crm_graph.domains.workspace.members.graph import AS_IT_IS, THAT_MATCH, MemberChange
from crm_graph.graph.records import by_key, watch


@strawberry.type(description="Something that happened to an opportunity that you may see.")
class OpportunityChange(MemberChange):
    """One event of the log with the current record."""

    opportunity: Opportunity | None = by_key("key", f"The opportunity {AS_IT_IS}")


class Subscriptions:
    """Fields of Subscription."""

    opportunity_changed: OpportunityChange = watch(Opportunity, f"Every change of the opportunities {THAT_MATCH}")
