"""Record types: the written-out fields of a type, each saying which column or edge it is.

    @record("opp", model.Opportunity, policy.OPPORTUNITY)
    class Opportunity(Node):
        '''A deal in a pipeline.'''

        name: str = column("What the deal is called.", SENT)
        amount: Money | None = money("amount", "currency", "What the deal is worth.", SENT)
        customer: Customer | None = to_one("customer_id", "The customer who could buy.", SENT)

Filters, orders, aggregates, connections and loading derive from these fields (`derive.py`, `bind.py`), and so do the
inputs of mutations (`writes.py`), from those that clients send; nothing is written twice. A field's GraphQL name is its
key everywhere: in shapes, in policies, in role files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar, dataclass_transform

import strawberry
from sqlalchemy import Table
from strawberry.annotation import StrawberryAnnotation
from strawberry.types.arguments import StrawberryArgument
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

from crm_graph.db.base import ARCHIVED_AT, DELETED_AT, Base, Kept, Row, table_of
from crm_graph.db.history import versions_of
from crm_graph.db.placement import DISTRIBUTED
from crm_graph.db.rules import is_unique
from crm_graph.db.sizes import SIZE_KEY, Items, Letters
from crm_graph.executor.fields import BEYOND, BatchFunction
from crm_graph.graph.records.history import HistoryEntry
from crm_graph.graph.records.measures import Measure, Use
from crm_graph.graph.records.types import Connection
from crm_graph.kernel import naming
from crm_graph.permissions.grants import DELETE, UPDATE
from crm_graph.permissions.policy import MaskDecrypted, Policy
from crm_graph.vault.columns import Encrypted, mark_of

METADATA_KEY, SENT_KEY, USE_KEY = "crm_graph", "crm_graph.sent", "crm_graph.use"
HISTORY = (
    "The changes of the record since its history is kept, newest first: who changed what from what to what, of what you"
    " may see on the record as it was."
)
AS_OF = "asOf"
"""The argument that says as of when records are read, and all that lies below them."""
VIEWER_CAN, WITHHELD = "viewerCan", "withheld"
"""Fields of every record about the viewer: no columns of a table, and nothing that is granted."""
T = TypeVar("T", bound=type)


@dataclass(frozen=True, slots=True)
class ColumnSpec:
    """A leaf that is a column of the record's table."""

    column: str | None = None
    like: str | None = None
    """The field whose rights it has, where that is not itself."""


@dataclass(frozen=True, slots=True)
class IdSpec:
    """The record's own id, printed with its prefix."""


@dataclass(frozen=True, slots=True)
class MoneySpec:
    """A `Money` object from two columns."""

    amount: str
    currency: str


@dataclass(frozen=True, slots=True)
class RightsSpec:
    """`viewerCan`: an object of what the viewer may do with the record, by the names of its fields the verbs."""

    verbs: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class WithheldSpec:
    """`withheld`: the fields of the record that the viewer does not see here."""


@dataclass(frozen=True, slots=True)
class HistorySpec:
    """`history`: the changes of the record."""


@dataclass(frozen=True, slots=True)
class ComputedSpec:
    """A leaf computed from other fields of the same record, by their names."""

    needs: tuple[str, ...]
    compute: Callable[..., Any]


@dataclass(frozen=True, slots=True)
class BatchSpec:
    """A field whose values one call computes for all objects of a level."""

    needs: tuple[str, ...]
    function: BatchFunction


@dataclass(frozen=True, slots=True)
class ToOneSpec:
    """An edge along a foreign key of this table."""

    column: str


@dataclass(frozen=True, slots=True)
class ToManySpec:
    """A connection along a foreign key of the other table that points to this one."""

    column: str


@dataclass(frozen=True, slots=True)
class MeasuresSpec:
    """Measures over the records of an edge to many, along its column: derived beside each such edge."""

    record: Record
    column: str


@dataclass(frozen=True, slots=True)
class KeySpec:
    """A record named by an id that a plain object (a payload, the viewer) carries in an attribute."""

    attribute: str


@dataclass(frozen=True, slots=True)
class RootSpec:
    """A field of Query that finds records: `one` by id, `many` as a connection, `aggregate`, `node`, `nodes`."""

    how: str


