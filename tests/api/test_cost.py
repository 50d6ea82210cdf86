"""The cost of operations: what is counted, what passes, what is refused before any SQL, and that nothing escapes it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from graphql import parse

from crm_graph.api.body import GraphQLRequest
from crm_graph.api.console.examples import EXAMPLES
from crm_graph.api.documents.cache import DocumentError
from crm_graph.api.documents.limits import ShapeLimits, check_shape
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.graph.schema.costs import FieldCosts
from crm_graph.kernel.settings import Settings
from tests.support.graph import Graph

CORPUS = Path(__file__).parents[1] / "executor" / "corpus"
FRONTEND_GRAPH = """
query Graph($customers: Int = 20, $children: Int) {
  customers(first: $customers) { nodes {
    name
    opportunities(first: $children) { nodes { name amount { amount currency } owner { name } } }
    tickets(first: $children) { nodes { subject } }
    orders(first: $children) { nodes { number lines(first: 10) { nodes { quantity } } } }
  } }
}
"""
TOO_MUCH = """
{ customers(first: 200) { nodes { orders { nodes { lines { nodes { order { lines { nodes { id } } } } } } } } } }
"""


@pytest.fixture(scope="module")
def costs(schema: BuiltSchema) -> FieldCosts:
    """What fields cost."""
    return schema.once(FieldCosts)


def cost(costs: FieldCosts, source: str, variables: dict[str, Any] | None = None) -> int:
    """Return the cost of a document's one operation."""
    ((_, found),) = check_shape(parse(source), ShapeLimits(), costs)
    return found.of(variables or {})


