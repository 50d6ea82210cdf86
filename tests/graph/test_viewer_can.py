"""`viewerCan` and `withheld`: what the viewer may do with a record and what of it is hidden, beside its fields."""

from __future__ import annotations

from typing import Any

import pytest

from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.orders.orders.graph import Order
from tests.support.graph import Graph

CAN = "viewerCan { update delete changeLifecycle }"
LIST = "{ customers(first: 200) { nodes { id owner { id } %s } } }"


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_what_may_be_done_is_what_is_done(graph: Graph, executor: str) -> None:
    """Asked of each record that a representative sees, and tried: the two agree."""
    graph.use(executor)
    claims = await graph.claims("sales_rep")
    nodes = (await graph.data(LIST % CAN, claims=claims))["customers"]["nodes"]
    update = """mutation ($input: UpdateCustomerInput!) {
        updateCustomer(input: $input) { customer { viewerCan { update } } errors { code } } }"""
    seen = set()
    for node in nodes:
        can = node["viewerCan"]
        assert (can["delete"], can["changeLifecycle"]) == (False, can["update"])
        done = (await graph.data(update, {"input": {"id": node["id"], "city": "Wuxi"}}, claims=claims))[
            "updateCustomer"
        ]
        assert done["errors"] == ([] if can["update"] else [{"code": "FORBIDDEN"}])
        seen.add(can["update"])
    assert seen == {True, False}, "own customers, and those of the team"


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_they_cost_no_statement(graph: Graph, executor: str) -> None:
    graph.use(executor)
    claims = await graph.claims("sales_rep")
    await graph.data(LIST % "name", claims=claims)
    before = graph.statements
    await graph.data(LIST % f"name {CAN} withheld", claims=claims)
    assert graph.statements == before


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_an_administrator_may_all_and_sees_all(graph: Graph, executor: str) -> None:
    graph.use(executor)
    order = await graph.id_of(Order)
    source = "query ($id: ID!) { order(id: $id) { viewerCan { update delete approve cancel ship } withheld } }"
    can = dict.fromkeys(("update", "delete", "approve", "cancel", "ship"), True)
    assert (await graph.data(source, {"id": order}))["order"] == {"viewerCan": can, "withheld": []}
    finance = (await graph.data(source, {"id": order}, role="finance"))["order"]
    assert finance["viewerCan"] == {**dict.fromkeys(can, False), "ship": True}
    marketer = (await graph.data(source, {"id": order}, role="marketer"))["order"]
    assert (marketer["viewerCan"], marketer["withheld"]) == (dict.fromkeys(can, False), ["subtotal", "total"])


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_what_is_withheld_is_said_record_by_record(graph: Graph, executor: str) -> None:
    graph.use(executor)
    own_only = [{"field": "city", "level": "READ", "scope": "OWN"}]
    masked = [{"field": "phone", "level": "MASKED"}, {"field": "industry", "level": "NONE"}]
    read = [{"verb": "read", "scope": "ALL"}]
    grants: list[dict[str, Any]] = [{"type": "Customer", "verbs": read, "fields": own_only + masked}]
    redefine = """mutation ($grants: [RecordGrantInput!]!) {
        updateRole(input: {name: "sales_rep", grants: $grants}) { errors { code } } }"""
    assert (await graph.data(redefine, {"grants": grants}))["updateRole"]["errors"] == []
    claims = await graph.claims("sales_rep")
    own = await graph.id_of(Customer, f"owner_id = '{claims.member_id}'")
    other = await graph.id_of(Customer, f"owner_id <> '{claims.member_id}'")
    nobody = "UPDATE customer SET owner_id = NULL WHERE id = $1"
    source = "query ($id: ID!) { customer(id: $id) { withheld viewerCan { update } } }"
    for id_, withheld in ((own, {"phone", "industry"}), (other, {"phone", "industry", "city"})):
        found = (await graph.data(source, {"id": id_}, claims=claims))["customer"]
        assert (set(found["withheld"]), found["viewerCan"]) == (withheld, {"update": False})
    await graph.rows(nobody, other.partition("_")[2])
    found = (await graph.data(source, {"id": other}, claims=claims))["customer"]
    assert set(found["withheld"]) == {"phone", "industry", "city"}, "nobody's is not one's own"


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_they_are_there_at_the_end_of_edges_and_in_lists_of_parts(graph: Graph, executor: str) -> None:
    graph.use(executor)
    source = """{ orders(first: 20) { nodes { customer { viewerCan { update } withheld }
        lines(first: 5) { nodes { viewerCan { update delete } withheld } } } } }"""
    nodes = (await graph.data(source, role="support_agent"))["orders"]["nodes"]
    customers = [node["customer"] for node in nodes]
    assert customers[0] == {"viewerCan": {"update": True}, "withheld": ["annualRevenue"]}
    lines = [line for node in nodes for line in node["lines"]["nodes"]]
    assert lines[0] == {"viewerCan": {"update": False, "delete": False}, "withheld": []}
