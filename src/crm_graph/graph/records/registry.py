"""The records of a schema and how they are linked: read off the written-out fields once, when the schema is built."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from strawberry.types.base import (
    StrawberryContainer,
    StrawberryList,
    StrawberryObjectDefinition,
    StrawberryOptional,
    get_object_definition,
)
from strawberry.types.enum import StrawberryEnumDefinition
from strawberry.types.field import StrawberryField

from crm_graph.db.base import is_exact
from crm_graph.events.effects import Effects
from crm_graph.graph.records.aggregate_limits import AggregateLimits
from crm_graph.graph.records.filter_limits import FilterLimits
from crm_graph.graph.records.record import (
    ColumnSpec,
    IdSpec,
    MoneySpec,
    Record,
    RecordEdge,
    ToManySpec,
    ToOneSpec,
    record_of,
)
from crm_graph.graph.records.scalars import EncryptedText, ExactText
from crm_graph.graph.records.types import Connection


@dataclass(slots=True)
class Registry:
    """The records by type name, their edges, and the Python type of each leaf."""

    records: dict[str, Record] = field(default_factory=dict)
    filter_limits: FilterLimits = field(default_factory=FilterLimits)
    """Here, because filters come from everywhere: lists, aggregates, subscriptions, exports, stored webhooks."""
    aggregate_limits: AggregateLimits = field(default_factory=AggregateLimits)
    effects: Effects = field(default_factory=Effects)
    """What each type of event does to its record."""
    traces: tuple[Callable[[Any], Awaitable[None]], ...] = ()
    """What slices forget when a person is erased (`Slice.traces`); they are given the unit of work."""
    _leaves: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, types: Iterable[Record]) -> Registry:
        """Return the registry of these records."""
        registry = cls({record.name: record for record in types})
        for record in registry.records.values():
            record.add_columns()
        for record in registry.records.values():
            registry._link(record)
        return registry

    def _link(self, record: Record) -> None:
        edges = record.edges = {}
        leaves = self._leaves[record.name] = {}
        for name, (each, spec) in record.specs().items():
            match spec:
                case ToOneSpec(column):
                    edges[name] = RecordEdge(name, self.target_of(each), column, many=False)
                case ToManySpec(column):
                    edges[name] = RecordEdge(name, self.target_of(each), column, many=True)
                case IdSpec() | ColumnSpec():
                    leaves[name] = self._leaf(record, name, each)
                case MoneySpec():
                    leaves[name] = MoneySpec
                case _:
                    pass

    @staticmethod
    def _leaf(record: Record, name: str, each: StrawberryField) -> Any:
        found = record.columns.get(name)
        if found is not None and found.encrypted:
            return EncryptedText
        return ExactText if found is not None and is_exact(record.table.c[found.column]) else python_type(each)

    def target_of(self, of: StrawberryField) -> Record:
        """Return the record that an edge or a connection field leads to."""
        definition = get_object_definition(_unwrap(of.type))
        assert definition is not None, f"{of.python_name} is not an edge to a record"
        if definition.concrete_of is not None and definition.concrete_of.origin is Connection:
            definition = get_object_definition(_unwrap(next(iter(definition.type_var_map.values()))))
            assert definition is not None
        return self.records[definition.name]

    def aggregated_by(self, of: StrawberryField) -> Record:
        """Return the record that an aggregate field (`customers_aggregate: AggregateOf[Customer]`) measures."""
        annotation = of.type_annotation
        assert annotation is not None
        (cls,) = get_args(annotation.annotation)
        return record_of(cls)

    def edge(self, record: Record, name: str) -> RecordEdge | None:
        """Return an edge of a record by its GraphQL name."""
        return record.edges.get(name)

    def edges(self, record: Record) -> Mapping[str, RecordEdge]:
        """Return the edges of a record by name."""
        return record.edges

    def leaves(self, record: Record) -> Mapping[str, Any]:
        """Return the Python types of a record's leaves by GraphQL name; `MoneySpec` stands for money, `EncryptedText`
        for text that is encrypted where it is stored, `ExactText` for keys."""
        return self._leaves[record.name]

    def filter_key(self, record: Record, name: str) -> str:
        """Return the column key behind a leaf of the record's filter (`ownerId` filters the key of `owner`)."""
        if name in record.columns:
            return name
        if name == "currency":
            return next(key for key in record.columns if key.endswith(".currency"))
        return name.removesuffix("Id")

    def id_prefix(self, record: Record, key: str) -> str | None:
        """Return the id prefix that values of a key carry in the API; None where they are no ids."""
        if key == "id":
            return record.prefix
        edge = self.edge(record, key)
        return edge.target.prefix if edge is not None else None

    def is_enum(self, record: Record, key: str) -> bool:
        """Return whether a column holds enum members, codes or keys, which compare exactly."""
        of = self._leaves[record.name].get(key)
        return key.endswith(".currency") or (of is not None and of is not str)


def python_type(of: StrawberryField) -> Any:
    """Return the Python type of a leaf without its optionality; `list` for any list, which has no comparator."""
    type_ = of.type.of_type if isinstance(of.type, StrawberryOptional) else of.type
    if isinstance(type_, StrawberryList):
        return list
    type_ = _unwrap(type_)
    if isinstance(type_, StrawberryEnumDefinition):
        return type_.wrapped_cls
    return next((arg for arg in get_args(type_) if arg is not type(None)), type_) if get_args(type_) else type_


def _unwrap(type_: Any) -> Any:
    while isinstance(type_, StrawberryContainer):
        type_ = type_.of_type
    if isinstance(type_, StrawberryObjectDefinition):
        return type_.origin
    return type_
