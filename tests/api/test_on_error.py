"""The request parameter `onError`: where it is read, and what is no value of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from graphql import is_non_null_type

from crm_graph.api.body import BadRequest, parse_request
from crm_graph.api.transport.http import GraphQLEndpoint
from crm_graph.api.transport.incoming import Incoming
from crm_graph.executor.results import OnError
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.ids import decode_id
from tests.support.graph import Graph

QUERY = "{ customers(first: 1) { nodes { name contacts(first: -1) { totalCount } } } }"


@pytest.mark.parametrize("value", OnError)
def test_its_values(value: OnError) -> None:
    within = {"extensions": {"onError": value.value}}
    assert parse_request({"query": "{ a }", "onError": value.value}).on_error is value
    assert parse_request({"query": "{ a }", **within}).on_error is value
    assert parse_request({"query": "{ a }", "onError": value.value, **within}).on_error is value


@pytest.mark.parametrize("given", [{}, {"onError": None}, {"extensions": {"onError": None}}, {"extensions": None}])
def test_where_a_request_does_not_say_it(given: dict[str, Any]) -> None:
    assert parse_request({"query": "{ a }", **given}).on_error is None


def test_two_that_differ_are_refused() -> None:
    with pytest.raises(BadRequest, match="`onError` is NULL and the extension HALT: send one of them"):
        parse_request({"query": "{ a }", "onError": "NULL", "extensions": {"onError": "HALT"}})


@pytest.mark.parametrize("value", ["", "null", "IGNORE", 1, True, [], {"NULL": 1}])
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(BadRequest, match="`onError` must be `NULL`, `PROPAGATE` or `HALT`"):
        parse_request({"query": "{ a }", "onError": value})
    with pytest.raises(BadRequest, match="The extension `onError` must be `NULL`, `PROPAGATE` or `HALT`"):
        parse_request({"query": "{ a }", "extensions": {"onError": value}})


async def test_it_is_a_parameter_of_get(graph: Graph) -> None:
    async def receive() -> Any:
        raise AssertionError("GET has no body")

    endpoint = GraphQLEndpoint(graph.engine)
    parsed = await endpoint._parse(Incoming("GET", (), b"query=%7Ba%7D&onError=HALT", receive))
    assert parsed.on_error is OnError.HALT


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_what_it_does(graph: Graph, executor: str) -> None:
    graph.use(executor)
    bodies = {value: await graph.execute(QUERY, on_error=value) for value in OnError}
    nodes = bodies[OnError.NULL]["data"]["customers"]["nodes"]
    assert [each["contacts"] for each in nodes] == [None]
    assert nodes[0]["name"]
    assert bodies[OnError.PROPAGATE]["data"] is None
    assert bodies[OnError.HALT]["data"] is None
    for body in bodies.values():
        (error,) = body["errors"]
        assert error["path"] == ["customers", "nodes", 0, "contacts"]


FAILING = "{ __typename customers(first: -1) { totalCount } }"
SET = """mutation ($id: ID!, $to: OnError) {
  updateApiClient(input: {id: $id, onError: $to}) { apiClient { onError } errors { code } } }"""


@pytest.fixture
async def client(graph: Graph) -> tuple[str, Claims]:
    """A client of the API and the claims of a token that names it."""
    source = 'mutation { createApiClient(input: {name: "web"}) { apiClient { id onError } } }'
    made = (await graph.data(source))["createApiClient"]["apiClient"]
    assert made["onError"] is None
    inner = decode_id("apc", made["id"])
    return made["id"], replace(await graph.claims("admin"), client_id=inner)


def expire(graph: Graph) -> None:
    """Let what the edge has read of clients be over."""
    clients = graph.engine.trusted._clients
    later = clients._clock() + graph.engine.settings.trusted_cache_ms / 1000
    clients._clock = lambda: later


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_the_default_of_a_client(graph: Graph, client: tuple[str, Claims], executor: str) -> None:
    graph.use(executor)
    id_, claims = client
    assert (await graph.execute(FAILING, claims=claims))["data"] is None
    for value, left in (("NULL", True), ("HALT", False), ("PROPAGATE", False), (None, False)):
        changed = await graph.data(SET, {"id": id_, "to": value})
        assert changed["updateApiClient"] == {"apiClient": {"onError": value}, "errors": []}
        expire(graph)
        body = await graph.execute(FAILING, claims=claims)
        assert (body["data"] is not None) == left
        statements = graph.statements
        assert (await graph.execute(FAILING, claims=claims, on_error=OnError.NULL))["data"]["customers"] is None
        assert (await graph.execute(FAILING))["data"] is None  # of no client
        assert graph.statements == statements  # the default is read with the document mode


async def test_a_new_client_has_the_default_it_is_given(graph: Graph) -> None:
    source = 'mutation { createApiClient(input: {name: "new", onError: NULL}) { apiClient { onError } } }'
    assert (await graph.data(source))["createApiClient"]["apiClient"] == {"onError": "NULL"}


MAKE = 'createCustomer(input: {name: "%s"}) { customer { name } errors { code } }'
DONE = {"customer": {"name": "first"}, "errors": []}


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_what_a_mutation_committed_is_answered_whatever_follows(graph: Graph, executor: str) -> None:
    """`b` is refused as a whole: a representative may not create products."""
    graph.use(executor)
    refused = 'createProduct(input: {name: "x", sku: "x"}) { product { id } errors { code } }'
    source = f"mutation {{ a: {MAKE % 'first'} b: {refused} c: {MAKE % 'third'} }}"
    body = await graph.execute(source, role="sales_rep")
    assert body["data"] == {"a": DONE, "b": None, "c": {"customer": {"name": "third"}, "errors": []}}
    (error,) = body["errors"]
    assert (error["path"], error["extensions"]["code"]) == (["b"], "FORBIDDEN")
    assert await graph.value("SELECT count(*) FROM customer WHERE name IN ('first', 'third')") == 2


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_halt_ends_mutations_at_the_first_error(graph: Graph, executor: str) -> None:
    """Who asks for it is told by `data: null` and the error's path that those before it are done."""
    graph.use(executor)
    refused = 'createProduct(input: {name: "x", sku: "x"}) { product { id } }'
    source = f"mutation {{ a: {MAKE % 'first'} b: {refused} c: {MAKE % 'third'} }}"
    body = await graph.execute(source, role="sales_rep", on_error=OnError.HALT)
    assert (body["data"], [error["path"] for error in body["errors"]]) == (None, [["b"]])
    assert await graph.value("SELECT count(*) FROM customer WHERE name IN ('first', 'third')") == 1


def test_no_mutation_is_promised(schema: BuiltSchema) -> None:
    assert schema.core.mutation_type is not None
    promised = [name for name, each in schema.core.mutation_type.fields.items() if is_non_null_type(each.type)]
    assert promised == []
