"""Every place of the schema that takes a value: each argument, and each field of each input object, once.

A position is reached by the shortest way: an operation whose one variable is the argument, and a path into it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLNonNull,
    GraphQLObjectType,
    get_named_type,
    is_leaf_type,
    is_list_type,
    is_required_argument,
    is_required_input_field,
)

from tests.permissions.tables.actions import WRITES, input_of
from tests.permissions.world import World

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Position:
    """A place for a value. `type` is the named type there; `listed` whether it is one of a list."""

    coordinate: str
    kind: str
    field: str
    """The field and what leads to it, with `{0}` for the argument's value."""
    variable: str
    argument: Mapping[str, Any] | None
    """What else the argument must hold; None where the argument is the value itself."""
    path: Path
    type: Any
    listed: bool

    def operation(self, value: str = "$v") -> str:
        """Return the operation, with a variable or a literal for the argument."""
        types = f" ($v: {self.variable})" if value == "$v" else ""
        return f"{self.kind}{types} {{ {self.field.replace('{0}', value)} }}"

    def filled(self, value: Any) -> Any:
        """Return the argument with a value in this place."""
        if self.argument is None:
            return value
        made = json.loads(json.dumps(self.argument))
        inner = made
        for name in self.path[:-1]:
            inner = inner.setdefault(name, {})
            if isinstance(inner, list):
                inner[:] = inner or [{}]
                inner = inner[0]
        inner[self.path[-1]] = value
        return made


def positions(world: World) -> list[Position]:
    """Return every position of the schema."""
    found: dict[str, Position] = {}
    for coordinate, kind, text, field in _fields(world):
        for name, argument in field.args.items():
            at = f"{coordinate}({name}:)"
            template = _with_arguments(text, field, name)
            named, listed = get_named_type(argument.type), is_list_type(_nullable(argument.type))
            base = _base(world, coordinate, named)
            found[at] = Position(at, kind, template, str(argument.type), None, (), named, listed)
            if isinstance(named, GraphQLInputObjectType):
                for path, type_, within in _within(named):
                    inner = f"{path[-2]}.{path[-1]}"
                    if inner not in found:
                        listed = is_list_type(_nullable(within))
                        found[inner] = Position(
                            inner, kind, template, str(argument.type), base, path[1::2], type_, listed
                        )
    return list(found.values())


def _nullable(type_: Any) -> Any:
    return type_.of_type if isinstance(type_, GraphQLNonNull) else type_


def _within(root: GraphQLInputObjectType) -> Iterator[tuple[Path, Any, Any]]:
    """Yield the fields of an input object and of those in it, each type once, breadth first: the path is of types and
    fields in turn."""
    waiting: list[tuple[Path, GraphQLInputObjectType]] = [((), root)]
    seen = {root.name}
    while waiting:
        path, type_ = waiting.pop(0)
        for name, field in type_.fields.items():
            named = get_named_type(field.type)
            here = (*path, type_.name, name)
            yield here, named, field.type
            if isinstance(named, GraphQLInputObjectType) and named.name not in seen:
                seen.add(named.name)
                waiting.append((here, named))


def _fields(world: World) -> Iterator[tuple[str, str, str, GraphQLField]]:
    """Yield every field that takes arguments: its coordinate, the kind of the operation, the text that leads to it."""
    core = world.graph.schema.core
    assert core.query_type is not None
    roots = {"query": core.query_type, "mutation": core.mutation_type, "subscription": core.subscription_type}
    for kind, root in roots.items():
        assert root is not None
        for name, field in root.fields.items():
            if field.args:
                yield f"{root.name}.{name}", kind, f"found: {name}({{arguments}}) {_selection(field)}", field
    for record in world.records:
        type_ = core.type_map[record.name]
        assert isinstance(type_, GraphQLObjectType)
        for name, field in type_.fields.items():
            if field.args:
                inner = f"... on {record.name} {{ found: {name}({{arguments}}) {_selection(field)} }}"
                one = record.name[0].lower() + record.name[1:]
                one = one if one in core.query_type.fields else "node"  # by its type, which plans one type only
                text = f'{one}(id: "{world.id(record.name)}") {{ {inner} }}'
                yield f"{record.name}.{name}", "query", text, field


def _selection(field: GraphQLField) -> str:
    return "" if is_leaf_type(get_named_type(field.type)) else "{ __typename }"


def _with_arguments(text: str, field: GraphQLField, wanted: str) -> str:
    others = [
        f"{name}: []" if is_list_type(_nullable(each.type)) else f'{name}: "mem_x"'
        for name, each in field.args.items()
        if name != wanted and is_required_argument(each)
    ]
    return text.replace("{arguments}", ", ".join([f"{wanted}: {{0}}", *others]))


def _base(world: World, coordinate: str, named: Any) -> dict[str, Any]:
    """Return what an argument must hold beside the value: of a mutation, an input that is taken."""
    for table, write in WRITES:
        if coordinate == f"Mutation.{write.name}":
            return input_of(world, table, write, table.place)
    return minimal(named)


def minimal(type_: Any) -> dict[str, Any]:
    """Return the required fields of an input object."""
    if not isinstance(type_, GraphQLInputObjectType):
        return {}
    return {name: _any(each.type) for name, each in type_.fields.items() if is_required_input_field(each)}


def _any(type_: Any) -> Any:
    named = get_named_type(type_)
    if is_list_type(_nullable(type_)):
        return []
    if isinstance(named, GraphQLInputObjectType):
        return minimal(named)
    if isinstance(named, GraphQLEnumType):
        return next(iter(named.values))
    return {"Int": 1, "Boolean": True, "Decimal": "1", "Currency": "MRU"}.get(named.name, "x")
