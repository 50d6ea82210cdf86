"""One plan for many requests: other variables, other data, other root values, and nothing kept from the last run."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from graphql import ExecutionResult, GraphQLSchema, get_variable_values, parse
from graphql import execute_sync as core_execute
from graphql.execution.values import VariableValues

from crm_graph.executor.execute import execute, run_root
from crm_graph.executor.fields import Bindings, Planning
from crm_graph.executor.planner import Planner, Unplanned
from crm_graph.executor.plans import Plan
from crm_graph.executor.results import Run
from tests.executor.behaviours.compare import Case, Context, definitions, pretty, response
from tests.executor.behaviours.plain import attach_plain
from tests.executor.behaviours.test_arguments import AT, ECHO
from tests.executor.behaviours.test_arguments import SDL as ARGUMENTS


def coerced(schema: GraphQLSchema, operation: str, variables: Mapping[str, Any]) -> VariableValues:
    """Return coerced variables of an operation that takes them."""
    node, _ = definitions(parse(operation))
    values = get_variable_values(schema, node.variable_definitions or (), dict(variables))
    assert isinstance(values, VariableValues)
    return values


def planned(schema: GraphQLSchema, bindings: Bindings, operation: str, variables: Mapping[str, Any]) -> Plan:
    """Return the plan of an operation, made for some variables."""
    node, fragments = definitions(parse(operation))
    return Planner(schema, bindings, Planning(None), node, fragments, coerced(schema, operation, variables)).plan()


OPERATION = """
query Q($v: String = "d", $list: [Int!], $in: In) {
  a: text(a: $v, b: "constant") b: numbers(list: $list) c: input(in: {more: $in, a: $v}) d: text
  at { text(a: $v) ...f } ats { ...f }
}
fragment f on At { again: text(b: $v) id }
"""
VARIABLES: tuple[dict[str, Any], ...] = (
    {},
    {"v": "x", "list": [1], "in": {"b": 1}},
    {"v": None, "list": None, "in": None},
    {"v": "y", "list": [], "in": {"more": {}}},
)


@pytest.mark.parametrize("first", range(len(VARIABLES)))
async def test_a_plan_serves_other_variables(first: int) -> None:
    case = Case("", ARGUMENTS, OPERATION, AT, answers=ECHO)
    schema = case.schema()
    plan = planned(schema, attach_plain(schema, case, "dicts"), OPERATION, VARIABLES[first])
    for variables in (*VARIABLES, *VARIABLES):
        ours = await execute(plan, Context(), coerced(schema, OPERATION, variables))
        theirs = core_execute(schema, parse(OPERATION), None, Context(), variables)
        assert pretty(response(ours)) == pretty(response(theirs))


async def test_a_plan_serves_requests_at_the_same_time() -> None:
    case = Case("", ARGUMENTS, OPERATION, AT, answers=ECHO)
    schema = case.schema()
    plan = planned(schema, attach_plain(schema, case, "async_resolvers"), OPERATION, {})
    many = [VARIABLES[index % 4] for index in range(40)]
    results = await asyncio.gather(*(execute(plan, Context(), coerced(schema, OPERATION, each)) for each in many))
    core_schema = case.schema()
    attach_plain(core_schema, case, "dicts")
    for variables, ours in zip(many, results, strict=True):
        theirs = core_execute(core_schema, parse(OPERATION), None, Context(), variables)
        assert pretty(response(ours)) == pretty(response(theirs))


async def test_failures_of_one_run_are_not_those_of_the_next() -> None:
    case = Case("", "type Query { must: Int! }", "{ must }", {"must": 1})
    schema = case.schema()
    bindings = attach_plain(schema, case, "dicts")
    answers = iter([ValueError("first"), 2, None, 4])
    assert schema.query_type is not None
    schema.query_type.fields["must"].resolve = lambda *_: next(answers)
    plan = planned(schema, bindings, case.operation, {})
    results = [await execute(plan, None, coerced(schema, case.operation, {})) for _ in range(4)]
    assert [result.data for result in results] == [None, {"must": 2}, None, {"must": 4}]
    assert [len(result.errors or ()) for result in results] == [1, 0, 1, 0]


async def test_a_resolver_that_changes_its_arguments_changes_them_for_itself() -> None:
    def swallow(_context: Any, **arguments: Any) -> str:
        return str(arguments["list"].pop())

    operation = "{ numbers(list: [1, 2]) }"
    case = Case("", ARGUMENTS, operation, answers={"Query.numbers": swallow})
    schema = case.schema()
    plan = planned(schema, attach_plain(schema, case, "dicts"), operation, {})
    results = [await execute(plan, None, coerced(schema, operation, {})) for _ in range(2)]
    assert [result.data for result in results] == [{"numbers": "2"}, {"numbers": "2"}]


async def from_root(sdl: str, operation: str, root_value: Any, resolvers: Mapping[str, Any]) -> tuple[str, str]:
    """Return the responses of both executors for a root value, ours first."""
    case = Case("", sdl, operation, resolvers=resolvers)
    schema = case.schema()
    bindings = attach_plain(schema, case, "dicts")
    plan = planned(schema, bindings, operation, {})
    ours: ExecutionResult = await run_root(plan, Run(Context(), coerced(schema, operation, {})), root_value)
    theirs = core_execute(schema, parse(operation), root_value, Context())
    return pretty(response(ours)), pretty(response(theirs))


async def test_the_root_value_is_the_source_and_in_the_info() -> None:
    ours, theirs = await from_root(
        "type Query { a: String thing: Thing } type Thing { b: String }",
        "{ a thing { b } }",
        {"number": 7},
        {
            "Query.a": lambda source, info: f"{source} {info.root_value}",
            "Query.thing": lambda *_: {"own": 1},
            "Thing.b": lambda source, info: f"{source} {info.root_value}",
        },
    )
    assert ours == theirs
    assert "{'own': 1} {'number': 7}" in ours


EVENTS = "type Query { any: Int } type Subscription { thing: Thing must: Thing! } type Thing { id: ID! name: String }"


@pytest.mark.parametrize("operation", ["{ thing { id name } }", "{ x: must { id __typename } }"])
@pytest.mark.parametrize("event", [{"id": "1", "name": "a"}, {"id": "1", "name": ValueError("boom")}, {"name": "a"}])
async def test_an_event_is_the_root_value_of_its_subscription(operation: str, event: Any) -> None:
    resolvers = {f"Subscription.{name}": lambda event, _info: event for name in ("thing", "must")}
    ours, theirs = await from_root(EVENTS, f"subscription {operation}", event, resolvers)
    assert ours == theirs


@pytest.mark.parametrize("operation", ["{ __schema { types { name } } }", '{ text __type(name: "In") { kind } }'])
def test_introspection_is_left_to_graphql_core(operation: str) -> None:
    case = Case("", ARGUMENTS, operation, answers=ECHO)
    schema = case.schema()
    with pytest.raises(Unplanned):
        planned(schema, attach_plain(schema, case, "dicts"), operation, {})
