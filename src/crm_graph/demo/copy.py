"""Rows on their way to Postgres: what waits per table, the ids it gets, and binary COPY.

The connections of the pools pass `numeric`, `date` and `timestamptz` as text (`db/codecs.py`), which binary COPY cannot
use. So the seeding connection has its own codecs: times are seconds, dates days since 1970, and amounts, quantities and
percentages hundredths, all of them integers: no datetime or Decimal object is made per value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from struct import Struct
from typing import Any

import asyncpg

from crm_graph.db.base import Base, table_of
from crm_graph.demo.times import START

_INT32 = Struct("!i").pack
_INT64 = Struct("!q").pack
_EPOCH_DAYS = date(2000, 1, 1).toordinal() - date(1970, 1, 1).toordinal()
_EPOCH_SECONDS = _EPOCH_DAYS * 86_400
_FIRST_MS = START * 1_000
_MICROSECONDS = 1_000_000
_NUMERIC_BASE = 10_000


@lru_cache(maxsize=65_536)
def numeric_of_hundredths(value: int) -> bytes:
    """Return Postgres' binary form of a number of hundredths, not negative: digits of base 10,000, two decimals.

    A header of four int16: how many digits, the power of the first, the sign (0 is plus), the decimals shown.
    """
    digits: list[int] = []
    rest = value * (_NUMERIC_BASE // 100)
    while rest:
        rest, digit = divmod(rest, _NUMERIC_BASE)
        digits.append(digit)
    digits.reverse()
    header = (len(digits), len(digits) - 2, 0, 2) if digits else (0, 0, 0, 2)
    return Struct(f"!{len(digits) + 4}h").pack(*header, *digits)


def _timestamp_of_seconds(value: int) -> bytes:
    return _INT64((value - _EPOCH_SECONDS) * _MICROSECONDS)


def _date_of_days(value: int) -> bytes:
    return _INT32(value - _EPOCH_DAYS)


async def prepare(connection: asyncpg.Connection[Any]) -> None:
    """Give a connection the codecs of seeding, in place of those of `db/codecs.py`."""
    for name, encoder in (
        ("numeric", numeric_of_hundredths),
        ("date", _date_of_days),
        ("timestamptz", _timestamp_of_seconds),
    ):
        await connection.set_type_codec(name, schema="pg_catalog", encoder=encoder, decoder=bytes, format="binary")
    await connection.reset_type_codec("uuid", schema="pg_catalog")  # asyncpg's own takes hex digits, in C


@dataclass(slots=True, eq=False)
class Sheet:
    """One table: the columns that are seeded (the others keep their default, or null) and the rows that wait.

    A row is a tuple in the order of `columns`, the workspace first.
    """

    table: str
    columns: tuple[str, ...]
    mark: str
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    made: int = 0
    copied: int = 0

    def new_id(self) -> str:
        """Return the next id of this table: a UUIDv7 of the company's first day, a millisecond after the one before.

        Ids come in the order of writing, not of what the rows tell, as they would from an import: so every index on
        them grows at its right edge, which saves Postgres a tenth of its time. `mark` says which table and
        which workspace.
        """
        self.made += 1
        return f"{_FIRST_MS + self.made:012x}{self.mark}{self.made:08x}"


Batch = Sequence[tuple[Sheet, list[tuple[Any, ...]]]]
"""Rows by table, in the order in which they are written."""


class Sheets:
    """All tables that are seeded, in the order of their opening: a table is opened after those it refers to."""

    def __init__(self, workspace_id: str, key: str) -> None:
        self.workspace_id = workspace_id
        self._digest = hashlib.sha256(key.encode()).hexdigest()[:7]
        self.all: list[Sheet] = []

    def open(self, model: type[Base], *columns: str) -> Sheet:
        """Add a table. Raises KeyError for a column that it does not have."""
        table = table_of(model)
        for column in columns:
            table.columns[column]
        mark = f"7{len(self.all) + 1:03x}8{self._digest}"
        sheet = Sheet(table.name, ("workspace_id", *columns), mark)
        self.all.append(sheet)
        return sheet

    def take(self) -> Batch:
        """Return what waits, table by table, and wait for more."""
        taken = []
        for sheet in self.all:
            if sheet.rows:
                taken.append((sheet, sheet.rows))
                sheet.rows = []
        return taken


async def copy(connection: asyncpg.Connection[Any], batch: Batch) -> None:
    """Write a batch, table by table."""
    for sheet, rows in batch:
        await connection.copy_records_to_table(sheet.table, columns=sheet.columns, records=rows)
        sheet.copied += len(rows)
