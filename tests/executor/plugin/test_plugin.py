"""Resolvers and batch functions on fetched rows: both executors answer alike, ours without leaving the plan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from crm_graph.graph.running.execution import PlannedExecutor
from crm_graph.graph.schema.build import BuiltSchema
from tests.executor.answers import comparable
from tests.executor.plugin.slice import CALLS, make_plugged_schema
from tests.support.database import savepoint
from tests.support.graph import Graph


@pytest.fixture(scope="module")
def plugged_schema() -> BuiltSchema:
    """The product's schema with the plug-in."""
    return make_plugged_schema()


@pytest.fixture
async def plugged(database_url: str, plugged_schema: BuiltSchema) -> AsyncIterator[Graph]:
    """The graph of the schema with the plug-in."""
    async with savepoint(database_url) as database:
        yield Graph(plugged_schema, database)


async def same(graph: Graph, source: str, **options: Any) -> dict[str, Any]:
    """Return the answer of both executors, which must be the same, ours from a plan."""
    graph.use("reference")
    theirs = await graph.execute(source, **options)
    await graph.database.one.idle()
    graph.use("planned")
    CALLS.clear()
    ours = await graph.execute(source, **options)
    reference, planned = comparable([theirs, ours], set())
    assert planned == reference
    executor = graph.engine.execution.executor
    assert isinstance(executor, PlannedExecutor)
    assert None not in executor.cache.plans, "the reference answered"
    return ours


@pytest.mark.parametrize(
    "selection",
    [
        'shout quiet: shout(suffix: "")',
        "name longName",
        "name must",
        "contactNames shout",
        "unknown",
        "revenue annualRevenue { amount label }",
        "id annualRevenue { label amount l2: label }",
        "notes { text loud words(limit: 1) author { name whisper } }",
        "notes { words(limit: -1) __typename }",
        "remarks { __typename text ... on Note { loud author { name } } ... on Warn { level } }",
        "owner { name whisper } parent { name shout parent { shout contactNames notes { loud } rank(plus: 2) } }",
        "contacts(first: 2) { nodes { customer { shout contactNames } } edges { node { customer { initial } } } }",
        "subsidiaries(first: 2) { nodes { shout contactNames owner { whisper } } }",
        "rank(plus: 1) other: rank(plus: 3) name",
        "remembered { text loud author { name whisper } }",
        "miscounted",
        "rich initial",
    ],
)
@pytest.mark.parametrize("role", ["admin", "sales_rep", "analyst", "support_agent"])
async def test_both_executors_answer_alike(plugged: Graph, selection: str, role: str) -> None:
    await same(plugged, f"{{ customers(first: 8) {{ nodes {{ {selection} }} }} }}", role=role)


async def test_the_answers_are_those_of_the_functions(plugged: Graph) -> None:
    source = """{ customers(first: 3) { nodes {
        id name shout longName contactNames rank(plus: 10) owner { id name }
        notes { text loud author { id name } } remembered { text } contacts { nodes { name } }
    } } }"""
    answer = await same(plugged, source)
    nodes = answer["data"]["customers"]["nodes"]
    assert len(nodes) == 3
    for node in nodes:
        name = node["name"]
        assert node["shout"] == f"{name}!".upper()
        assert sorted(node["contactNames"]) == sorted(each["name"] for each in node["contacts"]["nodes"])
        assert [each["text"] for each in node["remembered"]] == node["contactNames"]
        assert node["longName"] == (name if len(name) % 3 == 2 else None)
        assert node["rank"] == (None if name[0] in "AEIOU" else len(name) + 10)
        assert [each["author"] for each in node["notes"]] == [node["owner"], None]
        assert node["notes"][0]["loud"] == node["notes"][0]["text"].upper()
    failed = {tuple(error["path"]) for error in answer.get("errors", ())}
    assert failed == {
        ("customers", "nodes", index, field)
        for index, node in enumerate(nodes)
        for field, fails in (("longName", len(node["name"]) % 3 == 0), ("rank", node["name"][0] in "AEIOU"))
        if fails
    }


async def test_a_level_is_one_statement_and_one_call(plugged: Graph) -> None:
    await same(plugged, "{ customers(first: 20) { nodes { contactNames } } }")
    assert (CALLS["loader"], plugged.statements) == (1, 2)
    await same(plugged, "{ customers(first: 20) { nodes { remembered { author { name } } rank(plus: 1) } } }")
    assert plugged.statements == 3
    assert (CALLS["remembered"], CALLS["ranks"], CALLS["ranked"]) == (1, 1, 20)


async def test_a_shared_record_is_asked_once(plugged: Graph) -> None:
    await same(plugged, "{ contacts(first: 50) { nodes { customer { rank(plus: 1) shout } } } }")
    customers = await plugged.data("{ contacts(first: 50) { nodes { customer { id } } } }")
    distinct = {node["customer"]["id"] for node in customers["contacts"]["nodes"]}
    assert CALLS["shout"] == CALLS["ranked"] == len(distinct) < 50


async def test_functions_see_what_the_viewer_may_see(plugged: Graph) -> None:
    source = "{ customers(first: 30) { nodes { revenue rich shout } } }"
    seen = await plugged.data(source)
    assert any(node["revenue"] and node["rich"] is not None for node in seen["customers"]["nodes"])
    hidden = await same(plugged, source, role="marketer")
    nodes = hidden["data"]["customers"]["nodes"]
    assert nodes
    assert all(node["revenue"] is None and node["rich"] is None and node["shout"] for node in nodes)
    assert "Customer.annualRevenue" in hidden["extensions"]["withheld"]


async def test_below_a_mutation(plugged: Graph) -> None:
    source = """mutation { createCustomer(input: {name: "Mut", kind: COMPANY}) {
        customer { shout contactNames rank(plus: 1) } errors { code } } }"""
    body = await plugged.data(source)
    assert body["createCustomer"]["customer"] == {"shout": "MUT!", "contactNames": [], "rank": 4}
