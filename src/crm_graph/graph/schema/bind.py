"""Binds the written-out fields of a built schema to the executor's kinds: which field is which column, edge or page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from graphql import GraphQLInterfaceType, GraphQLObjectType, GraphQLSchema, get_named_type

from crm_graph.executor.fields import Batch, Column, Computed, Edge, FieldKind, Nested, Resolver, Same
from crm_graph.executor.rows import value_or_raise
from crm_graph.graph.reading.aggregate_fields import aggregate_fields
from crm_graph.graph.reading.aggregates import Aggregate, derive_kinds
from crm_graph.graph.reading.history import CHANGES, History
from crm_graph.graph.reading.page_requests import (
    CURSOR,
    END,
    EXACT,
    HAS_NEXT,
    HAS_PREVIOUS,
    ROWS,
    START,
    TOTAL,
    PageLimits,
)
from crm_graph.graph.reading.pages import Page
from crm_graph.graph.reading.sources import AnyOf, ById, Nodes, ToOne
from crm_graph.graph.records.record import (
    VIEWER_CAN,
    WITHHELD,
    BatchSpec,
    ColumnSpec,
    ComputedSpec,
    HistorySpec,
    IdSpec,
    KeySpec,
    MeasuresSpec,
    MoneySpec,
    Record,
    RightsSpec,
    RootSpec,
    ToManySpec,
    ToOneSpec,
    WatchSpec,
    WithheldSpec,
    rights_of,
    spec_of,
)
from crm_graph.graph.records.registry import Registry

_SHARED: dict[tuple[str, str], FieldKind] = {
    ("Money", "amount"): Column("amount", nullable=False),
    ("Money", "currency"): Column("currency"),
    ("PageInfo", "hasNextPage"): Column(HAS_NEXT, nullable=False),
    ("PageInfo", "hasPreviousPage"): Column(HAS_PREVIOUS, nullable=False),
    ("PageInfo", "startCursor"): Column(START),
    ("PageInfo", "endCursor"): Column(END),
    **{("HistoryEntry", name): Column(name) for name in ("at", "event", "actorKind", "clientId")},
    ("HistoryEntry", CHANGES): Nested(CHANGES),
    **{("FieldChange", name): Column(name) for name in ("field", "from", "to")},
}
_CONNECTION: dict[str, FieldKind] = {
    "edges": Nested(ROWS),
    "nodes": Nested(ROWS),
    "pageInfo": Same(),
    "totalCount": Column(TOTAL, nullable=False),
    "totalCountIsExact": Column(EXACT, nullable=False),
}
_EDGE: dict[str, FieldKind] = {"node": Same(), "cursor": Column(CURSOR, nullable=False)}


@dataclass(slots=True)
class SchemaBindings:
    """The kinds of all fields, by type and field name. Implements `executor.fields.Bindings`."""

    kinds: dict[tuple[str, str], FieldKind] = field(default_factory=dict)

    def kind(self, type_name: str, field_name: str) -> FieldKind | None:
        """Return the field's kind; None for an attribute of a plain object."""
        return self.kinds.get((type_name, field_name))


def bind(schema: GraphQLSchema, registry: Registry, limits: PageLimits) -> SchemaBindings:
    """Return the bindings of a schema."""
    bindings = SchemaBindings(dict(_SHARED))
    for record in registry.records.values():
        bindings.kinds.update(derive_kinds(record, registry))
        for each in rights_of(record.policy):
            bindings.kinds[f"{record.name}Rights", each] = Column(each, nullable=False)
    for type_ in schema.type_map.values():
        if not isinstance(type_, GraphQLObjectType | GraphQLInterfaceType) or type_.name.startswith("__"):
            continue
        of_type = registry.records.get(type_.name)
        for name, definition in type_.fields.items():
            kind = _kind(type_, name, definition, of_type, registry, limits)
            if kind is not None:
                bindings.kinds[type_.name, name] = kind
    return bindings


