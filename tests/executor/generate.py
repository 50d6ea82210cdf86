"""Generates operations from the schema: valid documents that use everything GraphQL has, and how to run them.

A *case* is one document and several runs of it: with other variables, other conditions, as another role, in another
workspace. The runs share the executors' caches, so that a plan that is wrong for the second run is seen. Everything
follows from one seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
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

from crm_graph.executor.results import OnError
from crm_graph.graph.build import BuiltSchema
from crm_graph.graph.records import Record
from crm_graph.permissions.roles import ADMIN, BUILT_IN
from tests.executor.known import WORKSPACES, Known
from tests.executor.places import Place, Taken
from tests.executor.values import ABSENT, About, Use, Values, literal

PAGE_ARGUMENTS = frozenset({"first", "last", "after", "before"})
WRONG_PAGES: tuple[dict[str, Any], ...] = (
    {"first": -1},
    {"first": 201},
    {"first": 1, "last": 1},
    {"after": "x"},
    {"before": "x"},
    {"last": 2, "before": "nonsense"},
    {"last": None, "first": -5},
)
CURSORS = "pageInfo { startCursor endCursor }"
ALIASES = "abcdefgh"
MAX_ROWS = 1_500
"""An estimate of rows above which no further connection is nested: the reference needs seconds for more."""


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a case's document."""

    role: str
    workspace: str
    variables: dict[str, Any]
    on_error: OnError = OnError.PROPAGATE


@dataclass(slots=True)
class Paged:
    """A connection whose page is given by variables: its response key, and the variables."""

    key: str
    first: str
    last: str
    after: str
    before: str


@dataclass(slots=True)
class Case:
    """A document and its runs; `paged` lets `follow` page on from an answer."""

    seed: str
    source: str
    runs: list[Run]
    operation: str | None = None
    mutation: bool = False
    one_by_one: bool = False
    """Whether the reference loads keys one by one."""
    paged: list[Paged] = field(default_factory=list)

    def follow(self, run: Run, answer: dict[str, Any]) -> Iterator[Run]:
        """Return runs that go on from the cursors of an answer: after its first one, and before its last one."""
        for paged in self.paged:
            cursors = list(dict.fromkeys(_cursors(answer.get("data"), paged.key, within=False)))
            if not cursors:
                continue
            page = {paged.first, paged.last, paged.after, paged.before}
            kept = {name: value for name, value in run.variables.items() if name not in page}
            yield replace(run, variables={**kept, paged.first: 2, paged.after: cursors[0]})
            yield replace(run, variables={**kept, paged.last: 2, paged.before: cursors[-1]})


def _cursors(value: Any, key: str, *, within: bool) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _cursors(item, key, within=within)
    elif isinstance(value, dict):
        for name, item in value.items():
            if within and name in {"startCursor", "endCursor"} and isinstance(item, str):
                yield item
            yield from _cursors(item, key, within=name == key or (within and name == "pageInfo"))


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
class Generator:
    """Generates the document of one case."""

    random: Random
    schema: BuiltSchema
    values: Values
    fragments: dict[str, Fragment] = field(default_factory=dict)
    paged: list[Paged] = field(default_factory=list)
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
            arguments, paged = self._arguments(definition, type_, rows)
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
            self.paged.append(paged)
            first = self._cursor_selection(named, below)
        more = rows * self._factor(definition, arguments)
        inner, height = self._selection(named, below, depth - 1, more, first=first)
        return f"{text} {inner}", height + 1

    def _choose(self, type_: Any, place: Place, depth: int, rows: int) -> str | None:
        """Return a field that still fits; objects are as likely as leaves together, and repetitions are rare."""
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

    def _arguments(self, definition: GraphQLField, parent: GraphQLNamedType, rows: int) -> tuple[str, Paged | None]:
        """Return the arguments of a field as text."""
        about = self._about(definition, parent)
        given: dict[str, Any] = {}
        for name, argument in definition.args.items():
            required = isinstance(argument.type, GraphQLNonNull) and argument.default is None
            if name in PAGE_ARGUMENTS or not (required or self.chance(0.3)):
                continue
            has_default = argument.default is not None
            within = About(about, name)
            given[name] = self.values.value(argument.type, within, has_default=has_default)
        paged = None
        if definition.args.keys() >= PAGE_ARGUMENTS:
            paged = self._page(given, rows)
        text = ", ".join(f"{name}: {literal(value)}" for name, value in given.items())
        return (f"({text})" if text else ""), paged

    def _page(self, given: dict[str, Any], rows: int) -> Paged | None:
        """Add the arguments of a page: usually one that can be meant."""
        values = self.values
        if not self.paged and self.chance(0.12):
            paged = Paged("paged", *(self._page_variable(name) for name in ("first", "last", "after", "before")))
            given.update(first=Use(paged.first), last=Use(paged.last), after=Use(paged.after), before=Use(paged.before))
            return paged
        if self.chance(values.wild):
            wrong: list[dict[str, Any]] = [
                {"first": -1},
                {"first": 201},
                {"first": 1, "last": 1},
                {"after": "x"},
                {"before": "x"},
            ]
            wrong += [{"last": 2, "before": "nonsense"}, {"last": None, "first": -5}]
            given.update(self.random.choice(wrong))
            return None
        sizes = [0, 1, 1, 2, 2, 3] if rows > 20 else [0, 1, 2, 3, 5, 20, 200]
        if rows > 100 or self.chance(0.6):
            name = "last" if self.chance(0.25) else "first"
            given[name] = self._size(sizes)
            if self.chance(0.1):
                given["first" if name == "last" else "last"] = None
        return None

    def _size(self, sizes: list[int]) -> Any:
        if not self.chance(0.25):
            return self.random.choice(sizes)
        default = self.random.choice(sizes) if self.chance(0.5) else ABSENT
        return Use(self.values.add_variable("Int", default, lambda: self.random.choice(sizes)))

    def _page_variable(self, name: str) -> str:
        draw = {"first": lambda: self.random.choice([1, 2, 3])}.get(name, lambda: ABSENT)
        return self.values.add_variable("Int" if name in {"first", "last"} else "String", ABSENT, draw)

    def _about(self, definition: GraphQLField, parent: GraphQLNamedType) -> Record | None:
        """Return the record that a field is about: its own type, that of its page, or that of its payload."""
        records = self.schema.registry.records
        named = get_named_type(definition.type)
        if named.name in records:
            return records[named.name]
        for suffix in ("Connection", "Aggregate"):
            if named.name.removesuffix(suffix) in records:
                return records[named.name.removesuffix(suffix)]
        if isinstance(named, GraphQLObjectType):
            for each in named.fields.values():
                if get_named_type(each.type).name in records:
                    return records[get_named_type(each.type).name]
        ast = next((name for name, each in getattr(parent, "fields", {}).items() if each is definition), "")
        return max(
            (each for name, each in records.items() if ast.endswith(name)), key=lambda r: len(r.name), default=None
        )


