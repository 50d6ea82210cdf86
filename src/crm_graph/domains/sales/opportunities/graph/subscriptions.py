"""Watching opportunities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import strawberry

from crm_graph.domains.sales.opportunities.graph.types import Opportunity
from crm_graph.domains.sales.pipelines.graph import Pipeline, Stage
from crm_graph.domains.workspace.members.graph import AS_IT_IS, THAT_MATCH, MemberChange
from crm_graph.events.log import Event
from crm_graph.graph.changes.live import Watch
from crm_graph.graph.context import GraphContext, Info
from crm_graph.graph.reading.totals import totals
from crm_graph.graph.records.record import by_key, record_of, watch
from crm_graph.graph.records.scalars import Currency
from crm_graph.graph.records.types import Money


@strawberry.type(description="Something that happened to an opportunity that you may see.")
class OpportunityChange(MemberChange):
    """One event of the log with the current record."""

    opportunity: Opportunity | None = by_key("key", f"The opportunity {AS_IT_IS}")


@strawberry.type(description="The deals of one stage of a pipeline, of those that you may see.")
class StageTotals:
    """One column of a board."""

    key: strawberry.Private[str]
    stage: Stage | None = by_key("key", "The stage.")
    count: int = strawberry.field(description="How many deals are in the stage.")
    amounts: list[Money] = strawberry.field(
        description="The sums of the deals' amounts, one for each currency, of the amounts that you may read."
    )


@strawberry.type(description="Something that happened to a deal in a pipeline, with what the board shows afterwards.")
class PipelineChange(MemberChange):
    """See `OpportunityChange`; the totals are those of the moment in which the change is delivered."""

    pipeline_key: strawberry.Private[str]
    from_key: strawberry.Private[str | None] = None
    to_key: strawberry.Private[str | None] = None
    opportunity: Opportunity | None = by_key("key", f"The opportunity {AS_IT_IS}")
    pipeline: Pipeline | None = by_key("pipeline_key", "The pipeline.")
    from_stage: Stage | None = by_key("from_key", "The stage that the deal left; null when it did not move.")
    to_stage: Stage | None = by_key("to_key", "The stage that the deal moved to; null when it did not move.")

    @strawberry.field(description="Counts and sums of all stages that have deals: as they are when this is delivered.")
    async def stages(self, info: Info) -> list[StageTotals]:
        found = await totals(info.context, record_of(Opportunity), "pipeline", self.pipeline_key, "stage", "amount")
        stages: dict[str, StageTotals] = {}
        for key, currency, count, amount in found:
            if key is None:
                continue
            stage = stages.setdefault(key, StageTotals(key=key, count=0, amounts=[]))
            stage.count += count
            if currency is not None and amount is not None:
                stage.amounts.append(Money(amount=amount, currency=Currency(currency)))
        return list(stages.values())

    @classmethod
    def more(cls, watch: Watch, event: Event, context: GraphContext, *, gone: bool) -> Mapping[str, Any]:
        """Return the pipeline, and the stages that a deal moved from and to where the viewer may read these."""
        moved = None if gone or context.access.of("Opportunity").partial("stage") else event.changes.get("stage_id")
        before, after = moved or (None, None)
        return {"pipeline_key": watch.within, "from_key": before, "to_key": after if before else None}


class Subscriptions:
    """Fields of Subscription."""

    pipeline_changed: PipelineChange = watch(
        Opportunity,
        "Every change of the deals in a pipeline, with the counts and sums of its stages: a live board in one "
        "subscription. In the order of the log: none lost, none twice. Resume with `after`.",
        within="pipeline",
    )

    opportunity_changed: OpportunityChange = watch(Opportunity, f"Every change of the opportunities {THAT_MATCH}")
