"""Plain functions inside a plan: computed columns, and resolvers written the way any Strawberry author writes them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from inspect import isawaitable
from typing import Any

from graphql import GraphQLResolveInfo, GraphQLSchema, OperationDefinitionNode, is_non_null_type
from graphql.pyutils import Path, is_awaitable

from crm_graph.executor.fields import Fetch
from crm_graph.executor.plans import PlannedField
from crm_graph.executor.results import Run


def guarded(planned: PlannedField, compute: Callable[..., Any]) -> Callable[..., Any]:
    """Return `compute` as the builders call it: what it raises, and a null that the schema forbids, become failures."""
    non_null = is_non_null_type(planned.definition.type)

    def call(run: Run, *columns: Any) -> Any:
        try:
            value = compute(*columns)
        except Exception as error:
            return run.fail(planned, error)
        return run.fail_null(planned) if non_null and value is None else value

    return call


def resolver_fetch(planned: PlannedField, schema: GraphQLSchema, operation: OperationDefinitionNode) -> Fetch:
    """Return a fetch that calls the field's resolver for each parent object."""
    resolve = planned.definition.resolve
    assert resolve is not None, f"{planned.coordinate} has no resolver"

    async def fetch(run: Run, parents: Sequence[Any], arguments: Mapping[str, Any]) -> Sequence[Any]:
        info = _info(planned, schema, operation, run)

        async def one(parent: Any) -> Any:
            try:
                value = resolve(parent, info, **arguments)
                return await value if isawaitable(value) else value
            except Exception as error:
                return error

        return await asyncio.gather(*(one(parent) for parent in parents))

    return fetch


def _info(
    planned: PlannedField, schema: GraphQLSchema, operation: OperationDefinitionNode, run: Run
) -> GraphQLResolveInfo[Any]:
    return GraphQLResolveInfo(
        field_name=planned.name,
        field_nodes=planned.nodes,
        return_type=planned.definition.type,
        parent_type=planned.parent,
        path=Path(None, planned.response_key, planned.parent.name),
        schema=schema,
        fragments={},
        root_value=None,
        operation=operation,
        variable_values=run.variables.coerced,  # type: ignore[arg-type] # as Strawberry's own executor passes it
        context=run.context,
        is_awaitable=is_awaitable,
        abort_signal=None,
        async_helpers=None,  # type: ignore[arg-type]
    )
