"""Plain functions inside a plan: computed columns, and resolvers written the way any Strawberry author writes them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
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

from crm_graph.executor.arguments import own
from crm_graph.executor.builders import Inline, Way
from crm_graph.executor.fields import BatchFunction, Fetch
from crm_graph.executor.plain import as_fetched
from crm_graph.executor.plans import PlannedEdge, PlannedField
from crm_graph.executor.results import Run
from crm_graph.executor.rows import RowView


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

        def one(parent: Any, given: Mapping[str, Any]) -> Any:
            try:
                return resolve(parent, info, **given)
            except Exception as error:
                return error

        first, *others = parents
        values = [one(first, arguments), *(one(parent, own(arguments)) for parent in others)]
        return await as_fetched(planned.definition.type, values, info)

    return fetch


def batch_fetch(
    planned: PlannedField,
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    fragments: Mapping[str, FragmentDefinitionNode],
    function: BatchFunction,
) -> Fetch:
    """Return a fetch that calls a batch function once for all parents."""

    async def fetch(run: Run, parents: Sequence[Any], arguments: Mapping[str, Any]) -> Sequence[Any]:
        returned = function(parents, arguments, run.context)
        values = await returned if isawaitable(returned) else returned
        check_batch(planned.coordinate, values, parents)
        return await as_fetched(planned.definition.type, values, _info(planned, schema, operation, fragments, run))

    return fetch


def check_batch(coordinate: str, values: Sequence[Any], parents: Sequence[Any]) -> None:
    """Raise TypeError unless a batch function returned one value a parent."""
    if len(values) != len(parents):
        raise TypeError(
            f"The batch function of {coordinate} returned {len(values)} values for {len(parents)} parents:"
            " it must return one for each, in their order."
        )


def viewed(fetch: Fetch, type_name: str, positions: Mapping[str, int]) -> Fetch:
    """Return a per-row fetch that is given views of the rows, in place of the tuples."""

    async def fetch_viewed(run: Any, rows: Sequence[Any], arguments: Mapping[str, Any]) -> Sequence[Any]:
        return await fetch(run, [RowView(type_name, positions, row) for row in rows], arguments)

    return fetch_viewed


def where_present(selection: Sequence[tuple[PlannedField, Way]], position: int) -> Sequence[tuple[PlannedField, Way]]:
    """Return the selection of an object that is null where a column is: its functions are not called for those rows."""
    for _, way in selection:
        if isinstance(way, PlannedEdge) and way.per_row and way.fetch is not None:
            way.fetch = _present_only(way.fetch, position)
        elif isinstance(way, Inline):
            where_present(way.selection, position)
    return selection


def _present_only(fetch: Fetch, position: int) -> Fetch:
    async def fetch_present(run: Any, rows: Sequence[Any], arguments: Mapping[str, Any]) -> Sequence[Any]:
        present = [row for row in rows if row[position] is not None]
        if len(present) == len(rows):
            return await fetch(run, rows, arguments)
        values = iter(await fetch(run, present, arguments) if present else ())
        return [None if row[position] is None else next(values) for row in rows]

    return fetch_present


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
