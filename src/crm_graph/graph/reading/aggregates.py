"""Aggregates: `opportunitiesAggregate(where, groupBy, matching, having, orderBy, first) { groups {...} totalGroups }`.

One statement per aggregate, and per edge to many whose records are measured, for all parents together. Every column in
it, measured, grouped by, or compared in `having`, is read through the view, so a hidden amount cannot be summed and a
hidden row is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import strawberry
from sqlalchemy import Date, Numeric, String, any_, bindparam, cast, func, literal_column, select
from sqlalchemy.types import TypeEngine

from crm_graph.db.statements import Statement, compile_statement
from crm_graph.executor.fields import Column, Edge, Fetch, FieldKind, Nested, Planning, Same, Shape, coordinate
from crm_graph.graph.context import GraphContext
from crm_graph.graph.reading.aggregate_fields import AggregateFields, aggregate_fields
from crm_graph.graph.reading.currencies import CURRENCIES
from crm_graph.graph.reading.filters import EVERYTHING, Form, Normaliser, predicate
from crm_graph.graph.reading.group_orders import GroupOrder, first_of, group_order, ordered
from crm_graph.graph.reading.having import having_form, having_predicate
from crm_graph.graph.reading.measures import COUNT, DISTINCT, EXTREMES, KEY, MATCHING, SHARE, SUMS, Measures
from crm_graph.graph.reading.moments import reached
from crm_graph.graph.reading.sealed import blind_values
from crm_graph.graph.reading.sources import ToOne
from crm_graph.graph.reading.views import View, given_keys
from crm_graph.graph.records.measures import TIMES
from crm_graph.graph.records.record import AS_OF, Record
from crm_graph.graph.records.registry import Registry
from crm_graph.kernel.errors import BadUserInput

MAX_STATEMENTS_PER_PLAN = 64
"""Forms of the arguments whose statements one plan keeps; the oldest is dropped."""
GROUPS, HAS_MORE, TOTAL_GROUPS = "groups", "hasMoreGroups", "totalGroups"
GroupKeys = tuple[tuple[str, str | None], ...]
"""The keys of a grouping, each with its bucket of time."""


@strawberry.enum(description="A span of time to group by, in the workspace's time zone.")
class TimeBucket(Enum):
    """Names of Postgres' date_trunc, in capitals."""

    DAY = strawberry.enum_value("DAY", description="Calendar days.")
    WEEK = strawberry.enum_value("WEEK", description="Weeks, which start on Monday.")
    MONTH = strawberry.enum_value("MONTH", description="Calendar months.")
    QUARTER = strawberry.enum_value("QUARTER", description="Calendar quarters.")
    YEAR = strawberry.enum_value("YEAR", description="Calendar years.")


