"""Opportunities and their lines: a representative sees those of the team, and changes their own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.permissions.tables.table import (
    NOBODY,
    ROW,
    Id,
    Table,
    Without,
    Write,
    no_such,
    no_verb,
    not_this,
)


def _without(verb: str, field: str = "id", *, of: str = "opportunity", plural: str = "opportunities") -> list[Without]:
    """Return who may not: those without the verb, and a representative outside of what they own, and see."""
    return [
        Without(NOBODY, no_verb(verb, plural)),
        Without("marketer", no_verb(verb, plural)),
        Without("support_agent", no_verb(verb, plural)),
        Without("sales_rep", not_this(verb, of, field), place="team"),
        Without("sales_rep", no_such(of, field), place="outside"),
        Without("sales_manager", not_this(verb, of, field), place="outside"),
    ]


_IN_PIPELINE: Mapping[Id, Mapping[str, Any]] = {Id("Stage", "team"): {"pipeline_id": Id("Pipeline")}}
"""A second stage of the pipeline that the deal is in."""

OPPORTUNITIES = Table(
    "Opportunity",
    reads=("opportunity", "opportunities", "opportunitiesAggregate"),
    watches=("opportunityChanged", "pipelineChanged"),
    seen_by="sales_rep",
    unseen_by=[(NOBODY, "own"), ("support_agent", "own"), ("sales_rep", "outside")],
    writes=[
        Write(
            "createOpportunity",
            "create",
            {"name": "Zebra", "customerId": Id("Customer"), "stageId": Id("Stage")},
            right="sales_rep",
            without=[
                Without(role, no_verb("create", "opportunities")) for role in (NOBODY, "marketer", "support_agent")
            ],
            stranger=no_such("customer", "customerId"),
            events=["OpportunityCreated"],
            tables=["opportunity", "stage_move"],
        ),
        Write(
            "updateOpportunity",
            "update",
            {"id": ROW, "name": "Zebra"},
            right="sales_rep",
            without=_without("update"),
            stranger=no_such("opportunity"),
            events=["OpportunityUpdated"],
            tables=["opportunity"],
        ),
        Write(
            "moveOpportunity",
            "move",
            {"id": ROW, "stageId": Id("Stage", "team")},
            right="sales_rep",
            without=_without("move"),
            stranger=no_such("opportunity"),
            events=["OpportunityStageChanged"],
            tables=["opportunity", "stage_move"],
            also=_IN_PIPELINE,
        ),
        Write(
            "reopenOpportunity",
            "reopen",
            {"id": ROW, "stageId": Id("Stage", "team")},
            right="sales_manager",
            without=[
                *(Without(role, no_verb("reopen", "opportunities")) for role in (NOBODY, "sales_rep", "integration")),
                Without("sales_manager", not_this("reopen", "opportunity"), place="outside"),
            ],
            stranger=no_such("opportunity"),
            events=["OpportunityReopened"],
            tables=["opportunity", "stage_move"],
            given={"status": "WON"},
            also=_IN_PIPELINE,
        ),
        Write(
            "deleteOpportunity",
            "delete",
            {"id": ROW},
            right="sales_manager",
            without=[
                Without(NOBODY, no_verb("delete", "opportunities")),
                Without("sales_rep", no_verb("delete", "opportunities")),
                Without("sales_manager", not_this("delete", "opportunity"), place="outside"),
            ],
            stranger=no_such("opportunity"),
            events=["OpportunityDeleted"],
            tables=["opportunity"],
            fresh=True,
        ),
    ],
)

LINES = Table(
    "OpportunityLine",
    reads=("opportunityLine", "opportunityLines", "opportunityLinesAggregate"),
    seen_by="sales_rep",
    unseen_by=[(NOBODY, "own"), ("support_agent", "own"), ("marketer", "own"), ("sales_rep", "outside")],
    writes=[
        Write(
            "addOpportunityLine",
            "update",
            {"opportunityId": Id("Opportunity"), "productId": Id("Product")},
            right="sales_rep",
            without=[
                Without(NOBODY, no_verb("update", "opportunity lines")),
                Without("marketer", no_verb("update", "opportunity lines")),
            ],
            stranger=no_such("opportunity", "opportunityId"),
            events=["OpportunityLineAdded", "OpportunityUpdated"],
            tables=["opportunity", "opportunity_line"],
        ),
        Write(
            "updateOpportunityLine",
            "update",
            {"id": ROW, "quantity": "3"},
            right="sales_rep",
            without=_without("update", of="opportunity line", plural="opportunity lines"),
            stranger=no_such("opportunity line"),
            events=["OpportunityLineUpdated", "OpportunityUpdated"],
            tables=["opportunity", "opportunity_line"],
        ),
        Write(
            "removeOpportunityLine",
            "update",
            {"id": ROW},
            right="sales_rep",
            without=_without("update", of="opportunity line", plural="opportunity lines"),
            stranger=no_such("opportunity line"),
            events=["OpportunityLineRemoved", "OpportunityUpdated"],
            tables=["opportunity", "opportunity_line"],
        ),
    ],
)

STAGE_MOVES = Table(
    "StageMove",
    reads=("stageMove", "stageMoves", "stageMovesAggregate"),
    seen_by="sales_rep",
    unseen_by=[(NOBODY, "own"), ("support_agent", "own"), ("sales_rep", "outside")],
)

TABLES = (OPPORTUNITIES, LINES, STAGE_MOVES)
