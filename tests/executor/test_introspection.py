"""Introspection: answered once by graphql-core, then from a cache bounded in bytes, beside the data of a plan."""

from __future__ import annotations

import sys
from typing import Any

import orjson
import pytest
from graphql import build_schema, execute_sync, get_introspection_query

from crm_graph.graph.running.execution import PlannedExecutor
from crm_graph.graph.schema.cut import CutSchemas, cut_to_role
from crm_graph.graph.schema.introspection import BYTES_PER_JSON_BYTE, Introspection
from tests.support.graph import Graph

FULL = get_introspection_query()
MIXED = "query ($name: String!) { __type(name: $name) { name kind } customers(first: 1) { nodes { id } } }"


@pytest.fixture
def executed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The variables of what graphql-core was asked."""
    asked: list[Any] = []

    def counted(*positional: Any, **options: Any) -> Any:
        asked.append(options["variable_values"])
        return execute_sync(*positional, **options)

    monkeypatch.setattr("crm_graph.graph.schema.introspection.execute_sync", counted)
    return asked


async def test_the_second_answer_comes_from_the_cache(graph: Graph, executed: list[Any]) -> None:
    first = await graph.data(FULL)
    second = await graph.data(FULL)
    assert first == second
    assert len(first["__schema"]["types"]) > 100
    assert executed == [{}]
    assert graph.statements == 0
    graph.use("reference")
    assert await graph.data(FULL) == first


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_everybody_sees_the_schema_cut_to_their_roles(graph: Graph, executor: str) -> None:
    graph.use(executor)
    mine = {each["name"]: each for each in (await graph.data(FULL, role="marketer"))["__schema"]["types"]}
    whole = build_schema(cut_to_role(graph.schema, "marketer"))
    assert mine.keys() == whole.type_map.keys()
    assert "amount" not in [field["name"] for field in mine["Opportunity"]["fields"]]
    assert "OpportunityLine" not in mine
    assert "createRole" not in [field["name"] for field in mine["Mutation"]["fields"]]
    hidden = await graph.data('{ __type(name: "OpportunityLine") { name } }', role="marketer")
    assert hidden == {"__type": None}
    node = await graph.data('{ __type(name: "Node") { possibleTypes { name } } }', role="marketer")
    assert "OpportunityLine" not in [each["name"] for each in node["__type"]["possibleTypes"]]
    admins = await graph.data('{ __type(name: "OpportunityLine") { name } }')
    assert admins == {"__type": {"name": "OpportunityLine"}}


async def test_answers_are_kept_by_their_variables(graph: Graph, executed: list[Any]) -> None:
    for name in ("Customer", "Money", "Customer"):
        data = await graph.data(MIXED, {"name": name})
        assert data["__type"] == {"name": name, "kind": "OBJECT"}
        assert len(data["customers"]["nodes"]) == 1
        assert graph.statements == 1
    assert executed == [{"name": "Customer"}, {"name": "Money"}]


async def test_a_plan_serves_it(graph: Graph) -> None:
    await graph.data("{ __schema { queryType { name } } __typename }")
    executor = graph.engine.execution.executor
    assert isinstance(executor, PlannedExecutor)
    assert None not in executor.cache.plans
    assert len(executor.introspection.cache) == 1


async def test_the_cache_is_bounded(graph: Graph) -> None:
    executor = graph.engine.execution.executor
    assert isinstance(executor, PlannedExecutor)
    executor.introspection = Introspection(CutSchemas(graph.schema), 10_000)
    for name in graph.schema.core.type_map:
        await graph.data("query ($name: String!) { __type(name: $name) { name } }", {"name": name})
    cache = executor.introspection.cache
    assert 0 < len(cache) < len(graph.schema.core.type_map)
    assert cache.bytes <= 10_000
    await graph.data(FULL)
    assert cache.bytes <= 10_000


async def test_what_an_answer_takes(graph: Graph) -> None:
    """The estimate is no less than what the objects take."""
    data = await graph.data(FULL)
    seen: set[int] = set()

    def size(value: Any) -> int:
        if id(value) in seen:
            return 0
        seen.add(id(value))
        inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else ()
        return sys.getsizeof(value) + sum(size(each) for each in inner)

    taken, text = size(data), len(orjson.dumps(data))
    assert taken < BYTES_PER_JSON_BYTE * text, (taken, text)


async def test_an_unknown_type_is_null(graph: Graph, executed: list[Any]) -> None:
    for _ in range(2):
        assert await graph.data('{ __type(name: "Nothing") { name } }') == {"__type": None}
    assert len(executed) == 1