COSTS: dict[str, tuple[str, dict[str, Any], int]] = {
    "an object": ("{ customer(id: 1) { id name } }", {}, 1),
    "an edge": ("{ customer(id: 1) { owner { team { name } } } }", {}, 3),
    "what comes with its row": ("{ opportunity(id: 1) { amount { amount } } }", {}, 1),
    "a page": ("{ customers(first: 20) { nodes { id } } }", {}, 21),
    "a page backward": ("{ customers(last: 20) { nodes { id } } }", {}, 21),
    "the default page": ("{ customers { nodes { id } } }", {}, 51),
    "the default page below an object": ("{ customer(id: 1) { orders { nodes { id } } } }", {}, 12),
    "a page of an impossible size": ("{ customers(first: 99999) { nodes { id } } }", {}, 201),
    "a page of 5,000 digits": ("{ customers(first: " + "9" * 5_000 + ") { nodes { id } } }", {}, 201),
    "what a mutation reads": (
        'mutation { createCustomer(input: {name: "A"}) { customer { owner { id } } } }',
        {},
        10 + 2,
    ),
    "a mutation of many": (
        'mutation { createCustomers(inputs: [{name: "A"}, {name: "B"}]) { errors { code } } }',
        {},
        10 + 2,
    ),
    "what a mutation of many reads for each": (
        "mutation ($inputs: [CreateCustomerInput!]!) {"
        " createCustomers(inputs: $inputs) { results { customer { owner { id } } } } }",
        {"inputs": [{"name": "A"}] * 500},
        10 + 500 * (1 + 1 + 2),
    ),
    "both sizes": ("{ customers(first: 3, last: 5) { nodes { id } } }", {}, 6),
    "an empty page": ("{ customers(first: 0) { nodes { owner { id } } } }", {}, 3),
    "page information": ("{ customers(first: 9) { pageInfo { endCursor } } }", {}, 1),
    "a count": ("{ customers { totalCount } }", {}, 11),
    "counts below a page": ("{ customers(first: 3) { nodes { orders { totalCount } } } }", {}, 1 + 3 * (1 + 11)),
    "edges": ("{ customers(first: 3) { edges { cursor node { owner { id } } } } }", {}, 7),
    "edges and nodes": ("{ customers(first: 3) { edges { cursor } nodes { id } } }", {}, 7),
    "pages in pages": (
        "{ customers(first: 3) { nodes { orders(first: 4) { nodes { lines(first: 5) { nodes { id } } } } } } }",
        {},
        1 + 3 * (1 + 1 + 4 * (1 + 1 + 5)),
    ),
    "an aggregate": ("{ ordersAggregate { groups { count } } }", {}, 101),
    "edges of groups": ("{ ordersAggregate { groups { key { customer { name } } } } }", {}, 201),
    "an object by any id": ("query ($id: ID!) { node(id: $id) { id } }", {"id": "cus_1"}, 1),
    "some ids": ("{ nodes(ids: [1, 2, 3]) { ... on Customer { owner { id } } } }", {}, 6),
    "one id for a list": ('{ nodes(ids: "x") { id } }', {}, 1),
    "ids in a variable": ("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": ["a", "b"]}, 2),
    "too many ids": ("query ($ids: [ID!]!) { nodes(ids: $ids) { id } }", {"ids": ["a"] * 1000}, 100),
    "a mutation": ("mutation { shipOrder(input: {id: 1}) { order { owner { id } } errors { code } } }", {}, 12),
    "two mutations": (
        "mutation { shipOrder(input: {id: 1}) { errors { code } } closeOrder(input: {id: 1}) { errors { code } } }",
        {},
        20,
    ),
    "a subscription": ("subscription { opportunityChanged { opportunity { owner { id } } } }", {}, 3),
    "a size in a variable": ("query ($n: Int) { customers(first: $n) { nodes { id } } }", {"n": 7}, 8),
    "its default": ("query ($n: Int = 9) { customers(first: $n) { nodes { id } } }", {}, 10),
    "its default, not asked": ("query ($n: Int = 9) { customers(first: $n) { nodes { id } } }", {"n": 7}, 8),
    "no value": ("query ($n: Int) { customers(first: $n) { nodes { id } } }", {}, 51),
    "null": ("query ($n: Int = 9) { customers(first: $n) { nodes { id } } }", {"n": None}, 51),
    "a negative one": ("query ($n: Int) { customers(first: $n) { nodes { id } } }", {"n": -10}, 2),
    "a huge one": ("query ($n: Int) { customers(first: $n) { nodes { id } } }", {"n": 10**30}, 201),
    "a float": ("query ($n: Int) { customers(first: $n) { nodes { id } } }", {"n": 30.0}, 31),
    "a string": ("query ($n: Int) { customers(first: $n) { nodes { id } } }", {"n": "many"}, 2),
    "both in variables": (
        "query ($n: Int, $m: Int) { customers(first: $n, last: $m) { nodes { id } } }",
        {"n": 7, "m": 8},
        9,
    ),
    "variables in pages in pages": (FRONTEND_GRAPH, {"children": 5}, 1581),
    "skipped": ("{ customer(id: 1) { id owner @skip(if: true) { id } } }", {}, 1),
    "not included": ("{ customer(id: 1) { id owner @include(if: false) { id } } }", {}, 1),
    "included": ("{ customer(id: 1) { id owner @include(if: true) @skip(if: false) { id } } }", {}, 2),
    "skipped by a variable": (
        "query ($no: Boolean!) { customers(first: 2) { nodes @skip(if: $no) { id } totalCount } }",
        {"no": True},
        11,
    ),
    "not skipped by it": (
        "query ($no: Boolean!) { customers(first: 2) { nodes @skip(if: $no) { id } totalCount } }",
        {"no": False},
        13,
    ),
    "a skipped fragment": (
        "query ($no: Boolean = true) { ...Q @skip(if: $no) customer(id: 1) { id } }"
        " fragment Q on Query { customers { nodes { id } } }",
        {},
        1,
    ),
    "fragments on connections": (
        "query ($n: Int) { a: customers(first: $n) { ...P } b: customers(first: 2) { ... { ...P } } }"
        " fragment P on CustomerConnection { totalCount nodes { ... on Node { ... on Customer { owner { id } } } } }",
        {"n": 3},
        (1 + 10 + 3 * 2) + (1 + 10 + 2 * 2),
    ),
    "introspection": ("{ __typename }", {}, 0),
    "what validation refuses": ("{ nope { nope } customers { nodes { nope { id } } } ...N }", {}, 51),
}


@pytest.mark.parametrize(("source", "variables", "wanted"), COSTS.values(), ids=COSTS.keys())
def test_costs(costs: FieldCosts, source: str, variables: dict[str, Any], wanted: int) -> None:
    """Each rule by its smallest operation."""
    assert cost(costs, source, variables) == wanted


def test_what_frontends_send_is_far_below_the_limit(costs: FieldCosts) -> None:
    """The examples, and every operation of the executors' corpus."""
    sources = [example.operation for example in EXAMPLES] + [path.read_text() for path in CORPUS.glob("*.graphql")]
    found = [each.of({}) for source in sources for _, each in check_shape(parse(source), ShapeLimits(), costs)]
    assert len(found) > 40
    assert max(found) < Settings().max_cost / 4
    assert cost(costs, FRONTEND_GRAPH, {"customers": 20, "children": 5}) == 1581


