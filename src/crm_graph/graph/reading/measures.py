"""The SQL of measures: `sum.amount`, `matching.count`, `countDistinct.customer`, `share`.

What is measured is read through the view, so that a hidden value is no part of a measure. Of a value that may be
measured and not be read (the level MEASURE), a sum tells nothing about one row:

- It is null unless it is over `least_rows` such values, whatever else is in the group; what the viewer may read of the
  group is not counted, since it could be taken off.
- It is rounded to the power of ten at or below the greatest of them, so that two sums that differ by one row do not
  say what its value is.
- There is no least and no greatest value, no distinct count, no order, no group and no condition of it.

Whoever asks, a measure of amounts in several currencies is null, and so is one that is computed of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Numeric, and_, case, cast, func, not_, null, or_, type_coerce

from crm_graph.graph.reading.aggregate_fields import AggregateFields
from crm_graph.graph.reading.currencies import CURRENCIES, currencies_of, in_one_currency
from crm_graph.graph.reading.views import View

COUNT, DISTINCT, SHARE, MATCHING, KEY = "count", "countDistinct", "share", "matching", "key"
SUMS, EXTREMES = ("sum", "avg"), ("min", "max")
DIGITS = 4
"""Digits of averages and shares behind the point."""


@dataclass(slots=True)
class Measures:
    """The measures of one statement: `groups` are the expressions of its keys, `matching` what `matching` asks for."""

    view: View
    fields: AggregateFields
    least_rows: int
    groups: Mapping[str, ColumnElement[Any]]
    matching: ColumnElement[bool] | None = None

    def of(self, name: str) -> Any:
        """Return a measure, or a key, by its name in a shape. Raises Forbidden for what may not be read."""
        head, _, rest = name.partition(".")
        match head:
            case "key":
                return self.groups.get(rest, null())
            case "matching":
                return self._measure(rest, self.matching)
            case "share":
                part = self._measure(COUNT, self.matching)
                share = cast(part, Numeric) / func.nullif(func.count(), 0)
                return type_coerce(func.round(share, DIGITS), Numeric)
        return self._measure(name, None)

    def _measure(self, name: str, only: ColumnElement[bool] | None) -> Any:
        function, _, key = name.partition(".")
        if function == COUNT:
            return _of(func.count(), only)
        if function == CURRENCIES:
            return currencies_of(self.view, self.fields.money, only)
        if function == DISTINCT:
            path = self.fields.paths.get(key, key)
            return _of(func.count(self.view.comparable(path, "count").distinct()), only)
        if key not in self.fields.sums:
            return _of(getattr(func, function)(self._time(key, function)), only)
        value, hidden = self._number(key, function)
        measured: Any
        if hidden is None:
            # A Decimal is printed as a string, also the sum of integers.
            measured = cast(_of(getattr(func, function)(value), only), Numeric)
        else:
            measured = self._guarded(value, hidden, only)
            if function == "avg":
                measured = measured / func.nullif(_of(func.count(value), only), 0)
        measured = type_coerce(func.round(measured, DIGITS), Numeric) if function == "avg" else measured
        return self._in_one_currency(measured, value, key, function, only, apart=hidden is None)

    def _in_one_currency(
        self,
        measured: Any,
        value: ColumnElement[Any],
        key: str,
        function: str,
        only: ColumnElement[bool] | None,
        *,
        apart: bool,
    ) -> Any:
        """Return a measure of values, null where amounts that they are made of are in several currencies. Groups by
        currency keep all amounts `apart` whose currency may be read."""
        computed = self.view.record.measures.get(key)
        by = self.fields.paths["currency"] if apart and "currency" in self.groups else None
        for amount in (key,) if computed is None else computed.needs:
            currency = f"{amount}.currency"
            if amount in self.fields.money and currency != by:
                measured = in_one_currency(measured, value, self._currency(currency, function), only)
        return measured

    def _currency(self, key: str, function: str) -> ColumnElement[Any]:
        """Return the currency of an amount, wherever that is measured."""
        if function in EXTREMES:
            return self.view.comparable(key, _doing(function))
        return self.view.measurable(key, _doing(function))[0]

    def _time(self, key: str, function: str) -> ColumnElement[Any]:
        return self.view.comparable(self.fields.paths[key], _doing(function))

    def _number(self, key: str, function: str) -> tuple[ColumnElement[Any], ColumnElement[bool] | None]:
        """Return what is measured, and on which rows it may be measured and not be read; None for none of them."""
        computed = self.view.record.measures.get(key)
        if function in EXTREMES:  # which are values
            if computed is None:
                return self.view.comparable(key, _doing(function)), None
            return computed.value(*(self.view.comparable(each, _doing(function)) for each in computed.needs)), None
        if computed is None:
            return self.view.measurable(key, _doing(function))
        parts = [self.view.measurable(each, _doing(function)) for each in computed.needs]
        hidden = [each for _, each in parts if each is not None]
        return computed.value(*(value for value, _ in parts)), or_(*hidden) if hidden else None

    def _guarded(
        self, value: ColumnElement[Any], hidden: ColumnElement[bool], only: ColumnElement[bool] | None
    ) -> ColumnElement[Any]:
        """Return the sum of values of which some may not be read, which says nothing about one of them."""
        number = cast(value, Numeric)
        unread = hidden if only is None else and_(hidden, only)
        read = not_(hidden) if only is None else and_(not_(hidden), only)
        rows = func.count(value).filter(unread)
        greatest = func.max(func.abs(number)).filter(unread)
        step = func.power(cast(10, Numeric), func.floor(func.log(func.greatest(greatest, 1))))
        rounded = func.round(func.sum(number).filter(unread) / step) * step
        whole = func.coalesce(func.sum(number).filter(read), 0) + rounded
        return case((rows == 0, func.sum(number).filter(read)), (rows >= self.least_rows, whole))


def _of(measure: Any, only: ColumnElement[bool] | None) -> Any:
    return measure if only is None else measure.filter(only)


def _doing(function: str) -> str:
    return f"take the {function} of"
