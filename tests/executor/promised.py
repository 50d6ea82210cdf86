"""How many statements a plan promises at most, whatever the rows: counted from the plan, not from the run."""

from __future__ import annotations

from typing import Any

from graphql import get_named_type, is_leaf_type, print_ast

from crm_graph.executor.plans import ObjectPlan, Plan, PlannedEdge
from crm_graph.graph.records.record import AS_OF
from crm_graph.graph.running.execution import Executor, PlannedExecutor


def promised_statements(executor: Executor) -> int | None:
    """Return the most statements that the plan used last may send; None where the reference answered instead."""
    assert isinstance(executor, PlannedExecutor)
    plan: Plan | None = next(reversed(executor.cache.plans), None)
    return None if plan is None else _of_object(plan.root)


def _of_object(plan: ObjectPlan) -> int:
    return sum(_of_edge(edge) for edge in plan.edges)


def _of_edge(edge: PlannedEdge) -> int:
    below = sum(_of_object(plan) for plan in edge.field.objects.values())
    if edge.fetch is None or edge.per_row:
        return below + _of_resolver(edge)
    return below + _own(edge) + _of_moment(edge) + _of_keys(edge)


READS = {"Query.changes": 1, "Query.explainAccess": 3, "Query.role": 1, "Query.roles": 1}
"""Plain resolvers that send statements themselves, and how many; all others of these types one."""
READING_TYPES = frozenset({"Viewer", "RolePayload"})


def _of_resolver(edge: PlannedEdge) -> int:
    if edge.field.parent.name in READING_TYPES:
        return 1
    return READS.get(edge.field.coordinate, 0)


def _of_moment(edge: PlannedEdge) -> int:
    """Return 1 where it is asked first whether the history has come so far."""
    given = any(argument.name.value == AS_OF for node in edge.field.nodes for argument in node.arguments or ())
    return int(given or edge.field.name == "history")


def _of_keys(edge: PlannedEdge) -> int:
    """Return 1 where a filter may look for an encrypted text, for which the workspace's keys are read."""
    filters = [arg.value for node in edge.field.nodes for arg in node.arguments or () if arg.name.value == "where"]
    return int(any("nationalId" in text or "$" in text for text in map(print_ast, filters)))


def _own(edge: PlannedEdge) -> int:
    """Return what the edge itself may send: a page with a count sends two, an abstract edge one for each type."""
    if is_leaf_type(get_named_type(edge.field.definition.type)):
        return 1
    if edge.abstract:
        return len(edge.field.objects)
    (plan,) = edge.field.objects.values()
    counts: list[Any] = [field for field in plan.fields if field.name in {"totalCount", "totalCountIsExact"}]
    return 1 + bool(counts)
