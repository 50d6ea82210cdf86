"""What is closed stays as it is: orders that were submitted, deals that are decided, campaigns that are over."""

from __future__ import annotations

from typing import Any

import pytest

from crm_graph.domains.marketing.campaigns.graph import Campaign
from crm_graph.domains.orders.orders.graph import Order
from crm_graph.domains.sales.opportunities.graph import Opportunity, OpportunityLine
from crm_graph.graph.records.record import record_of
from tests.support.graph import Graph

SAVE = "mutation ($input: Update{0}Input!) {{ saved: update{0}(input: $input) {{ errors {{ code field message }} }} }}"
LOCKED: dict[str, tuple[Any, str, dict[str, Any], str]] = {
    "a closed order's number": (Order, "status = 'CLOSED'", {"number": "SO-1999-1"}, "number"),
    "a closed order's day": (Order, "status = 'CLOSED'", {"orderedOn": "1999-01-01"}, "orderedOn"),
    "a submitted order's deal": (Order, "status = 'SUBMITTED'", {"opportunityId": None}, "opportunityId"),
    "a won deal's amount": (Opportunity, "status = 'WON'", {"amount": {"amount": "7.25", "currency": "USD"}}, "amount"),
    "a lost deal's probability": (Opportunity, "status = 'LOST'", {"probability": 51}, "probability"),
    "a lost deal's customer": (Opportunity, "status = 'LOST'", {"customerId": None}, "customerId"),
    "the channel of a campaign that runs": (Campaign, "status = 'ACTIVE'", {"channel": "SOCIAL"}, "channel"),
    "a campaign that is over": (Campaign, "status = 'COMPLETED'", {"name": "Another"}, "name"),
}
OPEN: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "the notes of a closed order": (Order, "status = 'CLOSED'", {"notes": "archived in box 7"}),
    "what an ERP calls it": (Order, "status = 'CLOSED'", {"externalId": "ERP-77"}),
    "a draft's day": (Order, "status = 'DRAFT'", {"orderedOn": "2026-01-01"}),
    "a value that stays": (Opportunity, "status = 'LOST'", {}),
    "what a deal is called": (Opportunity, "status = 'WON'", {"name": "Another"}),
}


async def _in_state(graph: Graph, of: Any, where: str) -> str:
    """Return a record in a state; where the demo has none, one is put there past all rules."""
    id_ = await graph.id_of(of)
    await graph.rows(f"UPDATE {record_of(of).table.name} SET {where} WHERE id = $1", id_[4:])
    if of is Order:
        deal = "(SELECT id FROM opportunity WHERE workspace_id = sales_order.workspace_id LIMIT 1)"
        await graph.rows(f"UPDATE sales_order SET opportunity_id = {deal} WHERE id = $1", id_[4:])
    return id_


async def _save(graph: Graph, of: Any, id_: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    data = await graph.data(SAVE.format(of.__name__), {"input": {"id": id_, **values}})
    errors: list[dict[str, Any]] = data["saved"]["errors"]
    return errors


@pytest.mark.parametrize("case", LOCKED)
async def test_what_is_closed_stays(graph: Graph, case: str) -> None:
    of, where, values, field = LOCKED[case]
    id_ = await _in_state(graph, of, where)
    (error,) = await _save(graph, of, id_, values)
    assert (error["code"], error["field"]) == ("LOCKED", [field])


@pytest.mark.parametrize("case", OPEN)
async def test_the_rest_does_not(graph: Graph, case: str) -> None:
    of, where, values = OPEN[case]
    assert await _save(graph, of, await _in_state(graph, of, where), values) == []


async def test_lines_of_a_deal_that_is_won_stay(graph: Graph) -> None:
    line = await graph.id_of(OpportunityLine)
    await graph.rows(
        "UPDATE opportunity SET status = 'WON' WHERE id = (SELECT opportunity_id FROM opportunity_line WHERE id = $1)",
        line[4:],
    )
    source = """mutation ($line: ID!) {
        update: updateOpportunityLine(input: {id: $line, quantity: "2"}) { errors { code } }
        remove: removeOpportunityLine(input: {id: $line}) { errors { code } } }"""
    data = await graph.data(source, {"line": line})
    assert [each["errors"][0]["code"] for each in data.values()] == ["LOCKED", "LOCKED"]
