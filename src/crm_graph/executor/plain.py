"""What plain resolvers return, in the form in which sources return it: lists as lists, abstract objects as pairs.

graphql-core lets a resolver return an awaitable, any iterable, an async iterable, an exception, or an object whose type
is to be asked for. All of that ends here, level by level, so that the executor knows the forms of `Fetch` only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from typing import Any

from graphql import (
    GraphQLAbstractType,
    GraphQLError,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    Undefined,
    default_type_resolver,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
    is_object_type,
)
from graphql.pyutils import inspect, is_async_iterable, is_awaitable, is_iterable

Info = GraphQLResolveInfo[Any]


async def as_fetched(type_: GraphQLOutputType, values: Sequence[Any], info: Info) -> list[Any]:
    """Return values of a type in the form of `Fetch`; what fails is an exception in its place."""
    values = await _awaited(list(values))
    if is_non_null_type(type_):
        type_ = type_.of_type
    if is_list_type(type_):
        return await _lists(type_.of_type, values, info)
    if is_abstract_type(type_):
        return await _each(values, lambda value: _abstract(type_, value, info))
    if isinstance(type_, GraphQLObjectType) and type_.is_type_of is not None:
        return await _each(values, lambda value: _acknowledged(type_, value, info, value))
    assert is_leaf_type(type_) or is_object_type(type_)
    return values


async def _awaited(values: list[Any]) -> list[Any]:
    """Return values with every awaitable among them awaited, together, and nothing undefined."""
    places = [place for place, value in enumerate(values) if is_awaitable(value)]
    if places:
        settled = await asyncio.gather(*(_settled(values[place]) for place in places))
        for place, value in zip(places, settled, strict=True):
            values[place] = value
    return [None if value is Undefined else value for value in values]


async def _settled(awaitable: Awaitable[Any]) -> Any:
    try:
        return await awaitable
    except Exception as error:
        return error


async def _each(values: Sequence[Any], complete: Callable[[Any], Any]) -> list[Any]:
    """Return values with those that stand for something completed; `complete` can return an awaitable."""

    def one(value: Any) -> Any:
        if value is None or isinstance(value, Exception):
            return value
        try:
            return complete(value)
        except Exception as error:
            return error

    return await _awaited([one(value) for value in values])


async def _lists(item_type: GraphQLOutputType, values: Sequence[Any], info: Info) -> list[Any]:
    lists = await _each(values, lambda value: _items(value, info))
    flat = [item for items in lists if isinstance(items, list) for item in items]
    completed = iter(await as_fetched(item_type, flat, info))
    return [[next(completed) for _ in items] if isinstance(items, list) else items for items in lists]


def _items(value: Any, info: Info) -> list[Any] | Awaitable[list[Any]]:
    if isinstance(value, list):
        return value
    if is_async_iterable(value):
        return _collected(value)
    if not is_iterable(value):
        where = f"'{info.parent_type}.{info.field_name}'"
        raise GraphQLError(f"Expected Iterable, but did not find one for field {where}.")
    return list(value)


async def _collected(values: AsyncIterable[Any]) -> list[Any]:
    return [value async for value in values]


def _acknowledged(type_: GraphQLObjectType, value: Any, info: Info, fetched: Any) -> Any:
    """Return what stands for an object, `fetched`, if its type acknowledges it; or an awaitable of that."""

    def judge(acknowledged: bool) -> Any:
        if not acknowledged:
            raise GraphQLError(f"Expected value of type '{type_}' but got: {inspect(value)}.")
        return fetched

    if type_.is_type_of is None:
        return fetched
    return _then(type_.is_type_of(value, info), judge)


def _abstract(type_: GraphQLAbstractType, value: Any, info: Info) -> Any:
    """Return an object with the name of its type; or an awaitable of that. Raises GraphQLError where it has none."""

    def pair(name: Any) -> Any:
        runtime_type = _possible_type(type_, name, value, info)
        return _acknowledged(runtime_type, value, info, (runtime_type.name, value))

    return _then((type_.resolve_type or default_type_resolver)(value, info, type_), pair)


def _then(value: Any, function: Callable[[Any], Any]) -> Any:
    """Return `function(value)`, now or as soon as the value is there."""
    if not is_awaitable(value):
        return function(value)

    async def wait() -> Any:
        result = function(await value)
        return await result if is_awaitable(result) else result

    return wait()


def _possible_type(type_: GraphQLAbstractType, name: Any, value: Any, info: Info) -> GraphQLObjectType:
    where = f"for field '{info.parent_type}.{info.field_name}'"
    must = f"Abstract type '{type_}' must resolve to an Object type at runtime {where}"
    if name is None:
        raise GraphQLError(
            f"{must}. Either the '{type_}' type should provide a 'resolve_type' function"
            " or each possible type should provide an 'is_type_of' function."
        )
    if not isinstance(name, str):
        raise GraphQLError(
            f"{must} with value {inspect(value)}, received '{inspect(name)}', which is not a valid Object type name."
        )
    possible = info.schema.get_type(name)
    if possible is None:
        raise GraphQLError(
            f"Abstract type '{type_}' was resolved to a type '{name}' that does not exist inside the schema."
        )
    if not isinstance(possible, GraphQLObjectType):
        raise GraphQLError(f"Abstract type '{type_}' was resolved to a non-object type '{name}'.")
    if not info.schema.is_sub_type(type_, possible):
        raise GraphQLError(f"Runtime Object type '{possible}' is not a possible type for '{type_}'.")
    return possible
