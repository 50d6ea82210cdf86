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


@pytest.mark.parametrize("executor", ["planned", "reference"])
@pytest.mark.parametrize("parents", [1, 7, 30])
async def test_any_number_of_parents_takes_one_statement(graph: Graph, executor: str, parents: int) -> None:
    graph.use(executor)
    document = """query ($first: Int) { customers(first: $first) { nodes { ordersAggregate { count } } } }"""
    nodes = (await graph.data(document, {"first": parents}))["customers"]["nodes"]
    assert len(nodes) == parents
    assert graph.statements == 2, "the customers, and the measures of all of them"


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_amounts_in_several_currencies_are_never_added(graph: Graph, executor: str) -> None:
    graph.use(executor)
    await graph.rows("""UPDATE opportunity SET currency = CASE WHEN place % 2 = 0 THEN 'USD' ELSE 'EUR' END
        FROM (SELECT id, row_number() OVER (PARTITION BY customer_id ORDER BY id) AS place FROM opportunity) AS places
        WHERE places.id = opportunity.id""")
    document = """{ customers(first: 100) { nodes {
      opportunities(first: 50) { nodes { amount { amount currency } probability } }
      opportunitiesAggregate { currencies sum { amount weightedAmount } avg { amount } max { amount } }
      euros: opportunitiesAggregate(where: {currency: {eq: "EUR"}}) { currencies sum { amount } }
    } }
    opportunitiesAggregate(matching: {currency: {eq: "EUR"}}) {
      groups { sum { amount weightedAmount } currencies matching { sum { amount } currencies } } } }"""
    data = await graph.data(document)
    several = 0
    for node in data["customers"]["nodes"]:
        amounts = [each["amount"] for each in node["opportunities"]["nodes"] if each["amount"] is not None]
        euros = [Decimal(each["amount"]) for each in amounts if each["currency"] == "EUR"]
        measures = node["opportunitiesAggregate"]
        assert measures["currencies"] == sorted({each["currency"] for each in amounts})
        assert node["euros"]["currencies"] == (["EUR"] if euros else [])
        assert node["euros"]["sum"]["amount"] is None or Decimal(node["euros"]["sum"]["amount"]) == sum(euros)
        if len(measures["currencies"]) > 1:
            several += 1
            assert measures["sum"]["amount"] is measures["avg"]["amount"] is measures["max"]["amount"] is None
        elif amounts:
            assert Decimal(measures["sum"]["amount"]) == sum(Decimal(each["amount"]) for each in amounts)
    assert several
    (group,) = data["opportunitiesAggregate"]["groups"]
    assert group["sum"] == {"amount": None, "weightedAmount": None}
    assert group["currencies"] == ["EUR", "USD"]
    assert group["matching"]["currencies"] == ["EUR"]
    assert Decimal(group["matching"]["sum"]["amount"]) > 0


async def test_what_is_archived_is_measured_and_what_is_in_the_bin_is_not(graph: Graph) -> None:
    document = """{
      opportunitiesAggregate { groups { count } }
      customers(first: 200) { nodes { opportunitiesAggregate { count } } }
      opportunityLinesAggregate { groups { count matching { count } countDistinct { opportunity } } }
      stageMovesAggregate(groupBy: [{field: OPPORTUNITY_STATUS}]) { groups { key { opportunityStatus } count } }
    }"""

    def counted(data: Any) -> list[Any]:
        (whole,) = data["opportunitiesAggregate"]["groups"]
        (lines,) = data["opportunityLinesAggregate"]["groups"]
        by_customer = sum(node["opportunitiesAggregate"]["count"] for node in data["customers"]["nodes"])
        moves = sum(group["count"] for group in data["stageMovesAggregate"]["groups"])
        return [whole["count"], by_customer, lines["count"], lines["countDistinct"]["opportunity"], moves]

    before = counted(await graph.data(document))
    (row,) = await graph.rows(
        """SELECT 'opp_' || replace(id::text, '-', '') AS id,
             (SELECT count(*) FROM stage_move WHERE opportunity_id = opportunity.id) AS moves,
             (SELECT count(*) FROM opportunity_line WHERE opportunity_id = opportunity.id) AS lines
           FROM opportunity WHERE status = 'OPEN' AND customer_id IS NOT NULL
             AND id IN (SELECT opportunity_id FROM opportunity_line)
             AND workspace_id = (SELECT id FROM workspace WHERE slug = 'demo')
           ORDER BY id LIMIT 1"""
    )
    for mutation, selected in (("archiveOpportunity", "opportunity { id }"), ("deleteOpportunity", "deletedId")):
        assert counted(await graph.data(document)) == before
        source = f"mutation ($id: ID!) {{ {mutation}(input: {{id: $id}}) {{ {selected} errors {{ code }} }} }}"
        assert (await graph.data(source, {"id": row["id"]}))[mutation]["errors"] == []
    assert row["lines"] > 0
    lost = [1, 1, row["lines"], 1, row["moves"]]
    assert counted(await graph.data(document)) == [one - other for one, other in zip(before, lost, strict=True)]


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
        ("orderBy: [{measure: SHARE}]", ["orderBy", 0]),
        ("orderBy: [{key: STATUS}, {measure: COUNT, matching: true}], groupBy: [{field: STATUS}]", ["orderBy", 1]),
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
