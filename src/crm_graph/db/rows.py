"""Rows of mapped classes: from the driver's strings to typed instances, and what changed since."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import Date, DateTime, Numeric

from crm_graph.db.base import Base, table_of

T = TypeVar("T", bound=Base)

_SNAPSHOT = "_loaded_values"


@dataclass(frozen=True, slots=True)
class _Layout:
    """The columns of a class, in its table's order, and how those arrive whose strings are made into something else."""

    names: tuple[str, ...]
    converters: Mapping[str, Callable[[str], Any]]


@cache
def _layout(cls: type[Base]) -> _Layout:
    columns = table_of(cls).columns
    kinds = {
        column.name: next((to for kind, to in _KINDS if isinstance(column.type, kind)), None) for column in columns
    }
    return _Layout(tuple(kinds), {name: convert for name, convert in kinds.items() if convert is not None})


_KINDS: tuple[tuple[type, Callable[[str], Any]], ...] = (
    (Numeric, Decimal),
    (DateTime, datetime.fromisoformat),
    (Date, date.fromisoformat),
)


def load(cls: type[T], record: Mapping[str, Any] | asyncpg.Record) -> T:
    """Return an instance of `cls` for a fetched row that carries all of its columns."""
    loaded = typed(cls, record, _layout(cls).names)
    row = cls.holding(loaded)
    row.__dict__[_SNAPSHOT] = loaded
    return row


def typed(cls: type[Base], record: Mapping[str, Any] | asyncpg.Record, names: Iterable[str]) -> dict[str, Any]:
    """Return some columns of a fetched row of `cls`, typed as an instance would have them."""
    found = {name: record[name] for name in names}
    for name, convert in _layout(cls).converters.items():
        value = found.get(name)
        if value is not None:
            found[name] = convert(value)
    return found


def remember(row: Base) -> None:
    """Take the row as it is now as what `changes` compares with: it has just been written."""
    row.__dict__[_SNAPSHOT] = values(row)


def values(row: Base) -> dict[str, Any]:
    """Return the row's columns as a dict, in the table's order."""
    held = row.__dict__
    return {name: held.get(name) for name in _layout(type(row)).names}


def changes(row: Base) -> dict[str, tuple[Any, Any]]:
    """Return `{column: (old, new)}` since `load`; for a row that was never loaded, every column against None."""
    snapshot: Mapping[str, Any] = row.__dict__.get(_SNAPSHOT, {})
    return {name: (snapshot.get(name), value) for name, value in values(row).items() if snapshot.get(name) != value}
