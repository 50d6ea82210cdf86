"""How many statements a plan promises at most, whatever the rows: counted from the plan, not from the run."""

from __future__ import annotations

from typing import Any

from graphql import get_named_type, is_leaf_type

from crm_graph.executor.plans import ObjectPlan, Plan, PlannedEdge
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
    return below + (_own(edge) if edge.fetch is not None and not edge.per_row else _of_resolver(edge))


READS = {"Query.changes": 1, "Query.explainAccess": 3, "Query.role": 1, "Query.roles": 1}
"""Plain resolvers that send statements themselves, and how many; all others of these types one."""
READING_TYPES = frozenset({"Viewer", "RolePayload"})


def _of_resolver(edge: PlannedEdge) -> int:
    if edge.field.parent.name in READING_TYPES:
        return 1
    return READS.get(edge.field.coordinate, 0)


def _own(edge: PlannedEdge) -> int:
    """Return what the edge itself may send: a page with a count sends two, an abstract edge one for each type."""
    if is_leaf_type(get_named_type(edge.field.definition.type)):
        return 1
    if edge.abstract:
        return len(edge.field.objects)
    (plan,) = edge.field.objects.values()
    counts: list[Any] = [field for field in plan.fields if field.name == "totalCount"]
    return 1 + bool(counts)