@dataclass(frozen=True, slots=True)
class WatchSpec:
    """A field of Subscription that watches a record type: those that a filter matches, or those `within` a record, the
    one that this edge of theirs leads to; `id` is the record itself. A `timeline` is of a record with all that belongs
    to it, of whatever type."""

    record: type
    within: str | None = None
    timeline: bool = False

    @property
    def argument(self) -> str | None:
        """The argument that names the record which all that is watched is within."""
        if self.timeline:
            return f"{own_name(record_of(self.record))}Id"
        return None if self.within is None else "id"


Spec = (
    ColumnSpec
    | IdSpec
    | MoneySpec
    | RightsSpec
    | WithheldSpec
    | HistorySpec
    | ComputedSpec
    | BatchSpec
    | ToOneSpec
    | ToManySpec
    | MeasuresSpec
    | KeySpec
    | RootSpec
    | WatchSpec
)


@dataclass(frozen=True, slots=True)
class Writing:
    """That clients send a field, and when; see `sent`."""

    create: bool = True
    update: bool = True
    required: bool | None = None
    otherwise: str = ""
    bare: bool = False


def sent(
    *, create: bool = True, update: bool = True, required: bool | None = None, otherwise: str = "", bare: bool = False
) -> Writing:
    """Say that clients send a field, by `create` and by `update` unless one is ruled out.

    A new record needs it where its column is not null and has no default, unless `required` says so or not, and null
    clears it where it can be null; `otherwise` says what it is when it is left out: "you". Money is sent `bare`, as an
    amount, where something else says its currency.
    """
    return Writing(create, update, required, otherwise, bare)


SENT = sent()
SENT_ONCE, SENT_LATER = sent(update=False), sent(create=False)


def _field(spec: Spec, description: str, writing: Writing | None = None, use: Use | None = None, **options: Any) -> Any:
    said = {METADATA_KEY: spec, SENT_KEY: writing, USE_KEY: use}
    metadata = {key: value for key, value in said.items() if value is not None}
    return strawberry.field(description=description, metadata=metadata, **options)


def column(
    description: str,
    writing: Writing | None = None,
    *,
    of: str | None = None,
    name: str | None = None,
    use: Use | None = None,
    like: str | None = None,
) -> Any:
    """Return a field that is a column; `of` names the column where it is not called like the field, and `use` says what
    aggregates make of it where its type does not. One that is `like` another field follows from that, tells of it, and
    has its rights: no role speaks of it."""
    return _field(ColumnSpec(of, like), description, writing, use, name=name)


def identity(description: str = "The id of this record.") -> Any:
    """Return the field of a record's id."""
    return _field(IdSpec(), description)


def money(amount: str, currency: str, description: str, writing: Writing | None = None) -> Any:
    """Return a `Money` field over two columns."""
    return _field(MoneySpec(amount, currency), description, writing)


def computed(compute: Callable[..., Any], needs: Sequence[str], description: str) -> Any:
    """Return a field computed from other fields of the record, given by their GraphQL names, in that order."""
    return _field(ComputedSpec(tuple(needs), compute), description)


def batch(
    function: BatchFunction,
    needs: Sequence[str] = (),
    *,
    description: str,
    arguments: Mapping[str, Any] | None = None,
) -> Any:
    """Return a field that `function(parents, arguments, context)` computes for all records of a level in one call.

        async def open_tickets(customers: Sequence[Any], _: Mapping[str, Any], context: GraphContext) -> list[int]:
            found = await count_open_tickets(context, [customer.id for customer in customers])
            return [found.get(customer.id, 0) for customer in customers]

        open_tickets: int = batch(open_tickets, needs=["id"], description="How many tickets are open.")

    Parents are `RowView`s of the fields in `needs`, given by their GraphQL names and read under the viewer's
    permissions (None where hidden); on a type that is no record they are its objects. The function may be asynchronous.
    It returns a list with one value a parent, in their order: leaves, plain objects, lists, awaitables, or an Exception
    where that parent alone fails. `arguments` maps Python names to types, `Annotated[int, strawberry.argument(...)]`
    where one is described; the function receives them coerced, by their GraphQL names, absent ones not at all.
    """
    made = _field(BatchSpec(tuple(needs), function), description)
    made.arguments = [
        StrawberryArgument(name, None, StrawberryAnnotation(of)) for name, of in (arguments or {}).items()
    ]
    return made


def to_one(column: str, description: str, writing: Writing | None = None) -> Any:
    """Return an edge along a foreign key column of this record's table; clients send it as an id (`ownerId`)."""
    return _field(ToOneSpec(column), description, writing)


