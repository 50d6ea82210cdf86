"""Groups of aggregates: made by what is two edges away, ordered by a measure, cut to the first; measures over edges."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest

from tests.support.graph import Graph

LINES = """query ($after: String) { orderLines(first: 200, after: $after) {
  pageInfo { hasNextPage endCursor }
  nodes { id quantity total { amount } product { id } order { id customer { id country } } } } }"""


async def order_lines(graph: Graph) -> list[dict[str, Any]]:
    """Return all order lines."""
    found: list[dict[str, Any]] = []
    after = None
    while True:
        page = (await graph.data(LINES, {"after": after}))["orderLines"]
        found += page["nodes"]
        after = page["pageInfo"]["endCursor"]
        if not page["pageInfo"]["hasNextPage"]:
            return found


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_top_products_and_countries_are_those_of_brute_force(graph: Graph, executor: str) -> None:
    graph.use(executor)
    lines = await order_lines(graph)
    assert len(lines) > 100
    sums: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    customers: dict[tuple[str, str], set[str]] = defaultdict(set)
    large: dict[tuple[str, str], int] = defaultdict(int)
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for line in lines:
        key = line["product"]["id"], line["order"]["customer"]["country"]
        sums[key] += Decimal(line["total"]["amount"])
        counts[key] += 1
        large[key] += Decimal(line["quantity"]) > 3
        customers[key].add(line["order"]["customer"]["id"])
    document = """{ orderLinesAggregate(
      groupBy: [{field: PRODUCT}, {field: ORDER_CUSTOMER_COUNTRY}]
      matching: {quantity: {gt: "3"}}, first: 7, orderBy: [{measure: SUM, of: TOTAL, direction: DESC}]
    ) {
      totalGroups hasMoreGroups
      groups {
        key { product { id } orderCustomerCountry } count sum { total } share matching { count }
        countDistinct { orderCustomer }
      }
    } }"""
    found = (await graph.data(document))["orderLinesAggregate"]
    assert graph.statements == 2, "one for the groups, one for their products"
    assert (found["totalGroups"], found["hasMoreGroups"]) == (len(sums), True)
    best = sorted(sums, key=lambda key: -sums[key])[:7]
    assert [(each["key"]["product"]["id"], each["key"]["orderCustomerCountry"]) for each in found["groups"]] == best
    for key, each in zip(best, found["groups"], strict=True):
        assert Decimal(each["sum"]["total"]) == sums[key]
        assert each["count"] == counts[key]
        assert each["matching"]["count"] == large[key]
        assert Decimal(each["share"]) == round(Decimal(large[key]) / counts[key], 4)
        assert each["countDistinct"]["orderCustomer"] == len(customers[key])


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_measures_over_an_edge_are_one_statement_for_all(graph: Graph, executor: str) -> None:
    graph.use(executor)
    document = """{ customers(first: 100) { nodes { id
      orders(first: 50) { totalCount nodes { total { amount } } }
      ordersAggregate { count sum { total } max { total } countDistinct { owner } }
      few: ordersAggregate(where: {total: {gt: "5000"}}) { count }
    } } }"""
    nodes = (await graph.data(document))["customers"]["nodes"]
    assert graph.statements == 5, "customers, their orders, how many these are, and two aggregates"
    assert {bool(node["orders"]["totalCount"]) for node in nodes} == {True, False}
    for node in nodes:
        amounts = [Decimal(order["total"]["amount"]) for order in node["orders"]["nodes"]]
        measures = node["ordersAggregate"]
        assert measures["count"] == node["orders"]["totalCount"] == len(amounts)
        assert (measures["countDistinct"]["owner"] > 0) == bool(amounts)
        assert node["few"]["count"] == sum(amount > 5000 for amount in amounts)
        if amounts:
            assert Decimal(measures["sum"]["total"]) == sum(amounts)
            assert Decimal(measures["max"]["total"]) == max(amounts)
        else:
            assert (measures["sum"]["total"], measures["max"]["total"]) == (None, None)


async def test_equal_groups_keep_one_order(graph: Graph) -> None:
    """All groups of one line each are equal by count: the keys decide, so pages of any size agree."""
    document = """query ($first: Int) { orderLinesAggregate(groupBy: [{field: ORDER}], first: $first,
      orderBy: [{measure: COUNT, direction: DESC}]) { hasMoreGroups groups { key { order { id } } count } } }"""
    whole = (await graph.data(document, {"first": 300}))["orderLinesAggregate"]
    few = (await graph.data(document, {"first": 20}))["orderLinesAggregate"]
    assert few["groups"] == whole["groups"][:20]
    assert few["hasMoreGroups"]
    counts = [(-each["count"], each["key"]["order"]["id"]) for each in whole["groups"]]
    assert counts == sorted(counts)


async def test_every_part_can_be_found_listed_and_measured(graph: Graph) -> None:
    query = graph.schema.core.query_type
    assert query is not None
    for record in graph.schema.registry.records.values():
        names = {name for name, each in query.fields.items() if record.name in str(each.type)}
        if record.policy.parent is not None or record.name != "Workspace":
            assert any(name.endswith("Aggregate") for name in names), record.name


@pytest.mark.parametrize(
    ("arguments", "path"),
    [
        ("first: 0", ["first"]),
        ("first: -1", ["first"]),
        ("first: 1001", ["first"]),
        ("orderBy: [{}]", ["orderBy", 0]),
        ("orderBy: [{measure: COUNT, key: STATUS}]", ["orderBy", 0]),
        ("orderBy: [{measure: COUNT, of: TOTAL}]", ["orderBy", 0, "of"]),
        ("orderBy: [{measure: SUM}]", ["orderBy", 0, "of"]),
        ("orderBy: [{measure: SUM, of: ORDERED_ON}]", ["orderBy", 0, "of"]),
        ("orderBy: [{measure: MAX, of: CUSTOMER}]", ["orderBy", 0, "of"]),
        ("orderBy: [{measure: COUNT_DISTINCT, of: TOTAL}]", ["orderBy", 0, "of"]),
        ("orderBy: [{measure: SHARE, matching: true}]", ["orderBy", 0, "matching"]),
        ("orderBy: [{key: STATUS}]", ["orderBy", 0, "key"]),
        ("groupBy: [{field: STATUS}], orderBy: [{key: CUSTOMER}]", ["orderBy", 0, "key"]),
        ("orderBy: [{measure: COUNT}, {measure: COUNT, direction: DESC}]", ["orderBy", 1]),
        (
            "orderBy: [{measure: COUNT}, {measure: SHARE}, {measure: MIN, of: TOTAL}, {measure: MAX, of: TOTAL}]",
            ["orderBy"],
        ),
        ("groupBy: [{field: OPPORTUNITY_OPENED_ON}]", ["groupBy", 0, "bucket"]),
        ("groupBy: [{field: CUSTOMER_COUNTRY, bucket: DAY}]", ["groupBy", 0, "bucket"]),
        ("groupBy: [{field: CUSTOMER_COUNTRY}, {field: CUSTOMER_COUNTRY}]", ["groupBy", 1]),
        ("matching: {total: null}", ["matching", "total"]),
    ],
)
async def test_what_does_not_go_together_is_named(graph: Graph, arguments: str, path: list[str | int]) -> None:
    error = await graph.error(f"{{ ordersAggregate({arguments}) {{ groups {{ count }} }} }}")
    assert error["extensions"]["code"] == "BAD_USER_INPUT"
    assert error["extensions"]["argument"] == path
    assert graph.statements == 0


async def test_an_unknown_key_is_no_key(graph: Graph) -> None:
    error = await graph.error("{ ordersAggregate(groupBy: [{field: CUSTOMER_OWNER_TEAM_NAME}]) { groups { count } } }")
    assert error["extensions"]["code"] == "VALIDATION_FAILED", "three edges away"


async def test_a_hidden_row_beyond_an_edge_is_no_key(graph: Graph) -> None:
    """A rep sees deals of a team only: lines are visible with orders, whose deals of others group as null."""
    document = """{ ordersAggregate(groupBy: [{field: OPPORTUNITY_STATUS}]) {
      groups { key { opportunityStatus } count } } }"""
    listed = "{ orders(first: 200) { totalCount nodes { opportunity { status } } } }"
    orders = (await graph.data(listed, role="sales_rep"))["orders"]
    assert orders["totalCount"] <= 200
    wanted: dict[str | None, int] = defaultdict(int)
    for each in orders["nodes"]:
        wanted[(each["opportunity"] or {"status": None})["status"]] += 1
    groups = (await graph.data(document, role="sales_rep"))["ordersAggregate"]["groups"]
    assert {each["key"]["opportunityStatus"]: each["count"] for each in groups} == wanted


async def test_a_hidden_column_beyond_an_edge_is_refused(graph: Graph) -> None:
    await graph.rows(
        """INSERT INTO role (workspace_id, id, name, grants, version, created_at, updated_at)
        SELECT id, gen_random_uuid(), 'blind', '{"Order": {"read": "ALL"}, "Customer": {"read": "ALL",
          "fields": {"country": "NONE ALL"}}}', 1, now(), now() FROM workspace WHERE slug = 'demo'"""
    )
    await graph.rows(
        """INSERT INTO member_role (workspace_id, member_id, role) SELECT member.workspace_id, member.id, 'blind'
        FROM member JOIN workspace ON workspace.id = member.workspace_id WHERE slug = 'demo' AND NOT EXISTS
        (SELECT 1 FROM member_role WHERE member_id = member.id AND role <> 'sales_rep') ORDER BY member.id LIMIT 1"""
    )
    await graph.rows(
        "DELETE FROM member_role WHERE role <> 'blind' AND member_id IN"
        " (SELECT member_id FROM member_role WHERE role = 'blind')"
    )
    source = "{ ordersAggregate(groupBy: [{field: CUSTOMER_COUNTRY}]) { groups { count } } }"
    error = await graph.error(source, role="blind")
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert error["message"] == "Your roles do not allow to group by Customer.country."
