"""Aggregates: `opportunitiesAggregate(where, groupBy, having) { groups { key {...} count sum {...} avg min max } }`.

One statement per aggregate. Every column in it, measured, grouped by or compared in `having`, is read through the view,
so a hidden amount cannot be summed and a hidden row is not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Any

import strawberry
from sqlalchemy import Date, Numeric, String, bindparam, cast, func, literal_column, null, select, type_coerce
from sqlalchemy.types import TypeEngine

from crm_graph.db.sizes import SIZE_KEY, Size
from crm_graph.db.statements import Statement, compile_statement
from crm_graph.executor.fields import Column, Edge, Fetch, FieldKind, Nested, Planning, Same, Shape
from crm_graph.graph.context import GraphContext
from crm_graph.graph.reading.filters import EVERYTHING, Form, Normaliser, predicate
from crm_graph.graph.reading.having import having_form, having_predicate
from crm_graph.graph.reading.moments import reached
from crm_graph.graph.reading.orders import enum_name
from crm_graph.graph.reading.sealed import blind_values
from crm_graph.graph.reading.sizes import column_size
from crm_graph.graph.reading.sources import ToOne
from crm_graph.graph.reading.views import View
from crm_graph.graph.records.record import AS_OF, MoneySpec, Record
from crm_graph.graph.records.registry import Registry
from crm_graph.graph.records.scalars import Currency
from crm_graph.kernel.errors import BadUserInput

MAX_GROUP_KEYS = 5
MAX_GROUPS = 1_000
MAX_STATEMENTS_PER_PLAN = 64
"""Forms of `where`, `having` and `groupBy` whose statements one plan keeps; the oldest is dropped."""
GROUPS, COUNT = "groups", "count"
SUMS, EXTREMES = ("sum", "avg"), ("min", "max")
_NUMERIC = (int, Decimal, MoneySpec)
_TEMPORAL = (date, datetime)
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


@dataclass(frozen=True, slots=True)
class AggregateFields:
    """What a record can be grouped by and measured in, by GraphQL name, with Python types.

    `names` are the keys of `groups` by enum value.
    """

    names: Mapping[str, str]
    groups: Mapping[str, Any]
    sums: Mapping[str, Any]
    extremes: Mapping[str, Any]


def aggregate_fields(record: Record, registry: Registry) -> AggregateFields:
    """Read the aggregate fields off a record's own fields."""
    leaves = {name: of for name, of in registry.leaves(record).items() if name not in {"id", "version"}}
    groups: dict[str, Any] = {
        name: of
        for name, of in leaves.items()
        if of in (bool, str, Currency, *_TEMPORAL) or (isinstance(of, type) and issubclass(of, Enum))
    }
    if any(of is MoneySpec for of in leaves.values()):
        groups["currency"] = Currency
    groups.update({name: edge.target for name, edge in registry.edges(record).items() if not edge.many})
    sums = {name: Decimal for name, of in leaves.items() if of in _NUMERIC}
    extremes = {name: of for name, of in leaves.items() if of in _TEMPORAL}
    return AggregateFields({enum_name(key): key for key in groups}, groups, sums, {**sums, **extremes})


def derive_kinds(record: Record, registry: Registry) -> Mapping[tuple[str, str], FieldKind]:
    """Return how the derived aggregate types load."""
    fields = aggregate_fields(record, registry)
    name = record.name
    kinds: dict[tuple[str, str], FieldKind] = {
        (f"{name}Aggregate", GROUPS): Nested(GROUPS),
        (f"{name}Group", "key"): Same(),
        (f"{name}Group", COUNT): Column(COUNT),
    }
    for function in SUMS if fields.sums else ():
        kinds[f"{name}Group", function] = Same({key: f"{function}.{key}" for key in fields.sums})
    for function in EXTREMES if fields.extremes else ():
        kinds[f"{name}Group", function] = Same({key: f"{function}.{key}" for key in fields.extremes})
    kinds.update({(f"{name}Sums", key): Column(key) for key in fields.sums})
    kinds.update({(f"{name}Extremes", key): Column(key) for key in fields.extremes})
    for key, of in fields.groups.items():
        key_kind: FieldKind = Edge(ToOne(of), f"key.{key}") if isinstance(of, Record) else Column(f"key.{key}")
        kinds[f"{name}GroupKey", key] = key_kind
    return kinds


