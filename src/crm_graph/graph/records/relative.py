"""Relative operands: to now (`withinLast: {n: 30, unit: DAY}`), to the calendar (`inPeriod: {period: QUARTER}`).

A filter that is stored, or that a subscription lives by, says "the last 30 days" and not two dates. Such an operand
stays what it is until the statement is sent, and is a value like any other then: the text of the statement knows
nothing of it, so plans stay cached. Days and periods are those of the workspace's time zone and fiscal year.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import Enum
from typing import Any
from zoneinfo import ZoneInfo

import strawberry
from sqlalchemy import Date
from sqlalchemy.types import TypeEngine

from crm_graph.graph.records.enums import describe
from crm_graph.kernel.errors import BadUserInput

Path = tuple[str | int, ...]


class TimeUnit(Enum):
    """What a span is counted in."""

    MINUTE = "MINUTE"
    HOUR = "HOUR"
    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    QUARTER = "QUARTER"
    YEAR = "YEAR"


class Period(Enum):
    """A period of the calendar."""

    DAY = "DAY"
    WEEK = "WEEK"
    MONTH = "MONTH"
    QUARTER = "QUARTER"
    YEAR = "YEAR"


describe(
    TimeUnit,
    "What a span of time is counted in.",
    {
        "MINUTE": "Minutes. Not of a date.",
        "HOUR": "Hours. Not of a date.",
        "DAY": "Days of the workspace's calendar: the same time of the day, also where the clocks change.",
        "WEEK": "Seven days.",
        "MONTH": "Months: the same day of the month, or its last one where there is no such day.",
        "QUARTER": "Three months.",
        "YEAR": "Twelve months.",
    },
)
describe(
    Period,
    "A period of the calendar, in the workspace's time zone.",
    {
        "DAY": "A day.",
        "WEEK": "A week, from Monday.",
        "MONTH": "A month.",
        "QUARTER": "A quarter: of the calendar year, or of the fiscal year.",
        "YEAR": "A calendar year, or a fiscal year.",
    },
)
_MONTHS = {TimeUnit.MONTH: 1, TimeUnit.QUARTER: 3, TimeUnit.YEAR: 12}
_MONTHS_OF = {Period.MONTH: 1, Period.QUARTER: 3, Period.YEAR: 12}
_SPANS = {TimeUnit.MINUTE: timedelta(minutes=1), TimeUnit.HOUR: timedelta(hours=1)}
_DAYS = {TimeUnit.DAY: 1, TimeUnit.WEEK: 7}
_DAYS_OF = {Period.DAY: 1, Period.WEEK: 7}
MOST_YEARS = 1_000
"""How far an operand may lie from now: then every one is a date that there is, in Python and in Postgres."""


@strawberry.input(description="A span of time: 30 days.")
class TimeSpan:
    """See `Shift`."""

    n: int = strawberry.field(description="How many, 0 or more.")
    unit: TimeUnit = strawberry.field(description="Of what.")


@strawberry.input(description="A period of the calendar: this quarter, last month.")
class PeriodInput:
    """See `Start`."""

    period: Period = strawberry.field(description="Which kind of period.")
    offset: int = strawberry.field(
        description="Which one: 0 is the one that now lies in, -1 the one before, 1 the next.", default=0
    )
    fiscal: bool = strawberry.field(
        description="Whether quarters and years are those of the workspace's fiscal year.", default=False
    )


OPERATORS: Mapping[str, tuple[Any, str]] = {
    "withinLast": (TimeSpan, "Lies between so long ago and now. Of a date: today counts, and the day so long ago."),
    "withinNext": (TimeSpan, "Lies between now and so much later. Of a date: today counts, and the last day."),
    "olderThan": (TimeSpan, "Lies longer ago than this."),
    "inPeriod": (PeriodInput, "Lies in this period of the calendar."),
}
"""The relative operators, with the type of the operand and what they mean."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, and the calendar that a workspace counts by."""

    now: datetime
    time_zone: str
    fiscal_year_start: int = 1
    """The month in which the fiscal year begins."""

    @property
    def today(self) -> date:
        """The date of now in the workspace's time zone."""
        return self.now.astimezone(ZoneInfo(self.time_zone)).date()

    def midnight(self, day: date) -> datetime:
        """Return when a day begins there; where the clocks jump over midnight, when they do."""
        return datetime.combine(day, time.min, ZoneInfo(self.time_zone)).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Shift:
    """Now, moved by so many units; of a date today, moved."""

    n: int
    unit: TimeUnit
    of_date: bool

    def at(self, moment: Moment) -> datetime | date:
        """Return the value at a moment."""
        if self.of_date:
            return self._moved(moment.today)
        span = _SPANS.get(self.unit)
        if span is not None:
            return moment.now + self.n * span
        local = moment.now.astimezone(ZoneInfo(moment.time_zone))
        return datetime.combine(self._moved(local.date()), local.timetz()).astimezone(UTC)

    def _moved(self, day: date) -> date:
        months = _MONTHS.get(self.unit)
        return day + timedelta(days=self.n * _DAYS[self.unit]) if months is None else add_months(day, self.n * months)


