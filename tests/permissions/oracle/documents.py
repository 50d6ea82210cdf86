"""Operations as trees: what is generated, answered by the oracle, made small, and printed as GraphQL."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.permissions.oracle.kinds import Field, Kind

Where = Mapping[str, Any]
"""A filter (or `having`) as in the API; members of enums are `Bare`."""


class Bare(str):
    """A name that is printed without quotes: a member of an enum."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class OrderKey:
    """A key of an order: a column of a field."""

    each: Field
    column: int
    descending: bool
    nulls_first: bool

    @property
    def name(self) -> str:
        """The member of the enum."""
        return enum_name(self.each.name) + ("_CURRENCY" if self.column else "")


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page starts: a cursor, and the sort values of the row that it was given for."""

    cursor: str
    values: tuple[Any, ...]


@dataclass(slots=True)
class Page:
    """A connection: its arguments and what is selected of it.

    `place` names it in the document. A `movable` page takes its cursor from a variable, so that the same document asks
    for the next page.
    """

    place: str
    kind: Kind
    where: Where | None = None
    order: Sequence[OrderKey] = ()
    size: int | None = None
    backward: bool = False
    movable: bool = False
    by_variable: bool = False
    nodes: Select | None = None
    edges: Select | None = None
    info: Sequence[str] = ()
    total: bool = False
    archived: bool = False
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class GroupKey:
    """What groups are made by: a field, or the currency (None), here or beyond edges to one."""

    each: Field | None
    edges: tuple[Field, ...] = ()

    @property
    def name(self) -> str:
        """The field of the group's key."""
        first, *rest = [*(edge.name for edge in self.edges), "currency" if self.each is None else self.each.name]
        return first + "".join(f"{name[:1].upper()}{name[1:]}" for name in rest)

    @property
    def is_edge(self) -> bool:
        """Whether it leads to a record."""
        return self.each is not None and self.each.of == "one"

    @property
    def is_time(self) -> bool:
        """Whether it takes a bucket."""
        return self.each is not None and self.each.of in {"date", "moment"}


@dataclass(slots=True)
class Item:
    """A selected field of a record; `inner` is what is selected of an edge to one, `page` of one to many, `measured` of
    the measures over one."""

    key: str
    each: Field
    parts: Sequence[str] = ()
    inner: Select | None = None
    page: Page | None = None
    measured: Aggregate | None = None


@dataclass(slots=True)
class Select:
    """A selection on a record."""

    kind: Kind
    items: list[Item]
    typename: bool = False


@dataclass(slots=True)
class Measure:
    """Selected measures of a group: a function over fields; `count`, `currencies` and `share` have none."""

    function: str
    fields: Sequence[Field] = ()


@dataclass(frozen=True, slots=True)
class GroupOrder:
    """An order of groups: by a function, of a field unless it is of whole records, of what matches or of all."""

    function: str
    each: Field | None
    matching: bool
    descending: bool


@dataclass(slots=True)
class Aggregate:
    """An aggregate. `groups` are keys with their buckets of time; `keys` are selected ones with the selection beyond an
    edge. Of groups, `matching` says what is measured apart, as `apart`; they are ordered by a measure, and cut to the
    `first`."""

    kind: Kind
    where: Where | None
    groups: Sequence[tuple[GroupKey, str | None]]
    having: Where | None
    keys: Sequence[tuple[GroupKey, Select | None]]
    measures: Sequence[Measure]
    matching: Where | None = None
    apart: Sequence[Measure] = ()
    order: GroupOrder | None = None
    first: int | None = None


@dataclass(slots=True)
class Root:
    """A field of Query. `ids` are those of `one`, `node` and `nodes`; `selects` has one selection for a single type,
    and several for `node` and `nodes`."""

    key: str
    name: str
    how: str
    ids: Sequence[str] = ()
    selects: Sequence[Select] = ()
    page: Page | None = None
    aggregate: Aggregate | None = None
    as_of: str | None = None

    def asked_as_of(self, moment: str) -> bool:
        """Ask as of a moment, where this field can be; returns whether it can."""
        asked = self.page or self.aggregate
        kind = asked.kind if asked is not None else self.selects[0].kind
        if self.how in {"viewer", "node"} or (self.how != "nodes" and not kind.history):
            return False
        if self.page is not None:
            self.page.deleted = False
        self.as_of = moment
        return True


@dataclass(slots=True)
class Document:
    """A query. `positions` are the cursors of its movable pages, by place."""

    roots: list[Root]
    positions: dict[str, Position] = field(default_factory=dict)

    def text(self) -> tuple[str, dict[str, Any]]:
        """Return the GraphQL and its variables."""
        printer = Printer(self.positions)
        body = " ".join(printer.root(root) for root in self.roots)
        declared = ", ".join(f"${name}: {type_}" for name, (type_, _) in printer.variables.items())
        head = f"query({declared}) " if declared else ""
        return f"{head}{{ {body} }}", {name: value for name, (_, value) in printer.variables.items()}


