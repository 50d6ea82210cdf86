"""The modes in which a case's data is fetched as rows: an in-memory `Source` for every edge, over the same dicts.

| mode | leaves | objects | lists of objects |
|---|---|---|---|
| `rows` | `Column`, `Computed` where one may fail | `Edge` | `Edge` |
| `nested` | the same | `Same` where they hold leaves only, else `Nested` | `Nested` |
| `edges` | `Edge` | `Edge` | `Edge` |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any

from graphql import (
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    get_named_type,
    is_abstract_type,
    is_leaf_type,
    is_list_type,
    is_non_null_type,
)

from crm_graph.executor.fields import Column, Computed, Edge, Fetch, FieldKind, Nested, Planning, Same, Shape

ROW_MODES = ("rows", "nested", "edges")
SELF = "@self"
"""The column that holds the object itself, for fields that are answered from arguments."""


class Ref:
    """A key: one object of the data, by identity."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


@dataclass(slots=True)
class Tables:
    """The data of a case as rows. Implements `executor.fields.Bindings`."""

    schema: GraphQLSchema
    root: str
    data: Mapping[str, Any]
    answers: Mapping[str, Callable[..., Any]]
    mode: str
    fetched: list[tuple[str, int]] = field(default_factory=list)
    """What was fetched: coordinate and number of keys."""

    def kind(self, type_name: str, field_name: str) -> FieldKind | None:
        """See `Bindings`."""
        type_ = self.schema.type_map[type_name]
        assert isinstance(type_, GraphQLObjectType)
        coordinate = f"{type_name}.{field_name}"
        returns = type_.fields[field_name].type
        if type_name == self.root or coordinate in self.answers:
            key = None if type_name == self.root else SELF
            return Edge(MemorySource(self, coordinate, returns, self.answers.get(coordinate)), key)
        if self.mode == "edges":
            return Edge(MemorySource(self, coordinate, returns), field_name)
        values = list(self._values(type_name, field_name))
        if is_leaf_type(get_named_type(returns)):
            if not self.answers and all(_fits(returns, value) for value in values):
                return Column(field_name)
            if not is_list_type(_nullable(returns)):
                return Computed((field_name,), lambda value: _output(returns, value))
        elif self.mode == "nested":
            return self._same(field_name, returns, values) or Nested(field_name)
        return Edge(MemorySource(self, coordinate, returns), field_name)

    def _same(self, field_name: str, returns: GraphQLOutputType, values: Sequence[Any]) -> Same | None:
        """Return `Same` for an object of leaves that never fails."""
        inner = get_named_type(returns)
        if not isinstance(inner, GraphQLObjectType) or is_list_type(_nullable(returns)):
            return None
        leaves = all(is_leaf_type(get_named_type(definition.type)) for definition in inner.fields.values())
        if not leaves or not all(isinstance(value, dict) or _fits(returns, value) for value in values):
            return None
        return Same({name: f"{field_name}/{name}" for name in inner.fields}, unless_null=field_name)

    def _values(self, type_name: str, field_name: str) -> Iterator[Any]:
        """Yield every value of a field in the data, where objects of that type name stand."""
        root = self.schema.type_map[self.root]
        assert isinstance(root, GraphQLObjectType)
        for name, value in self.data.items():
            for object_type, item in self._objects(root.fields[name].type, value, set()):
                if object_type == type_name:
                    yield item.get(field_name)

    def _objects(self, type_: GraphQLOutputType, value: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
        if isinstance(value, list | tuple):
            for item in value:
                yield from self._objects(type_, item, seen)
        elif isinstance(value, dict) and id(value) not in seen:
            seen.add(id(value))
            of = self.schema.type_map[self.type_name(type_, value)]
            assert isinstance(of, GraphQLObjectType)
            yield of.name, value
            for name, definition in of.fields.items():
                yield from self._objects(definition.type, value.get(name), seen)

    def type_name(self, type_: GraphQLOutputType, value: Mapping[str, Any]) -> str:
        """Return the name of an object's type, at a place of the given type."""
        named = get_named_type(type_)
        name: str = value["__typename"] if is_abstract_type(named) else named.name
        return name

    def value(self, type_: GraphQLOutputType, value: Any, shapes: Mapping[str, Shape]) -> Any:
        """Return a fetched value as `Fetch` describes it: rows, pairs, leaves, and exceptions where they stand."""
        if value is None or isinstance(value, Exception):
            return value
        inner = _nullable(type_)
        if is_list_type(inner):
            return [self.value(inner.of_type, item, shapes) for item in value]
        if is_leaf_type(inner):
            try:
                return inner.coerce_output_value(value)
            except Exception as error:
                return error
        name = self.type_name(type_, value)
        row = self.row(name, value, shapes[name])
        return (name, row) if is_abstract_type(inner) else row

    def row(self, type_name: str, value: Mapping[str, Any], shape: Shape) -> tuple[Any, ...]:
        """Return an object as a row of a shape."""
        return tuple(self._cell(type_name, value, column, shape) for column in shape.columns)

    def _cell(self, type_name: str, value: Mapping[str, Any], column: str, shape: Shape) -> Any:
        if column == SELF:
            return Ref(value)
        name, _, inner = column.partition("/")
        type_ = self.schema.type_map[type_name]
        assert isinstance(type_, GraphQLObjectType)
        returns = type_.fields[name].type
        found = value.get(name)
        if inner:
            return None if found is None else self._cell(get_named_type(returns).name, found, inner, shape)
        match self.kind(type_name, name):
            case Nested():
                nested = shape.nested[name]
                return self.value(returns, found, _Everywhere(nested))
            case Edge():
                return None if found is None else Ref(found)
            case Column():
                return _output(returns, found)
            case _:
                return found


class _Everywhere(dict[str, Shape]):
    """The shape of nested rows, whatever their type."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    def __missing__(self, _key: str) -> Shape:
        return self.shape


@dataclass(frozen=True, slots=True)
class MemorySource:
    """The source of one field. Implements `executor.fields.Source`."""

    tables: Tables
    coordinate: str
    returns: GraphQLOutputType
    answer: Callable[..., Any] | None = None

    def plan(self, shapes: Mapping[str, Shape], planning: Planning) -> Fetch:
        """See `Source`."""

        async def fetch(context: Any, keys: Sequence[Any], arguments: Mapping[str, Any]) -> Sequence[Any]:
            self.tables.fetched.append((self.coordinate, len(keys)))
            return [await self._one(context, key, arguments, shapes) for key in keys]

        return fetch

    async def _one(self, context: Any, key: Any, arguments: Mapping[str, Any], shapes: Mapping[str, Shape]) -> Any:
        try:
            if self.answer is not None:
                value = self.answer(context, **arguments)
                value = await value if isawaitable(value) else value
            elif key is None:
                value = self.tables.data.get(self.coordinate.partition(".")[2])
            else:
                value = key.value
        except Exception as error:
            return error
        return self.tables.value(self.returns, value, shapes)


def _nullable(type_: GraphQLOutputType) -> Any:
    return type_.of_type if is_non_null_type(type_) else type_


def _fits(type_: GraphQLOutputType, value: Any) -> bool:
    """Return whether a leaf, or a list of leaves, is a value of its type: what a column may hold."""
    if value is None:
        return not is_non_null_type(type_)
    if isinstance(value, Exception):
        return False
    try:
        output = _output(type_, value)
    except Exception:
        return False
    inner = _nullable(type_)
    if is_list_type(inner):
        return all(_fits(inner.of_type, item) for item in value)
    return output is not None


def _output(type_: GraphQLOutputType, value: Any) -> Any:
    """Return a leaf, or a list of leaves, in output form. Raises what is wrong with it."""
    if isinstance(value, Exception):
        raise value
    if value is None:
        return None
    inner = _nullable(type_)
    if is_list_type(inner):
        return [_output(inner.of_type, item) for item in value]
    return inner.coerce_output_value(value) if is_leaf_type(inner) else value
