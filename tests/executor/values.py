"""Generates argument values for any input type of the schema, as literals and through variables.

What a value should be is read off the schema: the record that a field is about (its filter's, its payload's), the
names of fields, the edges of records. So a new input is covered when it is added.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    Undefined,
    get_named_type,
    is_required_input_field,
)

from crm_graph.graph.reading.orders import enum_name
from crm_graph.graph.records.record import Record
from crm_graph.graph.schema.build import BuiltSchema
from tests.executor.known import WORKSPACES, Known

ABSENT: Any = Undefined
MAX_DEPTH = 4
MAX_ITEMS = 3
"""Of a generated list: longer ones that a statement is sent with are keys."""


class EnumName(str):
    """The name of an enum value: no quotes in a literal."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Use:
    """A variable in the place of a value."""

    name: str


@dataclass(slots=True)
class Variable:
    """A variable of the operation: its declaration, and a way to draw another value (or `ABSENT`) for it."""

    name: str
    type: str
    default: Any
    draw: Callable[[], Any]

    @property
    def declaration(self) -> str:
        """The variable as the operation declares it."""
        default = "" if self.default is ABSENT else f" = {literal(self.default)}"
        return f"${self.name}: {self.type}{default}"


@dataclass(frozen=True, slots=True)
class About:
    """What a value is for: the record in question, and the name of the argument or input field."""

    record: Record | None
    name: str
    creates: bool = False


