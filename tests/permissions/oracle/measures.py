"""Aggregates by brute force: rows grouped and measured by what may be read of them in clear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cmp_to_key
from typing import Any
from zoneinfo import ZoneInfo

from tests.permissions.oracle.documents import Aggregate, GroupKey, Where
from tests.permissions.oracle.filters import check_comparable, compares
from tests.permissions.oracle.kinds import Field, Kind, kinds
from tests.permissions.oracle.sight import Sight
from tests.permissions.oracle.world import Row

Values = tuple[Any, ...]
_NUMBER = Field("", "decimal")


def check_aggregate(sight: Sight, of: Aggregate) -> None:
    """Raise Withheld for an aggregate that groups by, measures or compares a hidden field."""
    for key, _ in of.groups:
        at = of.kind
        for edge in key.edges:
            if not sight.reads(at):
                break  # of rows that do not exist, nothing beyond an edge is looked at
            check_comparable(sight, at, edge)
            at = kinds()[edge.target]
        else:
            check_comparable(sight, at, key.each or _currency(at))
    for measure in of.measures:
        for each in measure.fields:
            check_comparable(sight, of.kind, each)
    if of.having is not None:
        for each in _compared(of.kind, of.having):
            check_comparable(sight, of.kind, each)


def _compared(kind: Kind, having: Where) -> list[Field]:
    found: list[Field] = []
    for name, value in having.items():
        if name in {"and", "or"}:
            for part in value:
                found += _compared(kind, part)
        elif name == "not":
            found += _compared(kind, value)
        elif name != "count":
            found += [kind.fields[key] for key, conditions in value.items() if conditions]
    return found


def grouped(sight: Sight, of: Aggregate, rows: Sequence[Row]) -> list[tuple[Values, list[Row]]]:
    """Return the groups that pass `having`, by their keys or by their number of rows first; without keys there is one,
    of all rows."""
    found: dict[Values, list[Row]] = {} if of.groups else {(): list(rows)}
    if of.groups:
        for row in rows:
            key = tuple(_key(sight, of.kind, row, each, bucket) for each, bucket in of.groups)
            found.setdefault(key, []).append(row)
    passing = [
        (key, members)
        for key, members in found.items()
        if of.having is None or _having(sight, of.kind, members, of.having)
    ]
    by_key = cmp_to_key(_order)
    return sorted(passing, key=lambda each: (-len(each[1]) if of.by_count else 0, by_key(each[0])))


def _key(sight: Sight, kind: Kind, row: Row, key: GroupKey, bucket: str | None) -> Any:
    for edge in key.edges:
        found = sight.edge(kind, row, edge)
        if found is None:
            return None
        kind, row = kinds()[edge.target], found
    each = key.each
    field = each or _currency(kind)
    value = sight.clear(kind, row, field, column=int(each is None and field.of == "money"))
    if value is None or bucket is None:
        return value
    if isinstance(value, datetime):
        value = value.astimezone(ZoneInfo(sight.world.settings["time_zone"])).date()
    return truncated(value, bucket)


def truncated(day: date, bucket: str) -> date:
    """Return the first day of a span of time."""
    match bucket:
        case "WEEK":
            return day - timedelta(days=day.weekday())
        case "MONTH":
            return day.replace(day=1)
        case "QUARTER":
            return day.replace(month=(day.month - 1) // 3 * 3 + 1, day=1)
        case "YEAR":
            return day.replace(month=1, day=1)
    return day


def _order(left: Values, right: Values) -> int:
    for one, other in zip(left, right, strict=True):
        if one == other:
            continue
        if one is None or other is None:
            return 1 if one is None else -1
        return -1 if one < other else 1
    return 0


def measure(sight: Sight, kind: Kind, rows: Sequence[Row], function: str, each: Field | None) -> Any:
    """Return a measure of rows: how many, or a function of the values that may be read in clear."""
    if each is None:
        return len(rows)
    values = [value for row in rows if (value := sight.clear(kind, row, each)) is not None]
    if function == "countDistinct":
        return len(set(values))
    if each.of == "int":
        values = [Decimal(value) for value in values]
    if not values:
        return None
    match function:
        case "sum":
            return sum(values)
        case "avg":
            return (sum(values) / len(values)).quantize(Decimal("0.0001"), ROUND_HALF_UP)
        case "min":
            return min(values)
        case _:
            return max(values)


def _having(sight: Sight, kind: Kind, rows: Sequence[Row], having: Where) -> bool:
    return all(_holds(sight, kind, rows, name, value) for name, value in having.items())


def _holds(sight: Sight, kind: Kind, rows: Sequence[Row], name: str, value: Any) -> bool:
    match name:
        case "and":
            return all(_having(sight, kind, rows, part) for part in value)
        case "or":
            return any(_having(sight, kind, rows, part) for part in value)
        case "not":
            return not _having(sight, kind, rows, value)
        case "count":
            return compares(Field("", "int"), len(rows), value)
    conditions: Mapping[str, Any] = value
    return all(
        compares(_measured(kind.fields[key]), measure(sight, kind, rows, name, kind.fields[key]), each)
        for key, each in conditions.items()
    )


def _measured(each: Field) -> Field:
    return each if each.of in {"date", "moment"} else _NUMBER


def _currency(kind: Kind) -> Field:
    assert kind.currency is not None
    return kind.currency
