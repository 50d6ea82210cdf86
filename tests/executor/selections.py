"""Generates selection sets: fields, aliases, fragments, directives, to a depth and to an estimate of rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLString,
    get_named_type,
    is_abstract_type,
    is_composite_type,
    is_leaf_type,
)

from crm_graph.graph.schema.build import BuiltSchema
from tests.executor.arguments import Arguments
from tests.executor.places import Place, Taken
from tests.executor.values import Values

CURSORS = "pageInfo { startCursor endCursor }"
ALIASES = "abcdefgh"
MAX_ROWS = 1_500
"""An estimate of rows above which no further connection is nested: the reference needs seconds for more."""


@dataclass(slots=True)
class Fragment:
    """A named fragment, made."""

    name: str
    on: GraphQLNamedType
    body: str
    place: Place
    height: int
    spreads: frozenset[str]


@dataclass(slots=True)
class Selections:
    """Generates the document of one case."""

    random: Random
    schema: BuiltSchema
    values: Values
    arguments: Arguments
    fragments: dict[str, Fragment] = field(default_factory=dict)
    fields_left: int = 45
    spreads: set[str] = field(default_factory=set)
    """The fragments that what is being made spreads."""

    def chance(self, probability: float) -> bool:
        """Return true so often."""
        return self.random.random() < probability

    def root(self, type_: GraphQLObjectType, depth: int) -> str:
        """Return the selection of an operation."""
        few = type_ is self.schema.core.mutation_type
        many = 1 + sum(self.chance(0.35) for _ in range(3)) + (20 if self.chance(0.004) else 0)
        return self._selection(type_, Place(), depth, 1, entries=min(many, 3) if few else many, is_root=True)[0]

    def _selection(
        self,
        type_: GraphQLNamedType,
        place: Place,
        depth: int,
        rows: int,
        *,
        entries: int | None = None,
        is_root: bool = False,
        first: str = "",
    ) -> tuple[str, int]:
        """Return a selection set and its height. `first` is text that it must begin with."""
        if entries is None:
            entries = self.random.choice([1, 1, 2, 2, 3, 3, 4, 6])
        made = [(first, 2)] if first else []
        for _ in range(entries):
            entry = self._entry(type_, place, depth, rows, is_root)
            if entry is not None:
                made.append(entry)
        if not made:
            place.add("__typename", self._typename(type_))
            made.append(("__typename", 1))
        return "{ " + " ".join(text for text, _ in made) + " }", max(height for _, height in made)

    def _entry(
        self, type_: GraphQLNamedType, place: Place, depth: int, rows: int, is_root: bool
    ) -> tuple[str, int] | None:
        roll = self.random.random()
        if is_abstract_type(type_):
            roll /= 2.5
        if roll < 0.09:
            return self._spread(type_, place, depth, rows)
        if roll < 0.22:
            return self._inline(type_, place, depth, rows, is_root)
        if roll < 0.27:
            key = self.random.choice(["__typename", "__typename", "t", "u"])
            if not place.admits(key, self._typename(type_)):
                return None
            place.add(key, self._typename(type_))
            return self._with_alias(key, "__typename") + self._directives(), 1
        return self._field(type_, place, depth, rows, is_root)

    def _typename(self, type_: GraphQLNamedType) -> Taken:
        return Taken(type_, "__typename", "", GraphQLNonNull(GraphQLString))

    @staticmethod
    def _with_alias(key: str, name: str) -> str:
        return name if key == name else f"{key}: {name}"

    def _directives(self) -> str:
        if not self.chance(0.08):
            return ""
        names = self.random.choice([["skip"], ["include"], ["skip"], ["include"], ["include", "skip"]])
        return "".join(f" @{name}(if: {self.values.condition()})" for name in names)

    def _inline(
        self, type_: GraphQLNamedType, place: Place, depth: int, rows: int, is_root: bool
    ) -> tuple[str, int] | None:
        on = self._condition(type_)
        text, height = self._selection(
            on or type_, place, depth, rows, entries=self.random.choice([1, 1, 2, 3]), is_root=is_root
        )
        return f"...{f' on {on.name}' if on else ''}{self._directives()} {text}", height

    def _condition(self, type_: GraphQLNamedType) -> GraphQLNamedType | None:
        """Return a type condition that may apply to a type; None for none."""
        conditions: list[GraphQLNamedType] = [type_]
        if isinstance(type_, GraphQLInterfaceType):
            conditions += self.schema.core.get_possible_types(type_)
            return None if self.chance(0.1) else self.random.choice(conditions)
        if isinstance(type_, GraphQLObjectType) and type_.interfaces and self.chance(0.3):
            conditions = list(type_.interfaces)
        return None if self.chance(0.4) else self.random.choice(conditions)

    def _spread(self, type_: GraphQLNamedType, place: Place, depth: int, rows: int) -> tuple[str, int] | None:
        fitting = [
            each
            for each in self.fragments.values()
            if each.height <= depth and self._applies(each.on, type_) and place.admits_all(each.place)
        ]
        if fitting and self.chance(0.6):
            fragment = self.random.choice(fitting)
        else:
            if len(self.fragments) >= 5 or depth < 2:
                return None
            fragment = self._fragment(self._condition(type_) or type_, depth, rows)
            if not place.admits_all(fragment.place):
                return None
        place.add_all(fragment.place)
        self.spreads |= {fragment.name, *fragment.spreads}
        return f"...{fragment.name}{self._directives()}", fragment.height

    def _fragment(self, on: GraphQLNamedType, depth: int, rows: int) -> Fragment:
        outside, self.spreads = self.spreads, set()
        place = Place()
        is_root = on in (self.schema.core.query_type, self.schema.core.mutation_type)
        body, height = self._selection(on, place, min(depth, 5), max(rows, 50), is_root=is_root)
        name = f"F{len(self.fragments)}"
        fragment = Fragment(name, on, f"fragment {name} on {on.name} {body}", place, height, frozenset(self.spreads))
        self.fragments[name] = fragment
        self.spreads = outside
        return fragment

    def _applies(self, on: GraphQLNamedType, type_: GraphQLNamedType) -> bool:
        core = self.schema.core
        if on is type_:
            return True
        possible = [set(core.get_possible_types(each) if is_abstract_type(each) else [each]) for each in (on, type_)]
        return bool(possible[0] & possible[1])

    def _field(
        self, type_: GraphQLNamedType, place: Place, depth: int, rows: int, is_root: bool
    ) -> tuple[str, int] | None:
        assert isinstance(type_, GraphQLObjectType | GraphQLInterfaceType)
        self.fields_left -= 1
        if is_root and type_ is self.schema.core.query_type and self.chance(0.02):
            return self._introspection(place)
        name = self._choose(type_, place, depth, rows)
        if name is None:
            return None
        definition = type_.fields[name]
        key = name
        if self.chance(0.12):
            key = self.random.choice(ALIASES)
        same = [each for each in place.taken.get(key, ()) if each.name == name and each.parent is type_]
        if same:
            arguments, paged = same[0].arguments, None  # the same field again: its selections merge
        else:
            arguments, paged = self.arguments.of(name, definition, rows)
            if paged is not None:
                key = paged.key
        taken = Taken(type_, name, arguments, definition.type)
        if not place.admits(key, taken):
            key = f"{self.random.choice(ALIASES)}{self.random.randrange(100)}"
            if not place.admits(key, taken) or paged is not None:
                return None
        below = place.add(key, taken)
        text = self._with_alias(key, name) + arguments + self._directives()
        named = get_named_type(definition.type)
        if is_leaf_type(named):
            return text, 1
        first = ""
        if paged is not None:
            self.arguments.paged.append(paged)
            first = self._cursor_selection(named, below)
        more = rows * self._factor(definition, arguments)
        inner, height = self._selection(named, below, depth - 1, more, first=first)
        return f"{text} {inner}", height + 1

    def _choose(self, type_: Any, place: Place, depth: int, rows: int) -> str | None:
        """Return a field that still fits: an object or a leaf with equal chances; repetitions are rare."""
        fitting = {
            name: each
            for name, each in type_.fields.items()
            if self._height(each) <= depth
            and not (rows > MAX_ROWS and "first" in each.args)
            and (name not in place.taken or self.chance(0.25))
        }
        leaves = [name for name, each in fitting.items() if is_leaf_type(get_named_type(each.type))]
        objects = [name for name in fitting if name not in set(leaves)]
        if self.fields_left < 0 and leaves:
            objects = []
        objects += [
            name for name in objects if is_abstract_type(get_named_type(fitting[name].type))
        ] * 3  # they are few
        pool = objects if objects and (not leaves or self.chance(0.5)) else leaves
        return self.random.choice(pool) if pool else None

    def _height(self, definition: GraphQLField) -> int:
        """Return how many levels a field needs at least: 1 for a leaf, `__typename` ends every object."""
        return 2 if is_composite_type(get_named_type(definition.type)) else 1

    def _factor(self, definition: GraphQLField, arguments: str) -> int:
        if "first" not in definition.args:
            return 3 if "groups" in str(get_named_type(definition.type)) else 1
        return 3 if "first" in arguments or "last" in arguments else 10

    def _cursor_selection(self, connection: Any, below: Place) -> str:
        """Return a selection of the connection's cursors, noted."""
        definition = connection.fields["pageInfo"]
        page_info = get_named_type(definition.type)
        inner = below.add("pageInfo", Taken(connection, "pageInfo", "", definition.type))
        for name in ("startCursor", "endCursor"):
            inner.add(name, Taken(page_info, name, "", page_info.fields[name].type))
        return CURSORS

    def _introspection(self, place: Place) -> tuple[str, int] | None:
        core = self.schema.core
        key = f"i{self.random.randrange(1000)}"
        type_name = self.random.choice(list(core.type_map))
        meta = core.type_map["__Type"]
        place.add(key, Taken(core.query_type or meta, "__type", type_name, meta))  # type: ignore[arg-type]
        inner = self.random.choice(
            [
                "name kind",
                "fields { name type { name } }",
                "possibleTypes { name }",
                "inputFields { name defaultValue }",
            ]
        )
        return f'{key}: __type(name: "{type_name}") {{ {inner} __typename }}', 3