@dataclass(frozen=True, slots=True)
class Aggregate:
    """The source of a record's aggregate."""

    record: Record
    registry: Registry
    fields: AggregateFields

    def plan(self, shapes: Mapping[str, Shape], planning: Planning) -> Fetch:
        """See `executor.fields.Source`."""
        (outer,) = shapes.values()
        shape = outer.nested.get(GROUPS, Shape())
        statements: dict[Any, tuple[Statement, tuple[str, ...]]] = {}

        async def fetch(context: GraphContext, _: Sequence[Any], arguments: Mapping[str, Any]) -> Sequence[Any]:
            form, having, normaliser = self._conditions(context, arguments)
            keys = self._group_keys(arguments.get("groupBy") or ())
            moment = arguments.get(AS_OF)
            key = form, having, keys, moment is not None
            found = statements.get(key)
            if found is None:
                view = View.of(self.record, planning.context, as_of=moment is not None)
                statement = compile_statement(self._select(view, shape, planning, form, having, keys))
                found = statements[key] = statement, tuple(view.compared)
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
            rows = await context.reader.fetch(statement, values)
            if len(rows) > MAX_GROUPS:
                raise BadUserInput(f"This makes more than {MAX_GROUPS} groups: filter, or use larger buckets.")
            return [tuple(rows for _ in outer.columns)]

        return fetch

    def _conditions(self, context: GraphContext, arguments: Mapping[str, Any]) -> tuple[Form, Form, Normaliser]:
        """Return the forms of `where` and of `having`, and what has the values of both."""
        where = having = EVERYTHING
        normaliser = Normaliser(self.registry)
        if "where" in arguments:
            where = normaliser.normalise(self.record, arguments["where"], ("where",))
        if "having" in arguments:
            having = having_form(normaliser, arguments["having"], ("having",), self._type_of)
        if normaliser.work:
            argument = "where" if "where" in arguments else "having"
            context.count_filter(normaliser.work, self.registry.filter_limits.per_operation, argument)
        return where, having, normaliser

    def _type_of(self, measured: str) -> TypeEngine[Any]:
        """Return the type of the column that an extreme is of, by the name of its field."""
        return self.record.table.c[self.record.columns[measured].column].type

    def _group_keys(self, given: Sequence[Mapping[str, Any]]) -> GroupKeys:
        if len(given) > MAX_GROUP_KEYS:
            raise BadUserInput(f"`groupBy` may have at most {MAX_GROUP_KEYS} keys.", path=("groupBy",))
        keys: list[tuple[str, str | None]] = []
        for index, each in enumerate(given):
            key = self.fields.names[each["field"].value]
            bucket = each.get("bucket")
            temporal = self.fields.groups[key] in _TEMPORAL
            if temporal != (bucket is not None):
                problem = "needs a `bucket`" if temporal else "is no time and takes no `bucket`"
                raise BadUserInput(f"`{each['field'].value}` {problem}.", path=("groupBy", index, "bucket"))
            if any(key == earlier for earlier, _ in keys):
                raise BadUserInput(f"`groupBy` names {each['field'].value} twice.", path=("groupBy", index))
            keys.append((key, None if bucket is None else bucket.value.lower()))
        return tuple(keys)

    def _select(self, view: View, shape: Shape, planning: Planning, form: Form, having: Form, keys: GroupKeys) -> Any:
        conditions = view.conditions()
        if form != EVERYTHING:
            conditions.append(predicate(form, view, self.registry, planning.context))
        groups = {f"key.{key}": self._grouped(view, key, bucket) for key, bucket in keys}
        # In the order of their names, so that of several hidden fields the same is named however they were selected.
        measured = {
            name: groups[name] if name in groups else self._measure(view, name) for name in sorted(shape.columns)
        }
        columns = [measured[name].label(f"c{position}") for position, name in enumerate(shape.columns)]
        if all(name.startswith("key.") for name in shape.columns):
            columns.append(func.count())  # without any aggregate or GROUP BY, SQL would make a group of each row
        aggregated = select(*columns).select_from(view.rows).where(*conditions).group_by(*groups.values())
        if having != EVERYTHING:
            aggregated = aggregated.having(having_predicate(having, lambda name: self._measure(view, name)))
        # A literal: for `LIMIT $1` Postgres' generic plan is made for a tenth of the groups, and is three times slower.
        return aggregated.order_by(*groups.values()).limit(literal_column(str(MAX_GROUPS + 1)))

    def _column(self, view: View, key: str, doing: str) -> Any:
        if key == "currency" and key not in view.record.columns:
            key = self.registry.filter_key(view.record, key)
        return view.comparable(key, doing)

    def _grouped(self, view: View, key: str, bucket: str | None) -> Any:
        column = self._column(view, key, "group by")
        if bucket is None:
            return column
        if not isinstance(column.type, Date):
            column = func.timezone(bindparam("time_zone", type_=String()), column)
        return cast(func.date_trunc(bucket, column), Date)

    def _measure(self, view: View, name: str) -> Any:
        if name == COUNT:
            return func.count()
        function, _, key = name.partition(".")
        if function == "key":
            return null()
        column = self._column(view, key, f"take the {function} of")
        value = getattr(func, function)(column)
        if key not in self.fields.sums:
            return value
        if not isinstance(column.type, Numeric):
            value = cast(value, Numeric)  # a Decimal is printed as a string, also the sum of integers
        return type_coerce(func.round(value, 4), Numeric) if function == "avg" else value