def literal(value: Any) -> str:
    """Return a value as GraphQL text."""
    match value:
        case Use(name):
            return f"${name}"
        case EnumName():
            return str(value)
        case dict():
            return "{" + ", ".join(f"{key}: {literal(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ", ".join(literal(item) for item in value) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


@dataclass(slots=True)
class Values:
    """Generates the values of one document; `wild` is how often one is wrong on purpose."""

    random: Random
    schema: BuiltSchema
    known: Known
    workspace: str
    wild: float
    variables: dict[str, Variable] = field(default_factory=dict)
    conditions: list[str] = field(default_factory=list)
    _focus: dict[str, str] = field(default_factory=dict)

    def chance(self, probability: float) -> bool:
        """Return true so often."""
        return self.random.random() < probability

    def condition(self) -> str:
        """Return an argument of `@skip` or `@include`: a literal or a variable."""
        if self.chance(0.3):
            return self.random.choice(["true", "false"])
        if not self.conditions or (len(self.conditions) < 3 and self.chance(0.5)):
            default = self.random.choice([True, False]) if self.chance(0.4) else ABSENT
            draw = lambda: ABSENT if default is not ABSENT and self.chance(0.5) else self.chance(0.5)  # noqa: E731
            self.conditions.append(self.add_variable("Boolean!", default, draw))
        return f"${self.random.choice(self.conditions)}"

    def add_variable(self, type_: str, default: Any, draw: Callable[[], Any]) -> str:
        """Declare a variable and return its name."""
        name = f"v{len(self.variables)}"
        self.variables[name] = Variable(name, type_, default, draw)
        return name

    def value(self, type_: GraphQLInputType, about: About, depth: int = 0, *, has_default: bool = False) -> Any:
        """Return a value for a place in the document: a literal, or a variable (within one, too)."""
        if self.chance(0.2 if depth else 0.3) and len(self.variables) < 12:
            return self._use(type_, about, depth, has_default=has_default)
        return self.plain(type_, about, depth, inside=self.value)

    def _use(self, type_: GraphQLInputType, about: About, depth: int, *, has_default: bool) -> Use:
        required = isinstance(type_, GraphQLNonNull)
        nullable = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
        loose = not required or (has_default and self.chance(0.5))
        wanted = str(nullable) if loose else f"{nullable}!"
        reusable = [each.name for each in self.variables.values() if each.type == wanted]
        if reusable and self.chance(0.2) and wanted != "Boolean!":
            return Use(self.random.choice(reusable))

        def draw_given() -> Any:
            return self.plain(nullable, about, depth)

        default = draw_given() if self.chance(0.3) else ABSENT
        may_be_absent = loose or default is not ABSENT

        def draw() -> Any:
            if may_be_absent and self.chance(0.25):
                return ABSENT
            if loose and self.chance(0.3 * self.wild + (0.05 if depth == 0 and not required else 0)):
                return None
            return draw_given()

        return Use(self.add_variable(wanted, default, draw))

    def plain(self, type_: GraphQLInputType, about: About, depth: int, inside: Callable[..., Any] | None = None) -> Any:
        """Return a value; `inside` makes the parts of it (None: without variables)."""
        if isinstance(type_, GraphQLNonNull):
            type_ = type_.of_type
        elif self.chance(self.wild):
            return None
        if isinstance(type_, GraphQLList):
            return self._list(type_.of_type, about, depth, inside or self._inside_variable)
        named = get_named_type(type_)
        if isinstance(named, GraphQLEnumType):
            return EnumName(self.random.choice(list(named.values)))
        if isinstance(named, GraphQLInputObjectType):
            return self._object(named, about, depth, inside or self._inside_variable)
        return self._scalar(named.name, about)

    def _inside_variable(
        self, type_: GraphQLInputType, about: About, depth: int = 0, *, has_default: bool = False
    ) -> Any:
        return self.plain(type_, about, depth)

    def _list(self, of: GraphQLInputType, about: About, depth: int, inside: Callable[..., Any]) -> Any:
        if self.chance(0.05):
            return self.plain(of, about, depth)  # a lone value is coerced to a list
        items: list[Any] = [inside(of, about, depth + 1) for _ in range(self.random.choice([0, 1, 1, 1, 2, 2, 3]))]
        distinct: dict[str, Any] = {}
        for item in items:
            key = item.get("field", len(distinct)) if isinstance(item, dict) else len(distinct)
            distinct[str(key if self.chance(0.97) else len(distinct))] = item
        return list(distinct.values())

    def _object(self, type_: GraphQLInputObjectType, about: About, depth: int, inside: Callable[..., Any]) -> Any:
        fields = type_.fields
        required = [name for name, each in fields.items() if is_required_input_field(each)]
        optional = [name for name in fields if name not in required]
        if depth >= MAX_DEPTH:
            optional = [name for name in optional if _is_flat(get_named_type(fields[name].type))]
        if type_.is_one_of:
            name = self.random.choice(optional)
            return {name: inside(GraphQLNonNull(fields[name].type), self._within(type_, about, name), depth + 1)}
        wanted = min(self._how_many(len(required), len(optional)), len(optional))
        names = [*required, *self.random.sample(optional, wanted)]
        made = {
            name: inside(
                fields[name].type,
                self._within(type_, about, name),
                depth + 1,
                has_default=fields[name].default is not None,
            )
            for name in names
        }
        return self._with_bucket(type_, about, made)

    def _how_many(self, required: int, optional: int) -> int:
        if not required:  # filters and comparators: nearly always one or two conditions
            return min(optional, self.random.choice([0, 1, 1, 1, 1, 1, 2, 2, 3]))
        return sum(self.chance(0.3) for _ in range(optional))

    def _within(self, type_: GraphQLInputObjectType, about: About, name: str) -> About:
        """Return what a field of an input object is about: across an edge, the record on the other side."""
        record = about.record
        edge = self.schema.registry.edge(record, name) if record is not None else None
        if edge is not None:
            return About(edge.target, name)
        if name == "id":
            return About(record, name, creates=not isinstance(type_.fields[name].type, GraphQLNonNull))
        named = get_named_type(type_.fields[name].type)
        compares = isinstance(named, GraphQLInputObjectType) or name not in _COMPARATORS
        return About(record, name if compares else about.name)

    def _with_bucket(self, type_: GraphQLInputObjectType, about: About, made: dict[str, Any]) -> dict[str, Any]:
        """Give a grouping by time its bucket, and take it from all others; mostly."""
        if "bucket" not in type_.fields or not isinstance(made.get("field"), EnumName) or self.chance(0.05):
            return made
        keys = self.schema.core.type_map.get(f"{about.record.name}GroupKey") if about.record else None
        if not isinstance(keys, GraphQLObjectType):
            return made
        of = {enum_name(name): get_named_type(each.type).name for name, each in keys.fields.items()}
        made.pop("bucket", None)
        temporal = self.schema.registry.leaves(about.record) if about.record else {}
        if of.get(made["field"]) == "Date" and temporal:
            made["bucket"] = self.plain(GraphQLNonNull(type_.fields["bucket"].type), about, 1)
        return made

    def _scalar(self, name: str, about: About) -> Any:
        maker = getattr(self, f"_{name.lower()}", None)
        if maker is None:
            return self.known.value(self.random, about.name, ["x"])
        return maker(about)

    def _id(self, about: About) -> Any:
        record = about.record
        if record is not None and about.name.endswith("Id"):
            edge = self.schema.registry.edge(record, about.name.removesuffix("Id"))
            named = about.name[0].upper() + about.name[1:-2]
            record = edge.target if edge is not None else self.schema.registry.records.get(named)
        name = record.name if record is not None else None
        if about.creates and self.chance(0.9):
            return self.known.fresh_id(self.random, name)
        roll = self.random.random()
        if roll < 0.84:
            if name not in self._focus or self.chance(0.5):
                self._focus[str(name)] = self.known.id(self.random, name, self.workspace)
            return self._focus[str(name)]
        if roll < 0.9:
            return self.known.id(self.random, name, self.random.choice(WORKSPACES))
        if roll < 0.93:
            return self.known.fresh_id(self.random, name)
        if roll < 0.97:
            return self.known.id(self.random, None, self.workspace)
        return self.random.choice(["", "nonsense", "cus_1", "x_" + "0" * 32, 7])

    def _int(self, about: About) -> Any:
        if about.name == "ifVersion":
            return self.random.choice([1, 1, 1, 2])
        return self.known.value(self.random, about.name, [0, 1, 2, 10, 50, 100, -1, 2**31 - 1])

    def _string(self, about: About) -> Any:
        found = self.known.value(self.random, about.name, ["a", "公司", "", "%", "_", "é😀\\", "Ltd", "x y"])
        text = str(found)
        roll = self.random.random()
        if roll < 0.2 and text:
            start = self.random.randrange(len(text))
            return text[start : start + self.random.randint(1, 3)]
        return text.swapcase() if roll < 0.3 else text

    def _boolean(self, _about: About) -> Any:
        return self.chance(0.5)

    def _decimal(self, about: About) -> Any:
        return str(self.known.value(self.random, about.name, ["0", "12.50", "-1", "1000", "99999999.9999"]))

    def _date(self, about: About) -> Any:
        return str(self.known.value(self.random, about.name, ["2026-11-22", "2024-02-29", "1999-12-31"]))[:10]

    def _datetime(self, about: About) -> Any:
        found = str(self.known.value(self.random, about.name, ["2026-01-01T00:00:00Z", "2025-06-30T23:59:59.5+08:00"]))
        return found if "T" in found else f"{found}T00:00:00Z"

    def _currency(self, _about: About) -> Any:
        return self.known.value(self.random, "currency", ["CNY", "EUR", "XXX"])


def _is_flat(type_: Any) -> bool:
    """Return whether an input type holds leaves only, as comparators do: filters hold one another without end."""
    return not isinstance(type_, GraphQLInputObjectType) or not any(
        isinstance(get_named_type(each.type), GraphQLInputObjectType) for each in type_.fields.values()
    )


_COMPARATORS: Mapping[str, None] = dict.fromkeys(
    ("eq", "ne", "in", "notIn", "gt", "gte", "lt", "lte", "contains", "startsWith", "isNull")
)