def to_many(column: str, description: str) -> Any:
    """Return a connection along a foreign key column of the other record's table."""
    return _field(ToManySpec(column), description)


def by_key(attribute: str, description: str) -> Any:
    """Return a record field of a plain object that carries the record's id in `attribute`."""
    return _field(KeySpec(attribute), description, default=None)


def watch(record: type, description: str, *, within: str | None = None) -> Any:
    """Return a subscription to the changes of a record type; its type is a `live.Change` with the record."""
    return _field(WatchSpec(record, within), description)


def timeline(record: type, description: str) -> Any:
    """Return a subscription to the changes of a record and of all that belongs to it, of whatever type; the type of the
    field is a `live.Change` with a node."""
    return _field(WatchSpec(record, timeline=True), description)


@dataclass(frozen=True, slots=True)
class RecordColumn:
    """A readable column under its key; `field` is the GraphQL field whose permission governs it."""

    key: str
    column: str
    field: str
    encrypted: Encrypted | None = None
    beside: str | None = None
    """The column without whose value this one says nothing: of a currency that several amounts share, the amount. Else
    it would tell that there is another one, which may be hidden."""
    like: bool = False
    """Whether it follows from another field, and tells of it: it is shown where that is shown in clear, and there
    alone."""

    @property
    def told_as(self) -> str:
        """The GraphQL field that it is: an amount and its currency are one."""
        return self.key if self.like else self.field


@dataclass(frozen=True, slots=True)
class RecordEdge:
    """A link between records: along `column` of this table (to one) or of the other table (to many)."""

    name: str
    target: Record
    column: str
    many: bool


@dataclass(slots=True, repr=False)
class Record:
    """A record type: its table, its policy, its readable columns."""

    name: str
    prefix: str
    model: type[Base]
    policy: Policy
    cls: type
    called: str
    """What a payload calls it: `line`."""
    views: bool = False
    """Whether its records are those who ask: filters of it can say `isViewer`."""
    columns: dict[str, RecordColumn] = field(default_factory=dict)
    edges: dict[str, RecordEdge] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    """The fields of which no two records have the same value, by name, with their columns."""
    measures: Mapping[str, Measure] = field(default_factory=dict)
    """What aggregates measure beside its fields, by name."""
    new_keys: frozenset[str] = frozenset()
    """Those of the `keys` that clients send of a new record, so that it can be made under them."""

    def __repr__(self) -> str:
        return f"Record({self.name})"

    @property
    def table(self) -> Table:
        """The record's table."""
        return table_of(self.model)

    @property
    def definition(self) -> StrawberryObjectDefinition:
        """Strawberry's definition of the type."""
        definition: StrawberryObjectDefinition = self.cls.__strawberry_definition__  # type: ignore[attr-defined]
        return definition

    @property
    def is_kept(self) -> bool:
        """Whether it is archived, and deleted into the recycle bin."""
        return issubclass(self.model, Kept)

    @property
    def keeps_history(self) -> bool:
        """Whether versions of its rows are kept."""
        return versions_of(self.table) is not None

    @property
    def words(self) -> str:
        """The type's name in words: `order line`."""
        return naming.words(self.name)

    @property
    def one(self) -> str:
        """One of it, in words: `an order line`."""
        return naming.one(self.name)

    @property
    def plural(self) -> str:
        """Many of it, in words: `order lines`."""
        return naming.plural(self.name)

    def specs(self) -> Mapping[str, tuple[StrawberryField, Spec]]:
        """Return the fields that say how they load, by GraphQL name."""
        return {
            graphql_name(each): (each, each.metadata[METADATA_KEY])
            for each in self.definition.fields
            if METADATA_KEY in each.metadata
        }

    def edge_along(self, column: str) -> str:
        """Return the to-one edge along a foreign key column of this table."""
        return next(edge.name for edge in self.edges.values() if not edge.many and edge.column == column)

    def find(self, key: str) -> tuple[Record, RecordColumn]:
        """Return the record and the column that a key names, here or beyond to-one edges (`owner>name`)."""
        record = self
        *edges, last = key.split(BEYOND)
        for name in edges:
            record = record.edges[name].target
        return record, record.columns[last]

    def add_columns(self) -> None:
        """Note the columns behind the fields. Called when the type is complete, extensions included."""
        self.keys = {}
        self.columns = {"id": RecordColumn("id", "id", "id")}
        for name, (each, spec) in self.specs().items():
            match spec:
                case ColumnSpec(of, like):
                    self._add(name, of or each.python_name, like or name, like=like is not None)
                    if is_unique(self.table.c[of or each.python_name]):
                        self.keys[name] = of or each.python_name
                case MoneySpec(amount, currency):
                    self._add(name, amount, name)
                    shared = self.table.c[amount].nullable and self._amounts_in(currency) > 1
                    self._add(f"{name}.currency", currency, name, amount if shared else None)
                case ToOneSpec(of):
                    self._add(name, of, name)
                case _:
                    pass

        self.new_keys = frozenset(name for name in self.keys if self._is_sent_of_new(name))

    def _is_sent_of_new(self, name: str) -> bool:
        writing: Writing | None = self.specs()[name][0].metadata.get(SENT_KEY)
        return writing is not None and writing.create

    def keeps_currency(self, currency: str) -> bool:
        """Return whether a currency column holds one without an amount, or with another amount than one."""
        return not self.table.c[currency].nullable or self._amounts_in(currency) > 1

    def _amounts_in(self, currency: str) -> int:
        """Return how many amounts share a currency column."""
        return sum(isinstance(spec, MoneySpec) and spec.currency == currency for _, spec in self.specs().values())

    def _add(self, key: str, column: str, governed_by: str, beside: str | None = None, *, like: bool = False) -> None:
        assert column in self.table.c, f"{self.name}.{governed_by}: table {self.table.name} has no column {column}"
        mark, mask = mark_of(self.table.c[column]), self.policy.masks.get(governed_by)
        assert mask is None or isinstance(mask, MaskDecrypted) == (mark is not None), (
            f"{self.name}.{governed_by}: MaskDecrypted is the mask of an encrypted column, and of no other"
        )
        self.columns[key] = RecordColumn(key, column, governed_by, mark, beside, like)


