"""Derives the types of aggregates: what a record's groups have, what they are made, kept and ordered by.

Only the types that some field leads to are part of the schema: of a record without an aggregate there are none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from enum import Enum
from typing import Any

import strawberry

from crm_graph.db.sizes import SIZE_KEY, Items, Letters, Size
from crm_graph.executor.fields import BEYOND
from crm_graph.graph.reading.aggregate_fields import AggregateFields, aggregate_fields
from crm_graph.graph.reading.aggregates import GROUPS, HAS_MORE, TOTAL_GROUPS, TimeBucket
from crm_graph.graph.reading.comparators import comparator
from crm_graph.graph.reading.currencies import CURRENCIES, MOST_CURRENCIES
from crm_graph.graph.reading.group_orders import GroupMeasure
from crm_graph.graph.reading.measures import COUNT, DISTINCT, EXTREMES, KEY, MATCHING, SHARE, SUMS
from crm_graph.graph.reading.orders import NullsOrder, OrderDirection
from crm_graph.graph.reading.sizes import column_size
from crm_graph.graph.records.measures import TIMES
from crm_graph.graph.records.record import Record
from crm_graph.graph.records.registry import Registry
from crm_graph.graph.records.scalars import Currency

Add = Callable[[type], None]
Fields = dict[str, tuple[Any, str]]
"""Annotations and descriptions by GraphQL name."""
RETIRED = "Makes a group of nearly each record. Removal: 2027-12-01"
_NO_SIZES: Mapping[str, Size | None] = {}
_OF_MEASURES: Mapping[str, Size | None] = {CURRENCIES: Items(MOST_CURRENCIES, Letters(3))}


def derive_aggregates(
    record: Record, registry: Registry, module: str, add: Add, comparators: dict[object, type]
) -> None:
    """Make the aggregate types of a record in the synthetic module; `add` puts a type there."""
    fields = aggregate_fields(record, registry)
    types = _Types(record, registry, fields, module, add)
    types.grouped()
    types.measured()
    types.order()
    types.having(comparators)


class _Types:
    """The types of one record's aggregate."""

    def __init__(self, record: Record, registry: Registry, fields: AggregateFields, module: str, add: Add) -> None:
        self.record, self.registry, self.fields = record, registry, fields
        self.name, self.module, self.add = record.name, module, add

    def grouped(self) -> None:
        """Add what groups are made by, and their keys."""
        name, fields = self.name, self.fields
        texts = {value: f"By `{self._spelled(key)}`." for value, key in fields.names.items()}
        retired = {value for value, key in fields.names.items() if key in fields.retired}
        self._enum(f"{name}GroupField", f"What {name} records can be grouped by.", texts, retired)
        self._input(
            f"{name}GroupBy",
            f"One key of a grouping of {name} records.",
            {
                "field": (f"{name}GroupField", "What to group by.", ...),
                "bucket": (TimeBucket | None, "The span of time; for times, and only for them.", None),
            },
        )
        self._output(
            f"{name}GroupKey",
            f"What the {name} records of a group have in common. Null where it was not grouped by.",
            {key: (_key_annotation(of), f"The group's `{self._spelled(key)}`.") for key, of in fields.groups.items()},
            {key: self._size(key) for key in fields.groups},
            fields.retired,
        )

    def measured(self) -> None:
        """Add what is measured of a group, and the aggregate itself."""
        name, measures = self.name, self._measures()
        self._output(f"{name}Measures", f"Measures over {name} records, of those you may see.", measures, _OF_MEASURES)
        self._output(
            f"{name}Group",
            f"A group of {name} records and its measures, of those you may see.",
            {
                KEY: (f"{name}GroupKey", "What the records of the group share."),
                **measures,
                MATCHING: (f"{name}Measures", "The same measures, of its records that match `matching` too."),
                SHARE: (
                    Decimal | None,
                    "How many of its records match `matching` too, of 1, to 4 digits; null without records.",
                ),
            },
            _OF_MEASURES,
        )
        groups = f"list[{name}Group]"
        self._output(
            f"{name}Aggregate",
            f"Measures over {name} records.",
            {
                GROUPS: (groups, "The groups, ordered by their keys unless said otherwise; one without `groupBy`."),
                HAS_MORE: (bool, "Whether there are more groups than the `first` that were asked for."),
                TOTAL_GROUPS: (int, "How many groups there are in all."),
            },
        )

    def _measures(self) -> Fields:
        name, fields = self.name, self.fields
        measures: Fields = {COUNT: (int, "How many records there are.")}
        said = {key: f"Of `{key}`." for key in fields.extremes}
        said |= {key: measure.description for key, measure in self.record.measures.items()}
        mixed = ""
        if fields.money:
            mixed = " Of amounts in several currencies null: group by currency."
            text = "The currencies of the amounts: of several no amount is measured, it is null."
            measures[CURRENCIES] = list[Currency], text
        if fields.distinct:
            counts: Fields = {key: (int, f"Of `{self._spelled(key)}`.") for key in fields.distinct}
            self._output(f"{name}Distinct", f"How many different ones {name} records have.", counts)
            measures[DISTINCT] = f"{name}Distinct", "How many different ones there are. What has none is not counted."
        if fields.sums:
            sums: Fields = {key: (Decimal | None, said[key]) for key in fields.sums}
            self._output(f"{name}Sums", f"A measure of the numbers of {name} records.", sums)
            measures |= {
                "sum": (f"{name}Sums", f"Sums.{mixed}"),
                "avg": (f"{name}Sums", f"Averages, to 4 digits, of the records that have a value.{mixed}"),
            }
        if fields.extremes:
            extremes: Fields = {key: (of | None, said[key]) for key, of in fields.extremes.items()}
            self._output(f"{name}Extremes", f"The least or greatest values of {name} records.", extremes)
            measures |= {
                "min": (f"{name}Extremes", f"Least values.{mixed}"),
                "max": (f"{name}Extremes", f"Greatest values.{mixed}"),
            }
        return measures

    def order(self) -> None:
        """Add what groups are ordered by."""
        name = self.name
        texts = {value: f"Of `{self._spelled(key)}`." for value, key in self.fields.measured.items()}
        self._enum(f"{name}MeasureField", f"What is measured of {name} records.", texts)
        of = f"{name}MeasureField | None"
        self._input(
            f"{name}GroupOrder",
            f"One key of an order of groups of {name} records: a `measure`, `of` a field, or a `key` of `groupBy`. All"
            " keys of the groups decide between equals.",
            {
                "measure": (GroupMeasure | None, "The measure to order by.", None),
                "of": (of, "What is measured; for every measure but `COUNT` and `SHARE`.", None),
                "matching": (bool | None, "Whether it is measured of what matches `matching` only.", None),
                "key": (f"{name}GroupField | None", "The key to order by, which must be one of `groupBy`.", None),
                "direction": (OrderDirection | None, "Ascending unless said otherwise.", OrderDirection.ASC),
                "nulls": (NullsOrder | None, "Last unless said otherwise.", NullsOrder.LAST),
            },
        )

    def having(self, comparators: dict[object, type]) -> None:
        """Add the conditions on groups: of the measures that they have, typed alike."""
        name, fields = f"{self.name}Having", self.fields
        inputs: dict[str, tuple[Any, str, Any]] = {
            "and": (f"list[{name}] | None", "All of these hold. An empty list matches everything.", strawberry.UNSET),
            "or": (
                f"list[{name}] | None",
                "At least one of these holds. An empty list matches nothing.",
                strawberry.UNSET,
            ),
            "not": (f"{name} | None", "This does not hold.", strawberry.UNSET),
        }

        def compared(of: Any, text: str) -> tuple[Any, str, Any]:
            made = comparator(of, comparators, self.registry.filter_limits)
            assert made is not None, f"{self.name}: {text} is measured and cannot be compared"
            self.add(made)
            return f"{made.__name__} | None", text, strawberry.UNSET

        inputs[COUNT] = compared(int, "Conditions on how many records the group has.")
        parts: Sequence[tuple[str, Sequence[str], Mapping[str, Any], str]] = (
            ("Sums", SUMS, fields.sums, "a sum or an average of numbers"),
            ("Extremes", EXTREMES, fields.extremes, "a least or a greatest value"),
            ("Distinct", (DISTINCT,), dict.fromkeys(fields.distinct, int), "how many different ones there are"),
        )
        for suffix, functions, keys, text in parts:
            if keys:
                inner = {key: compared(of, f"Of `{self._spelled(key)}`.") for key, of in keys.items()}
                self._input(f"{name}{suffix}", f"Conditions on {text} of {self.name} records.", inner)
            for function in functions if keys else ():
                inputs[function] = f"{name}{suffix} | None", f"Conditions on `{function}`.", strawberry.UNSET
        text = f"Which groups of {self.name} records are answered: all conditions given must hold. `{{}}` matches all."
        self._input(name, text, inputs)

    def _spelled(self, key: str) -> str:
        return self.fields.paths.get(key, key).replace(BEYOND, ".") if key != "currency" else key

    def _size(self, key: str) -> Size | None:
        if isinstance(self.fields.groups[key], Record):
            return None
        record, column = self.record.find(self.fields.paths[key])
        return column_size(record.table.c[column.column])

    def _enum(self, name: str, text: str, values: Mapping[str, str], retired: set[str] = frozenset()) -> None:  # type: ignore[assignment]
        if not values:
            return
        enum: Any = Enum(name, {value: value for value in values})  # type: ignore[misc]
        enum.__module__ = self.module
        made: Any = strawberry.enum(enum, name=name, description=text)
        for value in made.__strawberry_definition__.values:
            value.description = values[value.name]
            value.deprecation_reason = RETIRED if value.name in retired else None
        self.add(made)

    def _input(self, name: str, text: str, fields: Mapping[str, tuple[Any, str, Any]]) -> None:
        """Add an input type; `fields` are annotations, descriptions and defaults, `...` for none."""
        namespace: dict[str, Any] = {
            "__module__": self.module,
            "__annotations__": {f"f_{key}": annotation for key, (annotation, _, _) in fields.items()},
        }
        for key, (_, said, default) in fields.items():
            given = {} if default is ... else {"default": default}
            namespace[f"f_{key}"] = strawberry.field(name=key, description=said, **given)
        self.add(strawberry.input(type(name, (), namespace), name=name, description=text))

    def _output(
        self,
        name: str,
        text: str,
        fields: Fields,
        sizes: Mapping[str, Size | None] = _NO_SIZES,
        retired: frozenset[str] = frozenset(),
    ) -> None:
        if not fields:
            return
        namespace: dict[str, Any] = {
            "__module__": self.module,
            "__annotations__": {f"f_{key}": annotation for key, (annotation, _) in fields.items()},
        }
        for key, (_, said) in fields.items():
            namespace[f"f_{key}"] = strawberry.field(
                name=key,
                description=said,
                metadata={SIZE_KEY: sizes.get(key)},
                deprecation_reason=RETIRED if key in retired else None,
            )
        self.add(strawberry.type(type(name, (), namespace), name=name, description=text))


def _key_annotation(of: Any) -> Any:
    if isinstance(of, Record):
        return of.cls | None
    return date | None if of in TIMES else of | None
