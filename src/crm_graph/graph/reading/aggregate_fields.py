"""What a record can be grouped by and measured in: read off its fields, and those up to two edges to one away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from crm_graph.db.sizes import Letters
from crm_graph.executor.fields import BEYOND
from crm_graph.graph.reading.orders import enum_name
from crm_graph.graph.reading.sizes import column_size
from crm_graph.graph.records.measures import NUMBERS, TEXTS, TIMES, Use, usual_use
from crm_graph.graph.records.record import HOUSEKEEPING, USE_KEY, MoneySpec, Record
from crm_graph.graph.records.registry import Registry
from crm_graph.graph.records.scalars import Currency, ExactText

MAX_EDGES = 2
"""Edges to one on the way to what groups are made by."""


@dataclass(frozen=True, slots=True)
class AggregateFields:
    """What a record can be grouped by and measured in, by GraphQL name, with Python types.

    `names` are the keys of `groups` by enum value; `paths` say where each lies: `orderCustomerCountry` is
    `order>customer>country`. `retired` are those that make no groups worth having and are deprecated. `money` are those
    of the sums that are in the currencies of the records.
    """

    names: Mapping[str, str]
    paths: Mapping[str, str]
    groups: Mapping[str, Any]
    sums: Mapping[str, Any]
    extremes: Mapping[str, Any]
    distinct: Mapping[str, Any]
    retired: frozenset[str] = field(default_factory=frozenset)
    money: tuple[str, ...] = ()

    @property
    def measured(self) -> Mapping[str, str]:
        """What is measured, by enum value: numbers, times, and what is counted apart."""
        return {enum_name(key): key for key in {**self.sums, **self.extremes, **self.distinct}}


def aggregate_fields(record: Record, registry: Registry) -> AggregateFields:
    """Read the aggregate fields off a record's own fields and those beyond its edges to one."""
    groups, paths, retired = _own(record, registry)
    distinct = {key: of for key, of in groups.items() if key not in retired and of not in (bool, *TIMES)}
    for name, edge in _ways(record):
        for key, path, of in _beyond(edge, registry, f"{name}{BEYOND}", name, MAX_EDGES):
            if key not in groups:
                groups[key], paths[key] = of, path
            if isinstance(of, Record):
                distinct.setdefault(key, of)
    leaves = _leaves(record, registry)
    sums = {name: Decimal for name, of in leaves.items() if of in (*NUMBERS, MoneySpec)}
    sums |= dict.fromkeys(record.measures, Decimal)
    extremes = {name: of for name, of in leaves.items() if of in TIMES}
    names = {enum_name(key): key for key in groups}
    money = tuple(name for name, of in leaves.items() if of is MoneySpec)
    return AggregateFields(names, paths, groups, sums, {**sums, **extremes}, distinct, retired, money)


def use_of(record: Record, registry: Registry, name: str) -> Use:
    """Return what aggregates make of a field of a record."""
    if name in {"id", "version"}:
        return Use.NEITHER
    if name in record.edges:
        return Use.NEITHER if record.edges[name].many else Use.DIMENSION
    of = registry.leaves(record).get(name)
    said: Use | None = record.specs()[name][0].metadata.get(USE_KEY)
    if said is not None or of is None:
        return said or Use.NEITHER
    if of is MoneySpec:
        return Use.MEASURE
    if of in TEXTS and name in record.policy.masks:  # it names somebody
        return Use.NEITHER
    size = column_size(record.table.c[record.columns[name].column])
    return usual_use(of, size.letters if isinstance(size, Letters) else None, unique=name in record.keys)


def _leaves(record: Record, registry: Registry) -> dict[str, Any]:
    return {name: of for name, of in registry.leaves(record).items() if name not in {"id", "version"}}


def _to_one(record: Record) -> Iterator[tuple[str, Record]]:
    return ((name, edge.target) for name, edge in record.edges.items() if not edge.many)


def _ways(record: Record) -> Iterator[tuple[str, Record]]:
    """Yield the edges to one beyond which keys are offered: those that say something of the record itself, to rows that
    a cluster can join to its own."""
    placement = getattr(record.model, "__placement__", None)
    for name, target in _to_one(record):
        if name not in HOUSEKEEPING and getattr(target.model, "__placement__", None) == placement:
            yield name, target


def _own(record: Record, registry: Registry) -> tuple[dict[str, Any], dict[str, str], frozenset[str]]:
    """Return the keys among a record's own fields, where they lie, and which of them are retired: texts that have been
    offered and are no dimensions."""
    leaves = _leaves(record, registry)
    dimensions = {name for name in leaves if Use.DIMENSION in use_of(record, registry, name)}
    retired = frozenset(name for name, of in leaves.items() if of in TEXTS and name not in dimensions)
    kept = ((name, of) for name, of in leaves.items() if name in dimensions or name in retired)
    groups = {name: str if of is ExactText else of for name, of in kept}
    paths = {name: name for name in groups}
    if any(of is MoneySpec for of in leaves.values()):
        groups["currency"] = Currency
        paths["currency"] = registry.filter_key(record, "currency")
    for name, target in _to_one(record):
        groups[name], paths[name] = target, name
    return groups, paths, retired


def _beyond(record: Record, registry: Registry, way: str, prefix: str, edges: int) -> Iterator[tuple[str, str, Any]]:
    """Yield the keys on the other side of an edge, with where they lie and their types."""
    groups, paths, retired = _own(record, registry)
    for key, of in groups.items():
        if key not in retired and key not in HOUSEKEEPING:
            yield f"{prefix}{key[:1].upper()}{key[1:]}", f"{way}{paths[key]}", of
    for name, target in _ways(record) if edges > 1 else ():
        further = f"{prefix}{name[:1].upper()}{name[1:]}"
        yield from _beyond(target, registry, f"{way}{name}{BEYOND}", further, edges - 1)
