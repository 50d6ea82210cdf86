"""Aggregates by brute force: rows grouped and measured by what may be read of them in clear."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cmp_to_key
from typing import Any
from zoneinfo import ZoneInfo

from tests.permissions.oracle.documents import Aggregate, GroupKey, Where
from tests.permissions.oracle.filters import check_comparable, compares, matches
from tests.permissions.oracle.grants import READ
from tests.permissions.oracle.kinds import COMPUTED, Field, Kind, kinds
from tests.permissions.oracle.sight import Sight
from tests.permissions.oracle.world import Row

Values = tuple[Any, ...]
LEAST = 5
"""Values that may not be read and are in a sum together, at least."""
SUMS = ("sum", "avg")
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
    for measure in (*of.measures, *of.apart):
        if measure.function == "currencies":
            _check_currencies(sight, of.kind)
        for each in measure.fields:
            _check_measure(sight, of.kind, measure.function, each)
    if of.order is not None and of.order.each is not None:
        _check_measure(sight, of.kind, of.order.function, of.order.each)
    if of.having is not None:
        for function, each in _compared(of.kind, of.having):
            _check_measure(sight, of.kind, function, each)


def _check_measure(sight: Sight, kind: Kind, function: str, each: Field) -> None:
    for part in kind.made_of(each):
        if function in SUMS and sight.summable(kind, part):
            continue
        check_comparable(sight, kind, part)


def _check_currencies(sight: Sight, kind: Kind) -> None:
    amounts = kind.all("money")
    if not any(sight.comparable(kind, each) for each in amounts):
        check_comparable(sight, kind, amounts[0])


def _compared(kind: Kind, having: Where) -> list[tuple[str, Field]]:
    found: list[tuple[str, Field]] = []
    for name, value in having.items():
        if name in {"and", "or"}:
            for part in value:
                found += _compared(kind, part)
        elif name == "not":
            found += _compared(kind, value)
        elif name != "count":
            found += [(name, kind.measured(key)) for key, conditions in value.items() if conditions]
    return found


def grouped(sight: Sight, of: Aggregate, rows: Sequence[Row]) -> list[tuple[Values, list[Row]]]:
    """Return the groups that pass `having`, by a measure or by their keys; without keys there is one, of all rows."""
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
    passing.sort(key=lambda each: by_key(each[0]))
    order = of.order
    if order is None:
        return passing

    def measured(rows: Sequence[Row]) -> Any:
        if order.function == "share":
            return share(sight, of, rows)
        return measure(
            sight, of.kind, matching(sight, of, rows) if order.matching else rows, order.function, order.each
        )

    found_ = [(measured(members), (key, members)) for key, members in passing]
    some = [each for each in found_ if each[0] is not None]
    some.sort(key=lambda each: each[0], reverse=order.descending)  # which keeps the order of equals
    return [each for _, each in (*some, *(each for each in found_ if each[0] is None))]


def matching(sight: Sight, of: Aggregate, rows: Sequence[Row]) -> list[Row]:
    """Return the rows of a group that are measured apart."""
    return [row for row in rows if of.matching is None or matches(sight, of.kind, row, of.matching)]


def share(sight: Sight, of: Aggregate, rows: Sequence[Row]) -> Decimal | None:
    """Return the share of the rows that are measured apart."""
    return _averaged(Decimal(len(matching(sight, of, rows))), len(rows)) if rows else None


def _averaged(total: Decimal, count: int) -> Decimal:
    return (total / count).quantize(Decimal("0.0001"), ROUND_HALF_UP)


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
    """Return a measure of rows: how many, in which currencies, or a function of the values that may be read in clear,
    or summed."""
    if function == "currencies":
        found = (_currency_of(sight, kind, row) for row in rows)
        return sorted({currency for currency in found if currency is not None})
    if each is None:
        return len(rows)
    if function == "countDistinct":
        return len({value for row in rows if (value := sight.clear(kind, row, each)) is not None})
    read, unread = _values(sight, kind, rows, each, sums=function in SUMS)
    if len({currency for _, currency in (*read, *unread)}) > 1:
        sight.measured["amounts in several currencies"] += 1
        return None
    sight.measured["computed"] += each.of in COMPUTED and bool(read or unread)
    if unread:
        sight.measured["unread and told" if len(unread) >= LEAST else "unread and not told"] += 1
    values = [value for value, _ in read]
    if function not in SUMS:
        return (min if function == "min" else max)(values, default=None)
    total = sum(values) if values else None
    if unread:
        total = _told(total, [value for value, _ in unread])
    if total is None or function == "sum":
        return total
    return _averaged(total, len(values) + len(unread))


def _told(read: Any, unread: Sequence[Decimal]) -> Decimal | None:
    """Return what is told of a sum of values of which some may not be read."""
    if len(unread) < LEAST:
        return None
    step = Decimal(1).scaleb(max(*map(abs, unread), Decimal(1)).adjusted())
    return (read or Decimal()) + (sum(unread, Decimal()) / step).quantize(Decimal(1), ROUND_HALF_UP) * step


Valued = list[tuple[Any, str | None]]
"""Values with the currencies that they are in."""


def _values(sight: Sight, kind: Kind, rows: Sequence[Row], each: Field, *, sums: bool) -> tuple[Valued, Valued]:
    """Return the values that may be read, and those that may only be summed."""
    read: Valued = []
    unread: Valued = []
    parts = kind.made_of(each)
    money = next((part for part in parts if part.of == "money"), None)
    for row in rows:
        in_clear = all(sight.level(kind, row, part) >= READ for part in parts)
        if not in_clear and not (sums and all(sight.sums(kind, row, part) for part in parts)):
            continue
        value = _computed(each, [row[part.column] for part in parts])
        if value is not None:
            (read if in_clear else unread).append((value, None if money is None else row[money.columns[1]]))
    return read, unread


def _computed(each: Field, values: Sequence[Any]) -> Any:
    if any(value is None for value in values):
        return None
    match each.of:
        case "seconds":
            since, until = values
            seconds = Decimal((until - since) // timedelta(microseconds=1)).scaleb(-6)
            return seconds.quantize(Decimal("0.001"), ROUND_HALF_UP)
        case "percent":
            return Decimal(values[0]) * values[1] / 100
        case "int":
            return Decimal(values[0])
    return values[0]


def _currency_of(sight: Sight, kind: Kind, row: Row) -> str | None:
    """Return the currency of the first amount of a row that may be read in clear."""
    shown = (each for each in kind.all("money") if sight.clear(kind, row, each) is not None)
    return next((row[each.columns[1]] for each in shown), None)


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
        compares(_measured(name, kind.measured(key)), measure(sight, kind, rows, name, kind.measured(key)), each)
        for key, each in conditions.items()
    )


def _measured(function: str, each: Field) -> Field:
    return each if each.of in {"date", "moment"} and function != "countDistinct" else _NUMBER


def _currency(kind: Kind) -> Field:
    assert kind.currency is not None
    return kind.currency
