"""The level MEASURE: sums over enough values that may not be read, and nothing that says what one of them is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest

from tests.support.graph import Graph

LEAST = 5


def step_of(values: Sequence[Decimal]) -> Decimal:
    """Return the power of ten at or below the greatest value."""
    return Decimal(1).scaleb(max(*map(abs, values), Decimal(1)).adjusted())


def told(values: Sequence[Decimal]) -> Decimal | None:
    """Return what may be told of the sum of values that may not be read."""
    if len(values) < LEAST:
        return None
    step = step_of(values)
    return (sum(values, Decimal()) / step).quantize(Decimal(1), "ROUND_HALF_UP") * step


def number(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


async def amounts(graph: Graph, key: str) -> dict[Any, list[Decimal]]:
    """Return the amounts of all deals by a column, past all rights."""
    found: dict[Any, list[Decimal]] = defaultdict(list)
    rows = await graph.rows(
        f"SELECT {key} AS key, amount FROM opportunity JOIN workspace ON workspace.id = opportunity.workspace_id"
        " WHERE slug = 'demo'"
    )
    for row in rows:
        found[row["key"]] += [] if row["amount"] is None else [Decimal(row["amount"])]
    return found


async def sums(graph: Graph, arguments: str = "", **options: Any) -> list[Any]:
    document = f"{{ opportunitiesAggregate{arguments} {{ groups {{ count sum {{ amount }} avg {{ amount }} }} }} }}"
    data = await graph.data(document, **{"role": "marketer", **options})
    return [number(group["sum"]["amount"]) for group in data["opportunitiesAggregate"]["groups"]]


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_a_sum_is_told_of_enough_values_and_rounded(graph: Graph, executor: str) -> None:
    graph.use(executor)
    await graph.rows("UPDATE opportunity SET currency = 'CNY'")
    wanted = {key: told(values) for key, values in (await amounts(graph, "stage_id")).items()}
    wanted |= {("customer", key): told(values) for key, values in (await amounts(graph, "customer_id")).items()}
    assert any(value is None for value in wanted.values())
    assert any(value is not None for value in wanted.values())
    body = await graph.execute(
        """{ opportunitiesAggregate(groupBy: [{field: STAGE}]) { groups { key { stage { id } } count sum { amount } } }
        customers(first: 200) { nodes { id opportunitiesAggregate { count sum { amount } } } } }""",
        role="marketer",
    )
    assert "errors" not in body
    assert "Opportunity.amount" in body["extensions"]["withheld"]
    for group in body["data"]["opportunitiesAggregate"]["groups"]:
        assert number(group["sum"]["amount"]) == wanted[group["key"]["stage"]["id"].partition("_")[2]]
    nodes = body["data"]["customers"]["nodes"]
    assert len(nodes) > 20
    for node in nodes:
        found = number(node["opportunitiesAggregate"]["sum"]["amount"])
        assert found == wanted.get(("customer", node["id"].partition("_")[2].replace("-", "")))


async def test_two_sums_that_differ_by_a_row_do_not_tell_its_value(graph: Graph) -> None:
    await graph.rows("UPDATE opportunity SET amount = 54321, currency = 'CNY' WHERE amount IS NOT NULL")
    id_ = await graph.value(
        "SELECT replace(min(id::text), '-', '') FROM opportunity WHERE amount IS NOT NULL AND name IS NOT NULL"
        " AND workspace_id = (SELECT id FROM workspace WHERE slug = 'demo')"
    )
    await graph.rows("UPDATE opportunity SET amount = 1234.56, name = 'the one' WHERE id = $1", id_)
    (whole,) = await sums(graph)
    (without,) = await sums(graph, '(where: {name: {ne: "the one"}})')
    (alone,) = await sums(graph, '(where: {name: {eq: "the one"}})')
    assert alone is None
    assert (whole - without) % 10_000 == 0
    groups = "groups { matching { count sum { amount } avg { amount } } }"
    document = f'{{ opportunitiesAggregate(matching: {{name: {{eq: "the one"}}}}) {{ {groups} }} }}'
    (group,) = (await graph.data(document, role="marketer"))["opportunitiesAggregate"]["groups"]
    assert group == {"matching": {"count": 1, "sum": {"amount": None}, "avg": {"amount": None}}}


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_a_sum_in_several_currencies_is_told_to_nobody(graph: Graph, executor: str) -> None:
    """Neither to who may not read the currency: by it the marketer cannot even group."""
    graph.use(executor)
    await graph.rows("UPDATE opportunity SET amount = 54321, currency = 'EUR'")
    (told_,) = await sums(graph)
    assert told_ is not None
    await graph.rows(
        "UPDATE opportunity SET currency = 'USD' WHERE id = (SELECT min(id::text)::uuid FROM opportunity"
        " WHERE workspace_id = (SELECT id FROM workspace WHERE slug = 'demo'))"
    )
    document = """{ opportunitiesAggregate(having: {sum: {amount: {isNull: true}}}) {
      groups { count sum { amount weightedAmount } avg { amount } matching { sum { amount } } } }
      more: opportunitiesAggregate(having: {sum: {amount: {gt: "0"}}}) { groups { count } } }"""
    for role in ("marketer", "admin"):
        data = await graph.data(document, role=role)
        (group,) = data["opportunitiesAggregate"]["groups"]
        assert group["sum"] == {"amount": None, "weightedAmount": None}
        assert group["avg"] == group["matching"]["sum"] == {"amount": None}
        assert data["more"]["groups"] == []
    error = await graph.error("{ opportunitiesAggregate { groups { currencies } } }", role="marketer")
    assert error["extensions"]["code"] == "FORBIDDEN"


async def test_groups_are_kept_and_ordered_by_what_is_told(graph: Graph) -> None:
    await graph.rows("UPDATE opportunity SET currency = 'CNY'")
    rows = await graph.rows(
        "SELECT id FROM opportunity WHERE amount > 0 AND workspace_id ="
        " (SELECT id FROM workspace WHERE slug = 'demo') ORDER BY id LIMIT 4"
    )
    ids = ", ".join(f'"opp_{row["id"]}"' for row in rows)
    small = f"where: {{id: {{in: [{ids}]}}}}"
    assert await sums(graph, f"({small})") == [None]
    assert await sums(graph, f'({small}, having: {{sum: {{amount: {{gt: "0"}}}}}})') == []
    assert await sums(graph, f"({small}, having: {{avg: {{amount: {{isNull: true}}}}}})") == [None]
    order = "groupBy: [{field: STAGE}], orderBy: [{measure: SUM, of: AMOUNT, direction: DESC}]"
    found = await sums(graph, f"({order})")
    shown = [value for value in found if value is not None]
    assert shown == sorted(shown, reverse=True)
    assert len(shown) > 1
    assert found == [*shown, *[None] * (len(found) - len(shown))]


@pytest.mark.parametrize(
    "field",
    [
        "opportunitiesAggregate { groups { min { amount } } }",
        "opportunitiesAggregate { groups { max { amount } } }",
        "opportunitiesAggregate { groups { matching { max { amount } } } }",
        "opportunitiesAggregate { groups { max { weightedAmount } } }",
        'opportunitiesAggregate(where: {amount: {gt: "1"}}) { groups { count } }',
        'opportunitiesAggregate(matching: {amount: {gt: "1"}}) { groups { share } }',
        'opportunitiesAggregate(having: {max: {amount: {gt: "1"}}}) { groups { count } }',
        "opportunitiesAggregate(orderBy: [{measure: MAX, of: AMOUNT}]) { groups { count } }",
        "opportunitiesAggregate(groupBy: [{field: CURRENCY}]) { groups { sum { amount } } }",
        "ordersAggregate(groupBy: [{field: OPPORTUNITY_CURRENCY}]) { groups { count } }",
        "opportunities(orderBy: [{field: AMOUNT}]) { totalCount nodes { id } }",
        'customers(where: {opportunities: {some: {amount: {gt: "1"}}}}) { totalCount }',
    ],
)
async def test_nothing_else_is_told(graph: Graph, field: str) -> None:
    error = await graph.error(f"{{ {field} }}", role="marketer")
    assert error["extensions"]["code"] == "FORBIDDEN"
    assert error["message"].endswith("Opportunity.amount.")
    assert graph.statements == 0


async def test_the_field_itself_is_null(graph: Graph) -> None:
    data = await graph.execute("{ opportunities(first: 50) { nodes { amount { amount } } } }", role="marketer")
    assert {str(node["amount"]) for node in data["data"]["opportunities"]["nodes"]} == {"None"}
    assert data["extensions"]["withheld"] == ["Opportunity.amount"]


async def test_what_the_viewer_may_read_does_not_count(graph: Graph) -> None:
    """Who reads the amounts of their own deals could take them off: at least five others must be in a sum."""
    member = (await graph.claims("sales_rep")).member_id
    await graph.rows(
        """INSERT INTO role (workspace_id, id, name, description, grants, version, created_at, updated_at)
        SELECT id, gen_random_uuid(), 'counter', '', $1, 1, now(), now() FROM workspace WHERE slug = 'demo'""",
        {"Opportunity": {"read": "ALL", "fields": {"amount": ["READ OWN", "MEASURE ALL"]}}},
    )
    await graph.rows("UPDATE member_role SET role = 'counter' WHERE member_id = $1", member)
    mine = await graph.rows(
        "SELECT id, amount FROM opportunity WHERE owner_id = $1 AND amount IS NOT NULL ORDER BY id LIMIT 8", member
    )
    others = await graph.rows(
        "SELECT id, amount FROM opportunity WHERE owner_id <> $1 AND amount IS NOT NULL AND workspace_id ="
        " (SELECT workspace_id FROM member WHERE id = $1) ORDER BY id LIMIT 5",
        member,
    )
    assert len(mine) >= 2
    for count, told_ in ((0, True), (1, False), (4, False), (5, True)):
        rows = [*mine, *others[:count]]
        ids = ", ".join(f'"opp_{row["id"]}"' for row in rows)
        (found,) = await sums(graph, f"(where: {{id: {{in: [{ids}]}}}})", role="counter")
        hidden = [Decimal(row["amount"]) for row in others[:count]]
        own = sum(Decimal(row["amount"]) for row in mine)
        assert found == ((own + (told(hidden) or 0)) if told_ else None), count
