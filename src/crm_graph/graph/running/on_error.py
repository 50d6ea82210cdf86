"""`onError` under graphql-core, which knows null propagation and how to do without it."""

from __future__ import annotations

from functools import cache
from typing import Any

from graphql import ExecutionResult, OperationType, Undefined

from crm_graph.executor.results import OnError


@cache
def executor_class(base: Any, on_error: OnError) -> Any:
    """Return a class of graphql-core executors that treats errors so."""
    if on_error is OnError.PROPAGATE:
        return base

    class NotPropagating(base):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.error_propagation = False

    class Halting(NotPropagating):
        def execute_field(self, parent_type: Any, source: Any, details: Any, path: Any, *others: Any) -> Any:
            serial = path.prev is None and self.operation.operation is OperationType.MUTATION
            if serial and self.collected_errors.errors:
                return Undefined  # leaves the field out, unexecuted
            return super().execute_field(parent_type, source, details, path, *others)

    return Halting if on_error is OnError.HALT else NotPropagating


def halted(result: ExecutionResult) -> ExecutionResult:
    """Return a result that did not propagate errors as HALT wants it: cut to the first, in the document's order."""
    if not result.errors:
        return result
    return ExecutionResult(None, [min(result.errors, key=lambda error: _place(result.data, error.path or ()))])


def _place(data: Any, path: Any) -> tuple[float, ...]:
    """Return where a path lies in the data, as something to compare; what lies elsewhere comes last."""
    place: list[float] = []
    for step in path:
        if isinstance(data, dict) and step in data:
            place.append(list(data).index(step))
        elif isinstance(data, list) and isinstance(step, int) and step < len(data):
            place.append(step)
        else:
            return (*place, float("inf"))
        data = data[step]
    return tuple(place)