@dataclass(frozen=True, slots=True)
class Start:
    """The beginning of a period: of the one that now lies in, moved by so many."""

    period: Period
    offset: int
    fiscal: bool
    of_date: bool

    def at(self, moment: Moment) -> datetime | date:
        """Return the value at a moment."""
        first = self._first(moment.today, moment.fiscal_year_start if self.fiscal else 1)
        months = _MONTHS_OF.get(self.period)
        if months is None:
            day = first + timedelta(days=self.offset * _DAYS_OF[self.period])
        else:
            day = add_months(first, self.offset * months)
        return day if self.of_date else moment.midnight(day)

    def _first(self, today: date, year_start: int) -> date:
        match self.period:
            case Period.DAY:
                return today
            case Period.WEEK:
                return today - timedelta(days=today.weekday())
        months = _MONTHS_OF[self.period]
        return add_months(today.replace(day=1), -((today.month - year_start) % 12 % months))


Relative = Shift | Start


def add_months(day: date, months: int) -> date:
    """Return the same day of another month, or the last one where there is no such day."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def bounds(operator: str, value: Any, of: TypeEngine[Any], path: Path) -> Sequence[tuple[str, Relative]]:
    """Return what a relative operator means: comparisons with values that are relative, all of which hold. Raises
    BadUserInput at the path of what is wrong."""
    of_date = isinstance(of, Date)
    if operator == "inPeriod":
        return _of_period(value, path, of_date=of_date)
    unit, n = value["unit"], value["n"]
    if of_date and unit in _SPANS:
        raise BadUserInput("A date has no hours: use DAY or a longer unit.", path=(*path, "unit"))
    _check(n, unit, (*path, "n"))
    now, before, after = Shift(0, TimeUnit.DAY, of_date), Shift(-n, unit, of_date), Shift(n, unit, of_date)
    match operator:
        case "withinLast":
            return ("gte", before), ("lte", now)
        case "withinNext":
            return ("gte", now), ("lte", after)
    return (("lt", before),)


def _check(n: int, unit: TimeUnit, path: Path) -> None:
    if n < 0:
        raise BadUserInput(f"`n` must be 0 or more, not {n}.", path=path)
    days = _MONTHS[unit] * 28 if unit in _MONTHS else _DAYS.get(unit, 0)
    span = n * days if days else n * _SPANS[unit].total_seconds() / 86_400
    if span > MOST_YEARS * 365:
        raise BadUserInput(f"That is more than {MOST_YEARS:,} years.", path=path)


def _of_period(value: Any, path: Path, *, of_date: bool) -> Sequence[tuple[str, Relative]]:
    period, offset, fiscal = value["period"], value.get("offset", 0), value.get("fiscal", False)
    if fiscal and period not in {Period.QUARTER, Period.YEAR}:
        raise BadUserInput("Only quarters and years are fiscal ones.", path=(*path, "fiscal"))
    days = _MONTHS_OF[period] * 28 if period in _MONTHS_OF else _DAYS_OF[period]
    if abs(offset) * days > MOST_YEARS * 365:
        raise BadUserInput(f"That is more than {MOST_YEARS:,} years away.", path=(*path, "offset"))
    first = Start(period, offset, fiscal, of_date)
    return ("gte", first), ("lt", replace(first, offset=offset + 1))


def resolved(values: Mapping[str, Any], now: Callable[[], Moment]) -> Mapping[str, Any]:
    """Return the values of binds, those that are relative as they are now, which is asked only where there are any."""
    relative = {name: value for name, value in values.items() if isinstance(value, Relative)}
    if not relative:
        return values
    moment = now()
    return {**values, **{name: value.at(moment) for name, value in relative.items()}}
