"""Rows of mapped classes: from the driver's strings to typed instances, and what changed since."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar

import asyncpg
from sqlalchemy import Date, DateTime, Numeric
from sqlalchemy.orm.attributes import set_committed_value

from crm_graph.db.base import Base, table_of

T = TypeVar("T", bound=Base)

_SNAPSHOT = "_loaded_values"


@cache
def _converters(cls: type[Base]) -> tuple[tuple[str, Callable[[str], Any] | None], ...]:
    def converter(column: Any) -> Callable[[str], Any] | None:
        if isinstance(column.type, Numeric):
            return Decimal
        if isinstance(column.type, DateTime):
            return datetime.fromisoformat
        if isinstance(column.type, Date):
            return date.fromisoformat
        return None

    return tuple((column.name, converter(column)) for column in table_of(cls).columns)


def load(cls: type[T], record: Mapping[str, Any] | asyncpg.Record) -> T:
    """Return an instance of `cls` for a fetched row that carries all of its columns."""
    row = cls()
    snapshot: dict[str, Any] = {}
    for name, convert in _converters(cls):
        value = record[name]
        if convert is not None and value is not None:
            value = convert(value)
        set_committed_value(row, name, value)
        snapshot[name] = value
    row.__dict__[_SNAPSHOT] = snapshot
    return row


def typed(cls: type[Base], record: asyncpg.Record, names: Collection[str]) -> dict[str, Any]:
    """Return some columns of a fetched row of `cls`, typed as an instance would have them."""
    converters = dict(_converters(cls))
    return {
        name: convert(value) if (convert := converters[name]) is not None and value is not None else value
        for name, value in ((name, record[name]) for name in names)
    }


def remember(row: Base) -> None:
    """Take the row as it is now as what `changes` compares with: it has just been written."""
    row.__dict__[_SNAPSHOT] = values(row)


def values(row: Base) -> dict[str, Any]:
    """Return the row's columns as a dict."""
    return {name: getattr(row, name) for name, _ in _converters(type(row))}


def changes(row: Base) -> dict[str, tuple[Any, Any]]:
    """Return `{column: (old, new)}` since `load`; for a row that was never loaded, every column against None."""
    snapshot: dict[str, Any] = row.__dict__.get(_SNAPSHOT, {})
    return {name: (snapshot.get(name), value) for name, value in values(row).items() if snapshot.get(name) != value}
