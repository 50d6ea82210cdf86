"""Plain functions inside a plan: computed columns, and resolvers written the way any Strawberry author writes them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from graphql import (
    FragmentDefinitionNode,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    is_non_null_type,
)
from graphql.pyutils import Path, gather_with_cancel, is_awaitable
from graphql.type import GraphQLResolveInfoHelpers

from crm_graph.executor.fields import Fetch
from crm_graph.executor.plain import as_fetched
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


def resolver_fetch(
    planned: PlannedField,
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
    resolve: Callable[..., Any],
) -> Fetch:
    """Return a fetch that calls a resolver for each parent object, and gives what it returns the form of a source's."""

    async def fetch(run: Run, parents: Sequence[Any], arguments: Mapping[str, Any]) -> Sequence[Any]:
        info = _info(planned, schema, operation, fragments, run)

        def one(parent: Any) -> Any:
            try:
                return resolve(parent, info, **arguments)
            except Exception as error:
                return error

        return await as_fetched(planned.definition.type, [one(parent) for parent in parents], info)

    return fetch


def _info(
    planned: PlannedField,
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
    run: Run,
) -> GraphQLResolveInfo[Any]:
    return GraphQLResolveInfo(
        field_name=planned.name,
        field_nodes=planned.nodes,
        return_type=planned.definition.type,
        parent_type=planned.parent,
        path=Path(None, planned.response_key, planned.parent.name),
        schema=schema,
        fragments=dict(fragments),
        root_value=run.root_value,
        operation=operation,
        variable_values=run.variables.coerced,  # type: ignore[arg-type] # as Strawberry's own executor passes it
        context=run.context,
        is_awaitable=is_awaitable,
        abort_signal=None,
        async_helpers=_HELPERS,
    )


_tracked: set[asyncio.Future[Any]] = set()


def _track(values: Sequence[Any]) -> None:
    """Settle what a resolver leaves behind; the set keeps the futures from being collected before they are done."""
    awaitables = [value for value in values if is_awaitable(value)]
    if awaitables:
        settled = asyncio.gather(*awaitables, return_exceptions=True)
        _tracked.add(settled)
        settled.add_done_callback(_tracked.discard)


def _gather(values: Sequence[Awaitable[Any]]) -> Awaitable[list[Any]]:
    return gather_with_cancel(*values)


_HELPERS = GraphQLResolveInfoHelpers(gather=_gather, track=_track)
