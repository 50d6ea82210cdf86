"""Watching opportunities."""

from __future__ import annotations

import strawberry

from crm_graph.domains.sales.opportunities.graph.types import Opportunity
from crm_graph.domains.workspace.members.graph import Member
from crm_graph.graph.live import Change
from crm_graph.graph.records import by_key, watch


@strawberry.type(description="Something that happened to an opportunity that you may see.")
class OpportunityChange(Change):
    """One event of the log with the current record."""

    opportunity: Opportunity | None = by_key(
        "key", "The opportunity as it is now; null when it was deleted, or left what you asked for or may see."
    )
    actor: Member | None = by_key("actor_key", "Who did it.")


class Subscriptions:
    """Fields of Subscription."""

    opportunity_changed: OpportunityChange = watch(
        Opportunity,
        "Every change of the opportunities that match, in the order of the log: none lost, none twice. "
        "Resume with `after`.",
    )