def _kind(
    type_: Any, name: str, definition: Any, record: Record | None, registry: Registry, limits: PageLimits
) -> FieldKind | None:
    if type_.name.endswith("Connection") and name in _CONNECTION:
        return _CONNECTION[name]
    if type_.name.endswith("Edge") and name in _EDGE:
        return _EDGE[name]
    of = definition.extensions.get("strawberry-definition")
    if of is None:
        return None
    spec = spec_of(of)
    target = registry.records.get(get_named_type(definition.type).name)
    match spec:
        case None:
            return None if of.is_basic_field else Resolver(_readable(type_.name, record))
        case WatchSpec():
            return None
        case IdSpec():
            return Column("id", f"{record.prefix}_", nullable=False) if record is not None else None
        case ColumnSpec() if record is not None and record.columns[name].encrypted is not None:
            return Computed((name,), value_or_raise)
        case ColumnSpec():
            return Column(name, nullable=record is None or _is_nullable(record, name))
        case MoneySpec():
            return Same({"amount": name, "currency": f"{name}.currency"}, unless_null=name)
        case RightsSpec(verbs):
            return Same({each: f"{VIEWER_CAN}.{each}" for each in verbs})
        case WithheldSpec():
            return Column(WITHHELD, nullable=False)
        case HistorySpec():
            assert record is not None
            return Edge(History(record, registry, limits.nested_default, limits.maximum), "id")
        case ComputedSpec(needs, compute):
            return Computed(needs, compute)
        case BatchSpec(needs, function):
            return Batch(_checked(needs, type_.name, name, record), function)
        case ToOneSpec():
            assert target is not None, f"{type_.name}.{name} does not name a record"
            return Edge(ToOne(target), name, carried=True)
        case KeySpec(attribute) if isinstance(get_named_type(definition.type), GraphQLInterfaceType):
            return Edge(AnyOf(registry), attribute)
        case KeySpec(attribute):
            assert target is not None, f"{type_.name}.{name} does not name a record"
            return Edge(ToOne(target), attribute)
        case ToManySpec(column):
            assert record is not None
            edge = registry.edge(record, name)
            assert edge is not None
            return Edge(Page(edge.target, registry, column, limits), "id")
        case MeasuresSpec(of_record, column):
            return Edge(Aggregate(of_record, registry, aggregate_fields(of_record, registry), column), "id")
        case RootSpec(how):
            return Edge(_root_source(how, name, definition, registry, limits), None)


def _is_nullable(record: Record, key: str) -> bool:
    return bool(record.table.c[record.columns[key].column].nullable)


def _readable(type_name: str, record: Record | None) -> tuple[str, ...]:
    """Return the keys that a plain resolver on rows of a type may read: it may read anything of its parent."""
    if record is not None:
        return tuple(record.columns)
    return tuple(kind.key for (name, _), kind in _SHARED.items() if name == type_name and isinstance(kind, Column))


def _checked(needs: tuple[str, ...], type_name: str, field_name: str, record: Record | None) -> tuple[str, ...]:
    """Return what a batch function needs. Raises ValueError for what its record does not have."""
    unknown = [] if record is None else [key for key in needs if key not in record.columns]
    if unknown:
        raise ValueError(f"{type_name}.{field_name} needs {', '.join(unknown)}: {type_name} has no such column")
    return needs


def _root_source(how: str, name: str, definition: Any, registry: Registry, limits: PageLimits) -> Any:
    named = get_named_type(definition.type).name
    match how:
        case "node" | "nodes":
            return Nodes(registry, "id" if how == "node" else "ids")
        case "one":
            return ById(registry.records[named])
        case "many":
            return Page(registry.records[named.removesuffix("Connection")], registry, None, limits)
        case "aggregate":
            record = registry.records[named.removesuffix("Aggregate")]
            return Aggregate(record, registry, aggregate_fields(record, registry))
        case _:
            raise AssertionError(f"Query.{name}: unknown root kind {how}")