def graphql_name(of: StrawberryField) -> str:
    """Return the GraphQL name of a field."""
    return of.graphql_name or naming.camel(of.python_name)


def own_name(of: Record) -> str:
    """Return what a field is called that is a record of this type: `orderLine`."""
    return of.name[:1].lower() + of.name[1:]


HOUSEKEEPING = frozenset({"id", "version", "createdAt", "updatedAt", "createdBy", "updatedBy"})
"""What every row has, by GraphQL name."""


def spec_of(of: StrawberryField) -> Spec | None:
    """Return how a field says it loads, or None for a plain one."""
    spec: Spec | None = of.metadata.get(METADATA_KEY)
    return spec


@strawberry.interface(description="Anything that has an id.")
class Node:
    """The Relay interface: whatever can be fetched again by its id alone."""

    id: strawberry.ID = identity("The opaque id of this object; `node(id:)` finds it again.")


_HOUSEKEEPING: Mapping[str, tuple[type, str]] = {
    "version": (int, "Counts the changes of this record; send it as `ifVersion` to refuse a lost update."),
    "created_at": (datetime, "When the record was made."),
    "updated_at": (datetime, "When the record last changed."),
}
"""What every record has of its row, where it does not say it in words of its own."""
_KEEPING: Mapping[str, tuple[Any, str]] = {
    ARCHIVED_AT: (datetime | None, "When the record was archived: lists of all records leave it out since then."),
    DELETED_AT: (datetime | None, "When the record was put into the recycle bin; null of all that is not in it."),
}
"""What every kept record has beside that."""


