"""Decisions on orders and deals are granted by name: the right to change a record does not bring them."""

from __future__ import annotations

from typing import Any

import pytest

from crm_graph.domains.orders.orders.graph import Order
from crm_graph.domains.sales.opportunities.graph import Opportunity
from crm_graph.domains.sales.pipelines.graph import Stage
from tests.support.graph import Graph


@pytest.mark.parametrize("verb", ["approve", "reject", "cancel"])
async def test_an_integration_changes_every_order_and_decides_on_none(graph: Graph, verb: str) -> None:
    order = await graph.id_of(Order, "status = 'SUBMITTED'")
    update = "mutation ($i: UpdateOrderInput!) { updateOrder(input: $i) { errors { code } } }"
    done = await graph.data(update, {"i": {"id": order, "notes": "synced"}}, role="integration")
    assert done["updateOrder"]["errors"] == []
    input_ = "OrderInput" if verb == "approve" else f"{verb.capitalize()}OrderInput"
    source = f"mutation ($i: {input_}!) {{ {verb}Order(input: $i) {{ errors {{ code }} }} }}"
    values: dict[str, Any] = {"id": order} if verb == "approve" else {"id": order, "reason": "no"}
    error = await graph.error(source, {"i": values}, role="integration")
    assert (error["extensions"]["code"], verb in error["message"]) == ("FORBIDDEN", True)
    assert await graph.value("SELECT status FROM sales_order WHERE id = $1", order.partition("_")[2]) == "SUBMITTED"


async def test_a_representative_moves_their_deal_and_does_not_win_it(graph: Graph) -> None:
    claims = await graph.claims("sales_rep")
    deal = await graph.id_of(Opportunity, f"owner_id = '{claims.member_id}' AND status = 'OPEN'")
    stage = "SELECT stage_id, pipeline_id FROM opportunity WHERE id = $1"
    before = (await graph.rows(stage, deal.partition("_")[2]))[0]
    in_pipeline = f"pipeline_id = '{before[1]}' AND id <> '{before[0]}'"
    move = "mutation ($i: MoveOpportunityInput!) { moveOpportunity(input: $i) { errors { code } } }"
    won = {"id": deal, "stageId": await graph.id_of(Stage, f"{in_pipeline} AND kind = 'WON'")}
    won["amount"] = {"amount": "10", "currency": "CNY"}  # type: ignore[assignment] # what such a stage asks for
    assert (await graph.error(move, {"i": won}, claims=claims))["extensions"]["code"] == "FORBIDDEN"
    assert (await graph.rows(stage, deal.partition("_")[2]))[0] == before
    done = await graph.data(
        move,
        {"i": {"id": deal, "stageId": await graph.id_of(Stage, f"{in_pipeline} AND kind = 'OPEN'")}},
        claims=claims,
    )
    assert done["moveOpportunity"]["errors"] == []
    assert (await graph.data(move, {"i": won}))["moveOpportunity"]["errors"] == []