def derive_kinds(record: Record, registry: Registry) -> Mapping[tuple[str, str], FieldKind]:
    """Return how the derived aggregate types load."""
    fields = aggregate_fields(record, registry)
    name = record.name
    measured = {**dict.fromkeys(SUMS, fields.sums), **dict.fromkeys(EXTREMES, fields.extremes)}
    measured[DISTINCT] = fields.distinct
    measures = [f"{function}.{key}" for function, keys in measured.items() for key in keys]
    kinds: dict[tuple[str, str], FieldKind] = {
        (f"{name}Aggregate", GROUPS): Nested(GROUPS),
        (f"{name}Aggregate", HAS_MORE): Column(HAS_MORE, nullable=False),
        (f"{name}Aggregate", TOTAL_GROUPS): Column(TOTAL_GROUPS, nullable=False),
        (f"{name}Group", KEY): Same(),
        (f"{name}Group", SHARE): Column(SHARE),
    }
    whole = (COUNT, CURRENCIES) if fields.money else (COUNT,)
    kinds[f"{name}Group", MATCHING] = Same({each: f"{MATCHING}.{each}" for each in (*whole, *measures)})
    for of in ("Group", "Measures"):
        kinds |= {(f"{name}{of}", each): Column(each, nullable=False) for each in whole}
        for function, keys in measured.items():
            if keys:
                kinds[f"{name}{of}", function] = Same({key: f"{function}.{key}" for key in keys})
    kinds.update({(f"{name}Sums", key): Column(key) for key in fields.sums})
    kinds.update({(f"{name}Extremes", key): Column(key) for key in fields.extremes})
    kinds.update({(f"{name}Distinct", key): Column(key, nullable=False) for key in fields.distinct})
    for key, of in fields.groups.items():
        key_kind: FieldKind = Edge(ToOne(of), f"key.{key}") if isinstance(of, Record) else Column(f"key.{key}")
        kinds[f"{name}GroupKey", key] = key_kind
    return kinds


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments of an aggregate, checked: what the text of its statement depends on."""

    where: Form = EVERYTHING
    having: Form = EVERYTHING
    matching: Form = EVERYTHING
    keys: GroupKeys = ()
    order: tuple[GroupOrder, ...] = ()
    first: int | None = None


@dataclass(frozen=True, slots=True)
class Aggregate:
    """The source of a record's aggregate; with `parent`, the column of its table that points to the parents, of the
    measures over the records of an edge to many, which are one row for each parent."""

    record: Record
    registry: Registry
    fields: AggregateFields
    parent: str | None = None

    def plan(self, shapes: Mapping[str, Shape], planning: Planning) -> Fetch:
        """See `executor.fields.Source`."""
        (outer,) = shapes.values()
        shape = outer if self.parent is not None else outer.nested.get(GROUPS, Shape())
        with_total = TOTAL_GROUPS in outer.columns
        statements: dict[tuple[Asked, bool], tuple[Statement, tuple[str, ...]]] = {}
        self._note(shape, planning)

        async def fetch(context: GraphContext, keys: Sequence[Any], arguments: Mapping[str, Any]) -> Sequence[Any]:
            asked, normaliser = self._asked(context, arguments)
            moment = arguments.get(AS_OF)
            form = asked, moment is not None
            found = statements.get(form)
            if found is None:
                view = View.of(self.record, planning.context, as_of=moment is not None)
                statement = compile_statement(self._select(view, shape, planning, asked, with_total=with_total))
                found = statements[form] = statement, tuple(view.compared)
                if len(statements) > MAX_STATEMENTS_PER_PLAN:
                    del statements[next(iter(statements))]
            statement, audited = found
            if audited:
                context.note_reads(audited)
            values = {**context.binds, **context.bound(normaliser.binds())}
            if moment is not None:
                values["as_of"] = await reached(context, moment)
            if normaliser.searches:
                values |= await blind_values(context, normaliser.searches)
            if self.parent is None:
                return [self._answer(outer, asked, await context.reader.fetch(statement, values))]
            by_parent = {row[-1]: row for row in await context.reader.fetch(statement, {**values, "keys": keys})}
            none = tuple(_of_none(name) for name in shape.columns)
            return [by_parent.get(key, none) for key in keys]

        return fetch

    def _answer(self, outer: Shape, asked: Asked, rows: Sequence[Any]) -> tuple[Any, ...]:
        """Return the one row of a root's aggregate. Raises BadUserInput for more groups than an answer may have."""
        limits = self.registry.aggregate_limits
        if asked.first is None and len(rows) > limits.groups:
            raise BadUserInput(
                f"This makes more than {limits.groups} groups: filter, use larger buckets, or take the `first` of them."
            )
        total = rows[0][-1] if rows and TOTAL_GROUPS in outer.columns else 0
        more = asked.first is not None and len(rows) > asked.first
        values = {GROUPS: list(rows[: asked.first]), HAS_MORE: more, TOTAL_GROUPS: total}
        return tuple(values[name] for name in outer.columns)

    def _note(self, shape: Shape, planning: Planning) -> None:
        """Note as withheld what may be measured and not be read, which is null for small groups, and the way back from
        the records of an edge."""
        if self.parent is not None:
            View.of(self.record, planning.context).note(self.record.edge_along(self.parent), planning)
        access = planning.context.of(self.record.name)
        for name in shape.columns:
            *_, function, key = f".{name}".split(".")
            computed = self.record.measures.get(key)
            for each in (key,) if computed is None else computed.needs:
                if function in SUMS and access.measures_only(self.record.columns[each].field):
                    planning.withhold(coordinate(self.record.name, self.record.columns[each].field))

    def _asked(self, context: GraphContext, arguments: Mapping[str, Any]) -> tuple[Asked, Normaliser]:
        """Return the arguments, checked, and what has the values of their conditions. Raises BadUserInput and
        LimitExceeded with the argument's path."""
        normaliser, limits = Normaliser(self.registry), self.registry.aggregate_limits
        where = matching = having = EVERYTHING
        named = "where"
        if "where" in arguments:
            where = normaliser.normalise(self.record, arguments["where"], ("where",))
        if "matching" in arguments:
            matching = normaliser.normalise(self.record, arguments["matching"], ("matching",))
            named = "where" if "where" in arguments else "matching"
        if "having" in arguments:
            having = having_form(normaliser, arguments["having"], ("having",), self._type_of)
            named = named if named in arguments else "having"
        if normaliser.work:
            context.count_filter(normaliser.work, self.registry.filter_limits.per_operation, named)
        keys = self._group_keys(arguments.get("groupBy") or ())
        order = group_order(arguments.get("orderBy") or (), self.fields, [key for key, _ in keys], limits.order_keys)
        for index, each in enumerate(order):
            if "matching" not in arguments and (each.name == SHARE or each.name.startswith(f"{MATCHING}.")):
                raise BadUserInput(
                    "This measure is of what matches `matching`, which is missing.", path=("orderBy", index)
                )
        first = first_of(arguments.get("first"), limits.groups)
        return Asked(where, having, matching, keys, order, first), normaliser

    def _type_of(self, measured: str) -> TypeEngine[Any]:
        """Return the type of a measure by its name: of a column, of one that is computed, or of a number of them."""
        function, _, key = measured.partition(".")
        if function == DISTINCT or key in self.record.measures:
            return Numeric()
        return self.record.table.c[self.record.columns[key].column].type

    def _group_keys(self, given: Sequence[Mapping[str, Any]]) -> GroupKeys:
        most = self.registry.aggregate_limits.keys
        if len(given) > most:
            raise BadUserInput(f"`groupBy` may have at most {most} keys.", path=("groupBy",))
        keys: list[tuple[str, str | None]] = []
        for index, each in enumerate(given):
            key = self.fields.names[each["field"].value]
            bucket = each.get("bucket")
            temporal = self.fields.groups[key] in TIMES
            if temporal != (bucket is not None):
                problem = "needs a `bucket`" if temporal else "is no time and takes no `bucket`"
                raise BadUserInput(f"`{each['field'].value}` {problem}.", path=("groupBy", index, "bucket"))
            if any(key == earlier for earlier, _ in keys):
                raise BadUserInput(f"`groupBy` names {each['field'].value} twice.", path=("groupBy", index))
            keys.append((key, None if bucket is None else bucket.value.lower()))
        return tuple(keys)

    def _select(self, view: View, shape: Shape, planning: Planning, asked: Asked, *, with_total: bool) -> Any:
        conditions = view.conditions()
        if asked.where != EVERYTHING:
            conditions.append(predicate(asked.where, view, self.registry, planning.context))
        matching = None
        if asked.matching != EVERYTHING:
            matching = predicate(asked.matching, view, self.registry, planning.context)
        limits = self.registry.aggregate_limits
        groups = {key: self._grouped(view, key, bucket) for key, bucket in asked.keys}
        measures = Measures(view, self.fields, limits.least_rows, groups, matching)
        # In the order of their names, so that of several hidden fields the same is named however they were selected.
        measured = {name: measures.of(name) for name in sorted(shape.columns)}
        columns: list[Any] = [measured[name].label(f"c{position}") for position, name in enumerate(shape.columns)]
        if self.parent is not None:
            parent = view.rows.c[self.parent]
            columns.append(parent.label("parent"))
            conditions.append(view.pointing(self.parent, any_(given_keys())))
            return select(*columns).select_from(view.source()).where(*conditions).group_by(parent)
        if all(name.startswith("key.") for name in shape.columns):
            columns.append(func.count())  # without any aggregate or GROUP BY, SQL would make a group of each row
        if with_total:
            columns.append(func.count().over())
        order = ordered(asked.order, measures)
        having = None if asked.having == EVERYTHING else having_predicate(asked.having, measures.of)
        aggregated = select(*columns).select_from(view.source()).where(*conditions).group_by(*groups.values())
        if having is not None:
            aggregated = aggregated.having(having)
        # A literal: for `LIMIT $1` Postgres' generic plan is made for a tenth of the groups, and is three times slower.
        limit = (limits.groups if asked.first is None else asked.first) + 1
        return aggregated.order_by(*order).limit(literal_column(str(limit)))

    def _grouped(self, view: View, key: str, bucket: str | None) -> Any:
        column = view.comparable(self.fields.paths[key], "group by")
        if bucket is None:
            return column
        if not isinstance(column.type, Date):
            column = func.timezone(bindparam("time_zone", type_=String()), column)
        return cast(func.date_trunc(bucket, column), Date)


def _of_none(name: str) -> Any:
    """Return a measure of no records."""
    if name == CURRENCIES:
        return []
    return 0 if name == COUNT or name.startswith(f"{DISTINCT}.") else None