@dataclass_transform(kw_only_default=True, field_specifiers=(column, identity, money, computed, batch, to_one, to_many))
def record(
    prefix: str,
    model: type[Base],
    policy: Policy,
    *,
    called: str | None = None,
    views: bool = False,
    measures: Sequence[Measure] = (),
) -> Callable[[T], T]:
    """Make a class a record type of the schema; its docstring becomes the type's description, and it has the fields of
    every row. `called` is what a payload calls it, where that is not the name of its type: `line`; its records `view`
    where they are who asks: members. `measures` are computed of its fields, in aggregates."""

    def decorate(cls: T) -> T:
        assert cls.__doc__, f"{cls.__name__} needs a docstring: it is the description that API users read"
        of_row = _HOUSEKEEPING if issubclass(model, Row) else {}
        for name, (of, housekeeping) in {**of_row, **(_KEEPING if issubclass(model, Kept) else {})}.items():
            if name not in cls.__annotations__:
                cls.__annotations__[name] = of
                setattr(cls, name, column(housekeeping))
        verbs = rights_of(policy)
        cls.__annotations__ |= {"viewer_can": _rights_type(policy, verbs), "withheld": list[str]}
        cls.viewer_can = _field(RightsSpec(verbs), "What you may do with this record.")  # type: ignore[attr-defined]
        cls.withheld = strawberry.field(  # type: ignore[attr-defined]
            description="The fields of this record that are hidden from you, or masked.",
            metadata={METADATA_KEY: WithheldSpec(), SIZE_KEY: Items(100, Letters(100))},
        )
        if versions_of(table_of(model)) is not None:
            cls.__annotations__["history"] = Connection[HistoryEntry]
            cls.history = _field(HistorySpec(), HISTORY)  # type: ignore[attr-defined]
        made = strawberry.type(cls, name=policy.type, description=" ".join(cls.__doc__.split()))
        name = called or policy.type[:1].lower() + policy.type[1:]
        computed_ = {each.name: each for each in measures}
        made.__record__ = Record(  # type: ignore[attr-defined]
            policy.type, prefix, model, policy, made, name, views, measures=computed_
        )
        return made

    return decorate


def rights_of(policy: Policy) -> Mapping[str, str]:
    """Return what `viewerCan` says of a type: by field, the verb. A part is removed by whoever changes its whole."""
    delete = DELETE if policy.parent is None else UPDATE
    return {UPDATE: UPDATE, DELETE: delete, **{verb: verb for verb in policy.transitions}}


def _rights_type(policy: Policy, verbs: Mapping[str, str]) -> type:
    names = {naming.snake(name): name for name in verbs}
    namespace: dict[str, Any] = {
        "__module__": __name__,
        "__annotations__": dict.fromkeys(names, bool),
        **{
            name: strawberry.field(description=f"Whether you may {naming.doing(verb)} it.")
            for name, verb in names.items()
        },
    }
    made = type(f"{policy.type}Rights", (), namespace)
    return strawberry.type(made, description=f"What you may do with {naming.one(policy.type)}, whatever its state.")


def is_about_viewer(key: str) -> bool:
    """Return whether a key is of `viewerCan` or `withheld`."""
    return key == WITHHELD or key.startswith(f"{VIEWER_CAN}.")


def record_of(cls: type) -> Record:
    """Return the record that `record` made of a class."""
    found: Record = cls.__record__  # type: ignore[attr-defined]
    return found


@dataclass(frozen=True, slots=True)
class Extension:
    """Fields that an upper slice adds to a type of a lower one, like SDL's `extend type`."""

    target: type
    fields: tuple[StrawberryField, ...]


def extend(target: type, cls: type) -> Extension:
    """Return the fields of `cls` as an extension of `target`; the slice lists it, `build.py` applies it."""
    definition: StrawberryObjectDefinition = strawberry.type(cls).__strawberry_definition__  # type: ignore[attr-defined]
    return Extension(target, tuple(definition.fields))


def reverse(target: type, name: str, connection: Any, column: str, description: str) -> Extension:
    """Return the other end of a to-one edge as an extension of the type that it leads to, a connection:
    `reverse(Member, "customers", Connection[Customer], "owner_id", "...")`."""
    namespace = {"__annotations__": {name: connection}, name: to_many(column, description)}
    return extend(target, type(f"{target.__name__}_{name}", (), namespace))


def extend_rows(cls: type, records: Iterable[Record]) -> None:
    """Give the fields of `cls` to the records whose rows lie beside those of members, where they do not have them in
    words of their own: a cluster joins no local table to a distributed one."""
    extension = extend(Node, cls)
    for each in records:
        if issubclass(each.model, Row) and getattr(each.model, "__placement__", None) is DISTRIBUTED:
            present = {own.python_name for own in each.definition.fields}
            apply_extension(Extension(each.cls, tuple(of for of in extension.fields if of.python_name not in present)))


def apply_extension(extension: Extension) -> None:
    """Add the fields of an extension to its target, once. Raises ValueError when a name is taken by another field."""
    fields = extension.target.__strawberry_definition__.fields  # type: ignore[attr-defined]
    present = {each.python_name: each for each in fields}
    for each in extension.fields:
        taken = present.get(each.python_name)
        if taken is each:
            continue
        if taken is not None:
            raise ValueError(f"{extension.target.__name__} already has a field {each.python_name}")
        fields.append(each)