def test_a_variable_size_is_evaluated_and_not_measured_again(costs: FieldCosts) -> None:
    """Doubling fragments with a variable in each would take 2**45 evaluations if parts were not shared."""
    chain = "".join(
        f"fragment F{i} on Customer {{ owner {{ id }} a: orders(first: $n) {{ nodes {{ customer {{ ...F{i + 1} }} }} }}"
        f" b: orders(first: $n) {{ nodes {{ customer {{ ...F{i + 1} }} }} }} }}"
        for i in range(45)
    )
    document = parse(f"query ($n: Int) {{ customer(id: 1) {{ ...F0 }} }} {chain} fragment F45 on Customer {{ id }}")
    unlimited = ShapeLimits(*[1 << 50] * 5)
    ((_, found),) = check_shape(document, unlimited, costs)
    started = time.perf_counter()
    assert found.of({"n": 1}) == 1 << 40
    assert time.perf_counter() - started < 1
    assert found.explain({"n": 1}).startswith("customer.a.nodes.customer.a.nodes.customer")


async def test_too_much_is_refused_before_any_sql(graph: Graph) -> None:
    """The message names the cost, the limit and where it comes from; not even the viewer is read."""
    request, claims = GraphQLRequest(TOO_MUCH), await graph.claims("admin")
    graph.database.one.sent.clear()
    with pytest.raises(DocumentError) as refused:
        await graph.engine.admission.operation(request, claims)
    assert refused.value.code == "COST_LIMIT_EXCEEDED"
    (error,) = refused.value.errors
    assert error.message == (
        "The cost of this operation is 264,401; the limit is 10,000. The most expensive path is"
        " `customers.nodes.orders.nodes.lines.nodes.order.lines.nodes`: ask for smaller pages there, or for less below"
        " them."
    )
    assert graph.database.one.sent == []


async def test_the_variables_decide(graph: Graph) -> None:
    """One document, kept once: it passes with small pages and is refused with large ones."""
    assert await graph.data(FRONTEND_GRAPH, {"customers": 1, "children": 1})
    refused = await graph.error(FRONTEND_GRAPH, {"customers": 200, "children": 5})
    assert refused["extensions"]["code"] == "COST_LIMIT_EXCEEDED"
    assert "15,801" in refused["message"]
    assert (graph.engine.documents.hits, graph.engine.documents.misses) == (1, 1)


async def test_the_limit_is_a_setting(database_url: str, schema: BuiltSchema, graph: Graph) -> None:
    """The limit is the last cost that passes."""
    strict = Graph(schema, graph.database, Settings(max_cost=6))
    assert await strict.data("{ customers(first: 5) { nodes { id } } }")
    refused = await strict.error("{ customers(first: 6) { nodes { id } } }")
    assert refused["extensions"]["code"] == "COST_LIMIT_EXCEEDED"


@pytest.mark.parametrize("asked", [True, False])
async def test_extensions_cost(graph: Graph, asked: bool) -> None:
    """Told when asked for, beside what else is in `extensions`."""
    request = GraphQLRequest(
        "{ customers(first: 2) { nodes { annualRevenue { amount } } } }", extensions={"cost": asked}
    )
    claims = await graph.claims("marketer")
    operation = await graph.engine.admission.operation(request, claims)
    body = (await graph.engine.execute(request, operation, claims)).body
    assert body["extensions"].get("cost") == ({"requested": 3, "limit": 10_000} if asked else None)
    assert body["extensions"]["withheld"] == ["Customer.annualRevenue"]


SHAPES = {
    "depth": "{ customer(id: 1) { " + "owner { manager { " * 6 + "id" + " } }" * 6 + " } }",
    "number of aliases": "{ " + " ".join(f"a{i}: __typename" for i in range(31)) + " }",
    "number of root fields": "{ " + "__typename " * 21 + "}",
    "number of fields, fragments expanded,": (
        "{ customers { nodes { ...A ...A ...A ...A } } }"
        + "".join(f"fragment {a} on Customer {{ {f'...{b} ' * 6} }} " for a, b in zip("ABCD", "BCDE", strict=True))
        + "fragment E on Customer { id name }"
    ),
    "number of statements": (
        "{ customers { nodes { ...A } } } "
        + "".join(
            f"fragment {a} on Customer {{ "
            + " ".join(
                f"{field} {{ nodes {{ customer {{ ...{b} }} }} }}" for field in ("orders", "opportunities", "contacts")
            )
            + " tickets { nodes { customer { id } } } owner { id } }"
            for a, b in zip("ABCD", "BCDE", strict=True)
        )
        + "fragment E on Customer { owner { id } }"
    ),
}


@pytest.mark.parametrize(("name", "source"), SHAPES.items(), ids=SHAPES.keys())
async def test_shapes(graph: Graph, name: str, source: str) -> None:
    """Every other limit, by the name that its message has."""
    limits = Settings(max_depth=30) if name == "number of statements" else Settings()
    strict = Graph(graph.schema, graph.database, limits)
    error = await strict.error(source)
    assert error["extensions"]["code"] == "COST_LIMIT_EXCEEDED"
    assert error["message"].startswith(f"The {name} of this operation is")
