"""What a field is to an aggregate, a dimension or a measure, and measures that are computed of several fields.

A dimension makes groups: a status, a country, a day, what an edge leads to. A measure is summed and averaged. What a
field is follows from its type, and is said beside its column where that is not enough:

    satisfaction: int | None = column("...", use=Use.DIMENSION | Use.MEASURE)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import Enum, Flag, auto
from typing import Any

from sqlalchemy import ColumnElement, Numeric, cast, func

from crm_graph.graph.records.scalars import Currency, ExactText


class Use(Flag):
    """What aggregates make of a field."""

    NEITHER = 0
    DIMENSION = auto()
    MEASURE = auto()

    @property
    def text(self) -> str:
        """How a description says it; empty for neither."""
        if self is Use.DIMENSION | Use.MEASURE:
            return "Dimension and measure."
        return "" if self is Use.NEITHER else f"{str(self.name).capitalize()}."


NUMBERS, TIMES, TEXTS = (int, Decimal), (date, datetime), (str, ExactText)
LINE_LETTERS = 500
"""A longer text is prose: no two records have the same, and groups of one say nothing."""


def usual_use(of: Any, letters: int | None, *, unique: bool) -> Use:
    """Return what a leaf is by its Python type, how long its text may be, and whether no two records share it."""
    if of in NUMBERS:
        return Use.MEASURE
    if of in TEXTS:
        return Use.NEITHER if unique or (letters is not None and letters > LINE_LETTERS) else Use.DIMENSION
    groups = of in (bool, Currency, *TIMES) or (isinstance(of, type) and issubclass(of, Enum))
    return Use.DIMENSION if groups else Use.NEITHER


@dataclass(frozen=True, slots=True)
class Measure:
    """A number computed of fields of a record, to be summed, averaged and compared in aggregates.

    `value` makes the SQL of the columns of `needs` (keys, in that order), each null where it may not be read: so the
    number is null there too, and whoever may read none of one of them is refused the measure.
    """

    name: str
    needs: tuple[str, ...]
    value: Callable[..., ColumnElement[Any]]
    description: str


def seconds_between(name: str, start: str, end: str, description: str) -> Measure:
    """Return the seconds from one time to another one; null where one of them is."""
    return Measure(
        name, (start, end), lambda since, until: cast(func.extract("epoch", until - since), Numeric(20, 3)), description
    )


def product(name: str, left: str, right: str, description: str, *, percent: bool = False) -> Measure:
    """Return a number times another one, which is in `percent` or not: the sum of it is a weighted sum."""
    return Measure(
        name,
        (left, right),
        lambda one, other: cast(one, Numeric) * other / (100 if percent else 1),
        description,
    )