_NO_SIZES: Mapping[str, Size | None] = {}


def derive_aggregates(record: Record, registry: Registry, module: str, add: Any) -> None:
    """Make the aggregate types of a record in the synthetic module; `add` puts a type there."""
    fields = aggregate_fields(record, registry)
    name = record.name

    def output(
        type_name: str,
        description: str,
        of: Mapping[str, tuple[Any, str]],
        sizes: Mapping[str, Size | None] = _NO_SIZES,
    ) -> None:
        namespace: dict[str, Any] = {
            "__module__": module,
            "__annotations__": {f"f_{key}": annotation for key, (annotation, _) in of.items()},
        }
        for key, (_, text) in of.items():
            namespace[f"f_{key}"] = strawberry.field(name=key, description=text, metadata={SIZE_KEY: sizes.get(key)})
        add(strawberry.type(type(type_name, (), namespace), name=type_name, description=description))

    enum: Any = Enum(f"{name}GroupField", {enum_name(key): enum_name(key) for key in fields.groups})  # type: ignore[misc]
    enum.__module__ = module
    made: Any = strawberry.enum(enum, name=f"{name}GroupField", description=f"What {name} records can be grouped by.")
    for value, key in zip(made.__strawberry_definition__.values, fields.groups, strict=True):
        value.description = f"By `{key}`."
    add(made)
    namespace: dict[str, Any] = {
        "__module__": module,
        "__annotations__": {"field": f"{name}GroupField", "bucket": TimeBucket | None},
        "field": strawberry.field(description="What to group by."),
        "bucket": strawberry.field(description="The span of time; for times, and only for them.", default=None),
    }
    text = f"One key of a grouping of {name} records."
    add(strawberry.input(type(f"{name}GroupBy", (), namespace), name=f"{name}GroupBy", description=text))
    output(
        f"{name}GroupKey",
        f"What the {name} records of a group have in common. Null where it was not grouped by.",
        {key: (_key_annotation(of), f"The group's `{key}`.") for key, of in fields.groups.items()},
        {key: column_size(record.table.c[each.column]) for key, each in record.columns.items()},
    )
    measures: dict[str, tuple[Any, str]] = {}
    if fields.sums:
        sums = {key: (Decimal | None, f"Of `{key}`.") for key in fields.sums}
        output(f"{name}Sums", f"A measure of the numbers of {name} records.", sums)
        measures |= {
            "sum": (f"{name}Sums", "Sums. Amounts of different currencies are added as numbers: group by currency."),
            "avg": (f"{name}Sums", "Averages, to 4 digits, of the records that have a value."),
        }
    if fields.extremes:
        extremes = {key: (of | None, f"Of `{key}`.") for key, of in fields.extremes.items()}
        output(f"{name}Extremes", f"The least or greatest values of {name} records.", extremes)
        measures |= {"min": (f"{name}Extremes", "Least values."), "max": (f"{name}Extremes", "Greatest values.")}
    output(
        f"{name}Group",
        f"A group of {name} records and its measures, of those you may see.",
        {
            "key": (f"{name}GroupKey", "What the records of the group share."),
            "count": (int, "How many records the group has."),
            **measures,
        },
    )
    groups = (f"list[{name}Group]", "The groups, ordered by their keys; one group without `groupBy`.")
    output(f"{name}Aggregate", f"Measures over {name} records.", {"groups": groups})


def _key_annotation(of: Any) -> Any:
    if isinstance(of, Record):
        return of.cls | None
    return date | None if of in _TEMPORAL else of | None
