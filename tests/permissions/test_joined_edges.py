"""What a to-one edge leads to is joined to its parent, and is held to what may be seen all the same."""

from __future__ import annotations

from typing import Any

import pytest

from crm_graph.identity.tokens import Claims
from tests.support.graph import Graph

EDGES = """{ orders(first: 200) { nodes { number opportunity { id name stage { name } owner { name } } } } }"""
ORDERED = "{ orders(first: 200, orderBy: [{field: OPPORTUNITY_NAME}]) { nodes { number opportunity { name } } } }"
BY_ID = "{ orders(first: 200) { nodes { number opportunity { name } } } }"


async def _representative(graph: Graph) -> Claims:
    """Return a representative who owns all orders of the workspace, and sees the deals of their team."""
    claims = await graph.claims("sales_rep")
    update = "UPDATE sales_order SET owner_id = $1 WHERE workspace_id = $2"
    await graph.rows(update, claims.member_id, claims.workspace_id)
    return claims


async def _owned_by_a_stranger(graph: Graph, claims: Claims) -> None:
    """Give all deals and customers to somebody outside of the representative's circle."""
    (viewer,) = [await graph.engine.authenticator.viewer(claims, graph.database.primary_reader())]
    stranger = await graph.value(
        "SELECT id FROM member WHERE workspace_id = $1 AND id <> ALL($2) ORDER BY id LIMIT 1",
        claims.workspace_id,
        list(viewer.circle),
    )
    for table in ("opportunity", "customer"):
        await graph.rows(f"UPDATE {table} SET owner_id = $1 WHERE workspace_id = $2", stranger, claims.workspace_id)
    await graph.rows("DELETE FROM account_team_member WHERE workspace_id = $1", claims.workspace_id)


def _linked(body: dict[str, Any]) -> list[Any]:
    return [node["opportunity"] for node in body["data"]["orders"]["nodes"]]


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_a_record_beyond_an_edge_that_may_not_be_seen_is_null(graph: Graph, executor: str) -> None:
    graph.use(executor)
    claims = await _representative(graph)
    assert any(_linked(await graph.execute(EDGES)))
    await _owned_by_a_stranger(graph, claims)
    body = await graph.execute(EDGES, claims=claims)
    assert "errors" not in body
    assert body["data"]["orders"]["nodes"]
    assert _linked(body) == [None] * len(_linked(body))
    seen = next(each["id"] for each in _linked(await graph.execute(EDGES)) if each)
    mine = "UPDATE opportunity SET owner_id = $1 WHERE id = $2"
    await graph.rows(mine, claims.member_id, seen.removeprefix("opp_"))
    assert {each["id"] for each in _linked(await graph.execute(EDGES, claims=claims)) if each} == {seen}


async def test_an_order_across_an_edge_does_not_tell_what_is_hidden(graph: Graph) -> None:
    """Orders whose deals may not be seen stand together at the end, by their ids."""
    claims = await _representative(graph)
    await _owned_by_a_stranger(graph, claims)
    ordered = (await graph.data(ORDERED, claims=claims))["orders"]["nodes"]
    assert ordered == (await graph.data(BY_ID, claims=claims))["orders"]["nodes"]
    assert ordered != (await graph.data(ORDERED))["orders"]["nodes"]


async def test_ordering_by_a_hidden_field_across_an_edge_is_refused(graph: Graph) -> None:
    source = "{ opportunities(orderBy: [{field: CUSTOMER_ANNUAL_REVENUE}]) { nodes { name } } }"
    await graph.data(source)
    assert (await graph.error(source, role="marketer"))["extensions"]["code"] == "FORBIDDEN"
