"""`having` under permissions: a measure that may not be read tells nothing, and hidden values are no part of one."""

from __future__ import annotations

from itertools import product

import pytest

from tests.support.graph import Graph

HIDDEN = [
    ("marketer", "opportunitiesAggregate", "amount", "Opportunity.amount"),
    ("marketer", "ordersAggregate", "total", "Order.total"),
    ("marketer", "customersAggregate", "annualRevenue", "Customer.annualRevenue"),
    ("support_agent", "campaignsAggregate", "cost", "Campaign.cost"),
]
MEASURED = {"Opportunity.amount", "Order.total"}
"""What may be summed over many rows (`test_measure_rights.py`); a least and a greatest value are values."""
COMPARATORS = ('{gt: "1000"}', "{isNull: false}", "{in: []}")
FORMS = ("{%s}", "{count: {gt: 0}, %s}", "{not: {%s}}", "{or: [{count: {gt: 0}}, {and: [{%s}]}]}")


@pytest.mark.parametrize(("role", "aggregate", "key", "coordinate"), HIDDEN, ids=lambda each: each)
async def test_a_hidden_measure_is_refused_before_any_sql(
    graph: Graph, role: str, aggregate: str, key: str, coordinate: str
) -> None:
    functions = ("min", "max") if coordinate in MEASURED else ("sum", "avg", "min", "max")
    for function, comparator, form in product(functions, COMPARATORS, FORMS):
        having = form % f"{function}: {{{key}: {comparator}}}"
        error = await graph.error(f"{{ {aggregate}(having: {having}) {{ groups {{ count }} }} }}", role=role)
        assert error["extensions"]["code"] == "FORBIDDEN"
        assert error["message"] == f"Your roles do not allow to take the {function} of {coordinate}."
        assert graph.statements == 0


async def test_what_may_be_read_may_be_compared(graph: Graph) -> None:
    document = """{ opportunitiesAggregate(groupBy: [{field: STATUS}], having: {sum: {probability: {gt: "0"}},
      count: {gt: 1}, max: {createdAt: {gt: "2000-01-01T00:00:00Z"}}}) { groups { count } } }"""
    data = await graph.data(document, role="marketer")
    assert data["opportunitiesAggregate"]["groups"]


async def test_a_role_without_the_type_learns_nothing(graph: Graph) -> None:
    """The one group of no rows, whatever is there: neither its sum nor its count can be searched for."""
    for having in ("count: {gt: 0}", 'sum: {amount: {gt: "0"}}', "max: {createdAt: {isNull: false}}"):
        document = f"{{ opportunitiesAggregate(having: {{{having}}}) {{ groups {{ count }} }} }}"
        data = await graph.data(document, role="support_agent")
        assert data == {"opportunitiesAggregate": {"groups": []}}
    document = "{ opportunitiesAggregate(having: {count: {eq: 0}}) { groups { count } } }"
    data = await graph.data(document, role="support_agent")
    assert data == {"opportunitiesAggregate": {"groups": [{"count": 0}]}}


async def test_values_of_others_are_no_part_of_a_measure(graph: Graph) -> None:
    """A rep reads the revenue of a team's customers. One of another team gets a revenue that would show anywhere."""
    await graph.rows("UPDATE customer SET currency = 'CNY' WHERE annual_revenue IS NOT NULL")
    shown_to_team = {"field": "annualRevenue", "level": "READ", "scope": "TEAM"}
    grants = [{"type": "Customer", "verbs": [{"verb": "read", "scope": "ALL"}], "fields": [shown_to_team]}]
    redefine = """mutation ($grants: [RecordGrantInput!]!) {
        updateRole(input: {name: "sales_rep", grants: $grants}) { errors { code } } }"""
    assert (await graph.data(redefine, {"grants": grants}))["updateRole"]["errors"] == []
    before = '{ customersAggregate(having: {max: {annualRevenue: {gte: "99999999999999"}}}) { groups { count } } }'
    listed = "{ customers(first: 200) { nodes { id annualRevenue { amount } owner { id } } } }"
    everyone = {node["id"]: node for node in (await graph.data(listed))["customers"]["nodes"]}
    seen = (await graph.data(listed, role="sales_rep"))["customers"]["nodes"]
    hidden = [
        node["id"]
        for node in seen
        if node["annualRevenue"] is None and everyone[node["id"]]["annualRevenue"] is not None
    ]
    shown = [node["id"] for node in seen if node["annualRevenue"] is not None]
    assert hidden
    assert shown
    for id_, found in ((hidden[0], []), (shown[0], [{"count": len(seen)}])):
        await graph.rows("UPDATE customer SET annual_revenue = 99999999999999 WHERE id = $1", id_.partition("_")[2])
        data = await graph.data(before, role="sales_rep")
        assert data["customersAggregate"]["groups"] == found
        assert (await graph.data(before))["customersAggregate"]["groups"] == [{"count": len(everyone)}]


async def test_another_workspace_is_no_part_of_a_count(graph: Graph) -> None:
    demo = await graph.value(
        "SELECT count(*) FROM opportunity JOIN workspace ON workspace.id = opportunity.workspace_id WHERE slug = 'demo'"
    )
    total = await graph.value("SELECT count(*) FROM opportunity")
    assert demo < total
    document = "query ($count: Int!) { opportunitiesAggregate(having: {count: {eq: $count}}) { groups { count } } }"
    assert (await graph.data(document, {"count": demo}))["opportunitiesAggregate"]["groups"] == [{"count": demo}]
    assert (await graph.data(document, {"count": total}))["opportunitiesAggregate"]["groups"] == []