def enum_name(name: str) -> str:
    """Return the member of an enum for a field."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).upper()


class Printer:
    """Prints an operation, and gathers its variables."""

    def __init__(self, positions: Mapping[str, Position]) -> None:
        self.positions = positions
        self.variables: dict[str, tuple[str, Any]] = {}

    def root(self, root: Root) -> str:
        """Return a field of Query."""
        key = "" if root.key == root.name else f"{root.key}: "
        match root.how:
            case "list":
                assert root.page is not None
                return f"{key}{root.name}{self.page(root.page, root.as_of)}"
            case "aggregate":
                assert root.aggregate is not None
                return f"{key}{root.name}{self.aggregate(root.aggregate, root.as_of)}"
            case "viewer":
                member, workspace = root.selects
                return f"{key}viewer {{ roles member {self.select(member)} workspace {self.select(workspace)} }}"
            case "one":
                return f"{key}{root.name}({self.ids(root)}) {self.select(root.selects[0])}"
        parts = (f"... on {each.kind.name} {self.select(each)}" for each in root.selects)
        return f"{key}{root.name}({self.ids(root)}) {{ __typename id {' '.join(parts)} }}"

    def ids(self, root: Root) -> str:
        """Ids come as variables, so that documents are alike."""
        if root.how == "nodes":
            found = [f"ids: {self.variable('[ID!]!', list(root.ids))}"]
        else:
            found = [f"id: {self.variable('ID!', root.ids[0])}"]
        return ", ".join([*found, *self.moment(root.as_of)])

    def moment(self, as_of: str | None) -> list[str]:
        """The time comes as a variable: at any one, the same plan answers."""
        return [] if as_of is None else [f"asOf: {self.variable('DateTime', as_of)}"]

    def variable(self, type_: str, value: Any) -> str:
        name = f"v{len(self.variables)}"
        self.variables[name] = type_, value
        return f"${name}"

    def select(self, select: Select) -> str:
        parts = ["__typename"] if select.typename else []
        parts += [self.item(item) for item in select.items]
        return f"{{ {' '.join(parts)} }}"

    def item(self, item: Item) -> str:
        name = item.each.name if item.key == item.each.name else f"{item.key}: {item.each.name}"
        if item.inner is not None:
            return f"{name} {self.select(item.inner)}"
        if item.page is not None:
            return f"{name}{self.page(item.page)}"
        if item.measured is not None:
            where = "" if item.measured.where is None else f"(where: {literal(item.measured.where)})"
            return f"{name}{where} {{ {' '.join(self.measures(item.measured.measures))} }}"
        return f"{name} {{ {' '.join(item.parts)} }}" if item.parts else name

    def page(self, page: Page, as_of: str | None = None) -> str:
        arguments = self.moment(as_of)
        if page.where is not None:
            arguments.append(f"where: {self.where(page.where, f'{page.kind.name}Filter!', page.by_variable)}")
        arguments += [f"{name}: true" for name in ("archived", "deleted") if getattr(page, name)]
        if page.order:
            keys = (
                f"{{field: {key.name}, direction: {'DESC' if key.descending else 'ASC'},"
                f" nulls: {'FIRST' if key.nulls_first else 'LAST'}}}"
                for key in page.order
            )
            arguments.append(f"orderBy: [{', '.join(keys)}]")
        if page.size is not None:
            arguments.append(f"{'last' if page.backward else 'first'}: {page.size}")
        if page.movable:
            position = self.positions.get(page.place)
            cursor = self.variable("String", None if position is None else position.cursor)
            arguments.append(f"{'before' if page.backward else 'after'}: {cursor}")
        parts = []
        if page.nodes is not None:
            parts.append(f"nodes {self.select(page.nodes)}")
        if page.edges is not None:
            parts.append(f"edges {{ cursor node {self.select(page.edges)} }}")
        if page.info:
            parts.append(f"pageInfo {{ {' '.join(page.info)} }}")
        if page.total:
            parts.append("totalCount")
        return f"{f'({chr(44).join(arguments)})' if arguments else ''} {{ {' '.join(parts)} }}"

    def where(self, where: Where, type_: str, by_variable: bool) -> str:
        return self.variable(type_, where) if by_variable else literal(where)

    def aggregate(self, of: Aggregate, as_of: str | None = None) -> str:
        arguments = self.moment(as_of)
        if of.where is not None:
            arguments.append(f"where: {literal(of.where)}")
        if of.groups:
            keys = (
                f"{{field: {enum_name(each.name)}{'' if bucket is None else f', bucket: {bucket}'}}}"
                for each, bucket in of.groups
            )
            arguments.append(f"groupBy: [{', '.join(keys)}]")
        if of.having is not None:
            arguments.append(f"having: {literal(of.having)}")
        if of.matching is not None:
            arguments.append(f"matching: {literal(of.matching)}")
        if of.order is not None:
            arguments.append(f"orderBy: [{self.group_order(of.order)}]")
        if of.first is not None:
            arguments.append(f"first: {of.first}")
        parts = []
        if of.keys:
            keys = (each.name if inner is None else f"{each.name} {self.select(inner)}" for each, inner in of.keys)
            parts.append(f"key {{ {' '.join(keys)} }}")
        parts += self.measures(of.measures)
        if of.apart:
            parts.append(f"matching {{ {' '.join(self.measures(of.apart))} }}")
        given = f"({', '.join(arguments)})" if arguments else ""
        cut = "" if of.first is None else "hasMoreGroups totalGroups "
        return f"{given} {{ {cut}groups {{ {' '.join(parts)} }} }}"

    def group_order(self, order: GroupOrder) -> str:
        parts = [f"measure: {enum_name(order.function)}"]
        if order.each is not None:
            parts.append(f"of: {enum_name(order.each.name)}")
        if order.matching:
            parts.append("matching: true")
        return f"{{{', '.join(parts)}, direction: {'DESC' if order.descending else 'ASC'}}}"

    def measures(self, measures: Sequence[Measure]) -> list[str]:
        """Return the selection of measures."""
        return [
            f"{each.function} {{ {' '.join(field.name for field in each.fields)} }}" if each.fields else each.function
            for each in measures
        ]


def literal(value: Any) -> str:
    """Return a value as a GraphQL literal."""
    if isinstance(value, Bare):
        return str(value)
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{name}: {literal(each)}' for name, each in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(literal(each) for each in value)}]"
    return json.dumps(value, ensure_ascii=False)
