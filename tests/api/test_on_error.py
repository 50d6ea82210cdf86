"""The request parameter `onError`: where it is read, and what is no value of it."""

from __future__ import annotations

from typing import Any

import pytest

from crm_graph.api.body import BadRequest, parse_request
from crm_graph.api.http import GraphQLEndpoint
from crm_graph.api.incoming import Incoming
from crm_graph.executor.results import OnError
from tests.support.graph import Graph

QUERY = "{ customers(first: 1) { nodes { name contacts(first: -1) { totalCount } } } }"


@pytest.mark.parametrize("value", OnError)
def test_its_values(value: OnError) -> None:
    assert parse_request({"query": "{ a }", "onError": value.value}).on_error is value


@pytest.mark.parametrize("request_", [{"query": "{ a }"}, {"query": "{ a }", "onError": None}])
def test_the_default(request_: dict[str, Any]) -> None:
    assert parse_request(request_).on_error is OnError.PROPAGATE


@pytest.mark.parametrize("value", ["", "null", "IGNORE", 1, True, [], {"NULL": 1}])
def test_other_values_are_refused(value: Any) -> None:
    with pytest.raises(BadRequest, match="`onError` must be `NULL`, `PROPAGATE` or `HALT`"):
        parse_request({"query": "{ a }", "onError": value})


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
