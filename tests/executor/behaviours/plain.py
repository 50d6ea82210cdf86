"""The modes in which a case's data is held by plain objects, for both executors alike."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Mapping
from inspect import isawaitable
from typing import Any, Protocol

from graphql import GraphQLObjectType, GraphQLResolveInfo, GraphQLSchema
from graphql import default_field_resolver as read_field

from crm_graph.executor.fields import FieldKind, Resolver

PLAIN_MODES = ("dicts", "attributes", "methods", "awaitables", "resolvers", "async_resolvers")
ASYNC_MODES = ("awaitables", "async_resolvers")


class PlainCase(Protocol):
    """The part of a case that this module reads."""

    @property
    def answers(self) -> Mapping[str, Callable[..., Any]]: ...

    @property
    def resolvers(self) -> Mapping[str, Callable[..., Any]]: ...

    def data(self) -> Mapping[str, Any]: ...


class Thing:
    """An object with attributes. `__typename` is where graphql-core looks for it in an object."""

    def __init__(self, **attributes: Any) -> None:
        self.__typename = attributes.pop("__typename", None)
        self.__dict__.update(attributes)

    def __repr__(self) -> str:
        return f"<{self.__typename or 'Thing'}>"


class Later:
    """An awaitable that need not be awaited, unlike a coroutine."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __await__(self) -> Generator[Any, None, Any]:
        yield from asyncio.sleep(0).__await__()
        return given(self.value)


class PlainBindings:
    """Resolver where the schema has one, an attribute elsewhere."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self.schema = schema

    def kind(self, type_name: str, field_name: str) -> FieldKind | None:
        """See `Bindings`."""
        type_ = self.schema.type_map[type_name]
        assert isinstance(type_, GraphQLObjectType)
        return Resolver() if type_.fields[field_name].resolve is not None else None


def given(value: Any) -> Any:
    """Return a value of a case; raise it where it is an exception."""
    if isinstance(value, Exception):
        raise value
    return value


def attach_plain(schema: GraphQLSchema, case: PlainCase, mode: str) -> PlainBindings:
    """Give the schema the resolvers of a mode, and return the bindings that say so."""
    hold = Holder(mode).hold
    root = hold(case.data())
    roots = {type_.name for type_ in (schema.query_type, schema.mutation_type) if type_ is not None}
    for type_ in schema.type_map.values():
        if not isinstance(type_, GraphQLObjectType) or type_.name.startswith("__"):
            continue
        for name, definition in type_.fields.items():
            coordinate = f"{type_.name}.{name}"
            if coordinate in case.resolvers:
                definition.resolve = case.resolvers[coordinate]
            elif coordinate in case.answers:
                definition.resolve = _answering(case.answers[coordinate], hold)
            elif type_.name in roots or mode in {"resolvers", "async_resolvers"}:
                definition.resolve = _reading(root if type_.name in roots else None, asynchronous=mode[:5] == "async")
    return PlainBindings(schema)


def _reading(root: Any, *, asynchronous: bool) -> Callable[..., Any]:
    def resolve(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        return given(read_field(source if root is None else root, info, **arguments))

    async def resolve_later(source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        await asyncio.sleep(0)
        value = resolve(source, info, **arguments)
        return await value if isawaitable(value) else value

    return resolve_later if asynchronous else resolve


def _answering(answer: Callable[..., Any], hold: Callable[[Any], Any]) -> Callable[..., Any]:
    def resolve(_source: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Any:
        value = answer(info.context, **arguments)
        return _held_later(value, hold) if isawaitable(value) else given(hold(value))

    return resolve


async def _held_later(value: Awaitable[Any], hold: Callable[[Any], Any]) -> Any:
    return given(hold(await value))


class Holder:
    """Turns the dicts of a case into the objects of a mode; what is shared stays shared."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.held: dict[int, tuple[Any, Any]] = {}

    def hold(self, value: Any) -> Any:
        """Return a value as this mode holds it."""
        if isinstance(value, list | tuple):
            items = [self.hold(item) for item in value]
            return type(value)(Later(item) for item in items) if self.mode == "awaitables" else type(value)(items)
        if not isinstance(value, dict):
            return value
        if id(value) not in self.held:
            self.held[id(value)] = value, self._object(value)
        return self.held[id(value)][1]

    def _object(self, value: Mapping[str, Any]) -> Any:
        if self.mode in {"dicts", "resolvers", "async_resolvers"}:
            return {key: self.hold(item) for key, item in value.items()}
        return Thing(**{key: self._attribute(key, item) for key, item in value.items()})

    def _attribute(self, key: str, item: Any) -> Any:
        held = self.hold(item)
        if key.startswith("__") or self.mode == "attributes":
            return held
        if self.mode == "methods":
            return lambda _info, **_arguments: given(held)
        return lambda _info, **_arguments: Later(held)
