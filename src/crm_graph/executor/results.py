"""Errors in a breadth-first run: markers in the result tree until the end, then paths and null propagation in one walk.

While objects are built level by level nobody knows the index path of a row, and a customer that fifty opportunities
share is built once. So a failure is left as a `Failure` in the place of the value. Only when a run made one, `settle`
walks the tree: it gives each occurrence its path, and lets null rise to the nearest nullable parent, as the
specification says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from graphql import GraphQLError, GraphQLOutputType, is_list_type, is_non_null_type, located_error
from graphql.execution.values import VariableValues
from graphql.pyutils import is_iterable

from crm_graph.executor.fields import INHERITED
from crm_graph.executor.plans import ObjectPlan, PlannedField

Path = tuple[str | int, ...]


class OnError(Enum):
    """What an error does to the response, as a client may choose: GraphQL's proposal `onError`."""

    NULL = "NULL"
    """The failed position is null, also where its type forbids it; every error is reported."""
    PROPAGATE = "PROPAGATE"
    """Null rises from a position that must not be null to the nearest that may."""
    HALT = "HALT"
    """The first error ends the operation: no data, and that error."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Stands where a value would stand, had it not failed."""

    error: Exception
    field: PlannedField


@dataclass(slots=True)
class Run:
    """One run of a plan: what sources receive, and whether anything failed."""

    context: Any
    variables: VariableValues
    root_value: Any = None
    on_error: OnError = OnError.PROPAGATE
    failed: bool = False
    types: dict[int, str] = field(default_factory=dict)
    """The concrete type of each object built at an abstract place, by `id` of the object."""
    above: Mapping[str, Any] = field(default_factory=dict)
    """What the sources of this part of the run inherit."""
    whole: Run | None = None
    """The run of which this is a part; None for the whole one."""

    def below(self, arguments: Mapping[str, Any]) -> Run:
        """Return the run of what lies below a source with these arguments."""
        if INHERITED not in arguments or arguments[INHERITED] == self.above.get(INHERITED):
            return self
        above = {INHERITED: arguments[INHERITED]}
        return Run(
            self.context,
            self.variables,
            self.root_value,
            self.on_error,
            types=self.types,
            above=above,
            whole=self.whole or self,
        )

    def fail(self, planned: PlannedField, error: Exception) -> Failure:
        """Return the marker for a failed value."""
        (self.whole or self).failed = True
        return Failure(error, planned)

    def fail_null(self, planned: PlannedField) -> Failure:
        """Return the marker for a null where the schema promises a value."""
        return self.fail(planned, TypeError(f"Cannot return null for non-nullable field {planned.coordinate}."))


class _NullPropagates(Exception):
    """Raised within `settle` when a non-null place is null; caught at the nearest nullable one."""


class _Halts(Exception):
    """Raised within `settle` at the first error, in the order of the document, where that ends the operation."""


def settle(run: Run, plan: ObjectPlan, data: dict[str, Any]) -> tuple[dict[str, Any] | None, list[GraphQLError]]:
    """Return the final data and errors of a run whose tree can hold failures. The tree itself is left as it is."""
    errors: list[GraphQLError] = []
    try:
        return _object(run, plan, data, (), errors), errors
    except (_NullPropagates, _Halts):
        return None, errors


def propagates(run: Run, planned: PlannedField, value: Any) -> bool:
    """Return whether the value of a root field will make the whole data null."""
    try:
        _value(run, planned, planned.definition.type, value, (planned.response_key,), [])
    except (_NullPropagates, _Halts):
        return True
    return False


def _object(run: Run, plan: ObjectPlan, value: Mapping[str, Any], path: Path, errors: list[GraphQLError]) -> Any:
    return {
        planned.response_key: _value(
            run,
            planned,
            planned.definition.type,
            value[planned.response_key],
            (*path, planned.response_key),
            errors,
        )
        for planned in plan.fields
    }


def _value(
    run: Run, planned: PlannedField, type_: GraphQLOutputType, value: Any, path: Path, errors: list[GraphQLError]
) -> Any:
    if is_non_null_type(type_):
        if value is None:
            value = run.fail_null(planned)
        inner = _value(run, planned, type_.of_type, value, path, errors)
        if inner is None and run.on_error is OnError.PROPAGATE:
            raise _NullPropagates
        return inner
    if value is None:
        return None
    if isinstance(value, Failure):
        errors.append(located(value, path))
        if run.on_error is OnError.HALT:
            raise _Halts
        return None
    try:
        if is_list_type(type_) and is_iterable(value):
            return [
                _value(run, planned, type_.of_type, item, (*path, index), errors) for index, item in enumerate(value)
            ]
        if planned.objects:
            name = run.types.get(id(value))
            plan = planned.objects[name] if name else next(iter(planned.objects.values()))
            return _object(run, plan, value, path, errors)
    except _NullPropagates:
        return None
    return value


def located(failure: Failure, path: Path) -> GraphQLError:
    """Return the error with its locations and path, keeping what a GraphQLError already carries."""
    error, nodes = failure.error, failure.field.nodes
    if not isinstance(error, GraphQLError):
        return located_error(error, nodes, path)
    if error.path is not None:
        return error
    return GraphQLError(
        error.message,
        error.nodes or nodes,
        error.source,
        error.positions,
        path,
        error.original_error,
        error.extensions,
    )
