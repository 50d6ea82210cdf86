"""How a field is loaded in bulk: the vocabulary shared by the planner, the reference executor and the graph toolkit.

A *row* is a tuple whose positions a `Shape` assigns, as a source fetched it; or any plain object (a mutation's
payload, a resolver's result), read by attribute. Keys are names of columns; what a key means is the source's business.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

BEYOND = ">"
"""Separates the key of a to-one edge from a key of what it leads to: `owner>name`; `owner>` tells if that is there."""

MAX_JOINED_EDGES = 8
"""To-one edges that one statement may carry; Postgres' planner takes longer with each."""


class Shape:
    """Which columns the rows of one edge carry, and at which position.

    Rows that `carry` may hold columns of what their to-one edges lead to, as keys like `owner>name`.
    """

    def __init__(self, *, carries: bool = False) -> None:
        self.columns: dict[str, int] = {}
        self.nested: dict[str, Shape] = {}
        self.carries = carries

    def may_carry(self, key: str) -> bool:
        """Return whether the rows may carry what a to-one edge leads to, rather than its key only."""
        carried = [column for column in self.columns if column.endswith(BEYOND)]
        return self.carries and (key + BEYOND in carried or len(carried) < MAX_JOINED_EDGES)

    def need(self, key: str) -> int:
        """Return the position of a column, adding it on first use."""
        return self.columns.setdefault(key, len(self.columns))

    def nest(self, key: str) -> Shape:
        """Return the shape of the rows within column `key`, a column that holds a list of rows."""
        self.need(key)
        return self.nested.setdefault(key, Shape(carries=self.carries))


@dataclass(slots=True)
class Planning:
    """What a source may know and say while it is planned.

    `context` is opaque to the executor (the graph keeps the viewer's compiled permissions there); `withhold` collects
    the coordinates (`Customer.annualRevenue`) that the plan leaves out, `audit` those whose reading is written down.
    """

    context: Any
    hides: Callable[[str, str], bool] = lambda _type, _field: False
    """Tells by type and field name whether a field can be null because it is hidden."""
    withheld: dict[str, None] = field(default_factory=dict)
    audited: dict[str, None] = field(default_factory=dict)

    def withhold(self, coordinate: str) -> None:
        """Note that a selected coordinate is not answered, or not for every row."""
        self.withheld[coordinate] = None

    def audit(self, coordinate: str) -> None:
        """Note that reading a selected coordinate is to be written down."""
        self.audited[coordinate] = None


Fetch = Callable[[Any, Sequence[Any], Mapping[str, Any]], Awaitable[Sequence[Any]]]
"""`await fetch(context, keys, arguments)` -> one value a key, in the order of the keys.

A value is a row or None for an object field, a list of rows for a list field, `(type name, row)` for an abstract type,
the output value itself for a leaf field, or an Exception where that key alone failed.
"""


BatchFunction = Callable[[Sequence[Any], Mapping[str, Any], Any], Sequence[Any] | Awaitable[Sequence[Any]]]
"""`function(parents, arguments, context)` -> one value a parent, in their order; or an awaitable of these.

A value is what a plain resolver may return: a leaf, an object, a list, an awaitable, or an Exception where that parent
alone failed. It must depend on that parent alone, not on which others come with it.
"""


class Source(Protocol):
    """Where the rows of an edge come from: planned once per plan, run once for all parents together.

    A source whose rows may carry what to-one edges lead to says so by an attribute `carries`.
    """

    def plan(self, shapes: Mapping[str, Shape], planning: Planning) -> Fetch:
        """Return the fetch for rows of these shapes, by concrete type name. Leaf fields have no shapes."""
        ...


@dataclass(frozen=True, slots=True)
class Column:
    """A leaf that is a column of the row, in output form; `prefix` is put before it (the type tag of an id)."""

    key: str
    prefix: str = ""
    nullable: bool = True
    """Whether it can be null where nothing is hidden: at a non-null field, values are then looked at one by one."""


@dataclass(frozen=True, slots=True)
class Computed:
    """A leaf computed from columns of the same row, given in the order of `needs`."""

    needs: tuple[str, ...]
    compute: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Same:
    """An object whose fields live in the same row: `Money`, `PageInfo`, an edge's `node`.

    `rename` maps the keys of the inner type to those of the row; the object is null where `unless_null` is.
    """

    rename: Mapping[str, str] = field(default_factory=dict)
    unless_null: str | None = None


@dataclass(frozen=True, slots=True)
class Nested:
    """Objects that the row already carries in one of its columns: the `nodes` of a fetched connection."""

    key: str


@dataclass(frozen=True, slots=True)
class Edge:
    """Objects fetched by a source for all parents together; `key` is the parent's column, None at a root."""

    source: Source
    key: str | None
    carried: bool = False
    """Whether the parent's rows may carry the object: a to-one edge, then, whose object is null where `key>` is."""


@dataclass(frozen=True, slots=True)
class Resolver:
    """A plain resolver, as any Strawberry author writes one, called for each parent.

    On fetched rows it receives a `RowView` of the columns in `needs`: all of a record, as nobody knows what it reads.
    """

    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """Values computed for all parents of a level by one call; parents are `RowView`s of the columns in `needs`, or the
    plain objects where there are no rows."""

    needs: tuple[str, ...]
    function: BatchFunction


FieldKind = Column | Computed | Same | Nested | Edge | Resolver | Batch


class Bindings(Protocol):
    """Tells how a field of the schema is loaded."""

    def kind(self, type_name: str, field_name: str) -> FieldKind | None:
        """Return the field's kind; None for a plain attribute."""
        ...


INHERITED = "asOf"
"""The argument of a source that holds for all that lies below it too, unless it is given there again."""


def inherited(arguments: Mapping[str, Any], above: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments of a source with what it inherits from above."""
    return {**above, **arguments} if above else arguments


def coordinate(type_name: str, field_name: str) -> str:
    """Return the schema coordinate of a field."""
    return f"{type_name}.{field_name}"


def present(arguments: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the arguments of a source without those that are null: a null argument is an absent one.

    Relay sends null for every variable that is not set, and no client can leave out an argument that its document
    names. 0.1 us where none is null.
    """
    if None not in arguments.values():
        return arguments
    return {name: value for name, value in arguments.items() if value is not None}
