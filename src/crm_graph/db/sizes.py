"""How much a value may hold, and column types that say it: what a column holds is declared once, where it is declared.

Everything reads it there: inputs and imports refuse what is longer, the unit of work refuses what came another way, the
schema prints it, and the cost of an operation is counted by it. In Postgres these are plain `text`, `text[]` and
`jsonb`: a size can be changed without touching a row, and rows that are longer than it by now stay readable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Any

import orjson
from sqlalchemy import ARRAY, Column, Numeric, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from crm_graph.kernel.money import AMOUNT_SCALE

LINE = 500
"""Letters of a text that nothing else is said of. It fits into an index: an entry holds 2,700 bytes, a letter takes up
to four."""

SIZE_KEY = "crm_graph.size"
"""Where the metadata of a GraphQL field or argument that is no column says its size."""

Fault = tuple[tuple[str, ...], str]
"""Where below a value, and what is wrong there, as the end of a sentence: `(("3",), "has 501 letters: ...")`."""


@dataclass(frozen=True, slots=True)
class Letters:
    """A text of so many letters at most, counted as Unicode code points."""

    at_most: int

    @property
    def letters(self) -> int:
        """Letters of the longest value."""
        return self.at_most

    def __str__(self) -> str:
        return f"At most {self.at_most:,} letters."

    def faults(self, value: Any) -> Iterator[Fault]:
        """Yield what is wrong with a text."""
        if len(value) > self.at_most:
            yield (), f"has {len(value):,} letters: {self.at_most:,} is the most"


@dataclass(frozen=True, slots=True)
class Items:
    """A list of so many items at most; `each` is the size of an item that is a text."""

    at_most: int
    each: Letters | None = None

    @property
    def letters(self) -> int:
        """Letters of the longest value."""
        return self.at_most * (self.each.at_most if self.each is not None else 0)

    def __str__(self) -> str:
        inner = f", each of at most {self.each.at_most:,} letters" if self.each is not None else ""
        return f"At most {self.at_most:,} items{inner}."

    def faults(self, value: Any) -> Iterator[Fault]:
        """Yield what is wrong with a list."""
        if len(value) > self.at_most:
            yield (), f"has {len(value):,} items: {self.at_most:,} is the most"
        elif self.each is not None:
            for index, item in enumerate(value):
                for _, reason in self.each.faults(item):
                    yield (str(index),), reason


@dataclass(frozen=True, slots=True)
class JsonBytes:
    """A JSON value of so many bytes at most, written without spaces, in UTF-8."""

    at_most: int

    @property
    def letters(self) -> int:
        """Letters that a value is taken to have: a quarter, since JSON has room for all that may be said, and holds
        what was."""
        return self.at_most // 4

    def __str__(self) -> str:
        return f"At most {self.at_most:,} bytes as JSON."

    def faults(self, value: Any) -> Iterator[Fault]:
        """Yield what is wrong with a value."""
        size = len(orjson.dumps(value, default=str))
        if size > self.at_most:
            yield (), f"has {size:,} bytes as JSON: {self.at_most:,} is the most"


Size = Letters | Items | JsonBytes


class SizedText(Text):
    """`text` of a declared size."""

    cache_ok = True

    def __init__(self, at_most: int = LINE) -> None:
        super().__init__()
        self.at_most = at_most

    @property
    def size(self) -> Letters:
        """How much a value may hold."""
        return Letters(self.at_most)


class SizedList(ARRAY[str]):
    """`text[]` of a declared number of items of a declared size."""

    cache_ok = True

    def __init__(self, at_most: int = 100, letters: int = LINE) -> None:
        super().__init__(Text)
        self.at_most, self.letters = at_most, letters

    @property
    def size(self) -> Items:
        """How much a value may hold."""
        return Items(self.at_most, Letters(self.letters))


class SizedJson(JSONB):
    """`jsonb` of a declared size."""

    cache_ok = True

    def __init__(self, at_most: int, *, none_as_null: bool = False) -> None:
        super().__init__(none_as_null=none_as_null)
        self.at_most = at_most

    @property
    def size(self) -> JsonBytes:
        """How much a value may hold."""
        return JsonBytes(self.at_most)


def size_of(column: Column[Any]) -> Size | None:
    """Return how much a column may hold; None for one whose type bounds it."""
    type_ = column.type
    return type_.size if isinstance(type_, SizedText | SizedList | SizedJson) else None


def digits_of(column: Column[Any]) -> tuple[int | None, Decimal | None]:
    """Return how many digits the numbers of a column may have after the point, and what they are less than; None for a
    column of no exact numbers, or one that does not say how many digits they have."""
    of = column.type
    if not isinstance(of, Numeric) or not of.asdecimal:
        return None, None
    scale = AMOUNT_SCALE if of.scale is None else of.scale
    return scale, None if of.precision is None else Decimal(10) ** (of.precision - scale)


@cache
def sizes_of(table: Table) -> Mapping[str, Size]:
    """Return the sizes of a table's columns, by name."""
    return {column.name: size for column in table.columns if (size := size_of(column)) is not None}