def generate(schema: BuiltSchema, known: Known, seed: str, *, mutations: float = 0.12) -> Case:
    """Return the case of a seed."""
    random = Random(seed)
    workspace = "demo" if random.random() < 0.9 else "other"
    wild = random.choice([0.0, 0.0, 0.0, 0.06])
    values = Values(random, schema, known, workspace, wild)
    generator = Generator(random, schema, values, fields_left=random.choice([8, 20, 45, 70]))
    mutation = random.random() < mutations
    root = schema.core.mutation_type if mutation else schema.core.query_type
    assert root is not None
    depth = random.choice([3, 5, 7, 8, 10, 12]) if random.random() < 0.995 else 14
    selection = generator.root(root, depth)
    source, operation = _document(generator, "mutation" if mutation else "query", selection)
    used = [each for each in values.variables.values() if f"${each.name}:" in source]
    runs = list(_runs(generator, used, workspace))
    paged = [each for each in generator.paged if f"${each.first}:" in source]
    return Case(seed, source, runs, operation, mutation, random.random() < 0.2, paged)


def _document(generator: Generator, kind: str, selection: str) -> tuple[str, str | None]:
    """Return the text of a document, with the fragments and variables that are used, and the operation's name."""
    random = generator.random
    bodies = [generator.fragments[name].body for name in sorted(generator.spreads)]
    text = "\n".join([selection, *bodies])
    mentioned = [each for each in generator.values.variables.values() if _mentions(text, each.name)]
    declared = ", ".join(each.declaration for each in mentioned)
    name = "Q" if random.random() < 0.15 else None
    head = f"{kind}{' Q' if name else ''}{f' ({declared})' if declared else ''} "
    if random.random() < 0.3:
        bodies.reverse()
    if name and random.random() < 0.3:
        bodies.append("query Other { __typename }")
    source = head + "\n".join([selection, *bodies])
    if kind == "query" and head == "query " and random.random() < 0.5:
        source = source.removeprefix("query ")
    return source, name


def _mentions(text: str, name: str) -> bool:
    return any(f"${name}{end}" in text for end in (")", ",", "]", "}", " "))


def _runs(generator: Generator, used: list[Any], workspace: str) -> Iterator[Run]:
    random = generator.random
    role = ADMIN if random.random() < 0.4 else random.choice(BUILT_IN)
    drawn = {each.name: each.draw() for each in used}
    variables = {name: value for name, value in drawn.items() if value is not ABSENT}
    first = Run(role, workspace, variables)
    yield first
    conditions = [each for each in used if each.name in generator.values.conditions]
    if conditions and random.random() < 0.8:
        yield replace(first, variables={**variables, random.choice(conditions).name: random.random() < 0.5})
    if used and random.random() < 0.35:
        again = {each.name: each.draw() for each in used}
        yield replace(first, variables={name: value for name, value in again.items() if value is not ABSENT})
    if random.random() < 0.35:
        yield replace(first, role=random.choice(BUILT_IN))
    if random.random() < 0.08:
        yield replace(first, workspace=random.choice(WORKSPACES))
    if random.random() < 0.35:
        yield replace(first, on_error=random.choice([OnError.NULL, OnError.HALT]))
