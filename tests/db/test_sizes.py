"""Every text, list and JSON of a table has a declared size, and none in an index is longer than an entry takes."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import ARRAY, JSON, Column, MetaData, String, Table, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB

import crm_graph.api.schema  # noqa: F401 - so that every table of a slice is in the metadata
from crm_graph.db.base import Base
from crm_graph.db.lists import SEARCHED
from crm_graph.db.sizes import Items, JsonBytes, Letters, SizedText, size_of

HELD_BY_THEIR_ROWS = {"event.changes", "event.data"}
"""What the log says of a change: the values of sized columns, written by the unit of work alone."""
ENTRY_BYTES, LETTER_BYTES = 2_700, 4


def unsized(tables: Any) -> list[str]:
    """Return the columns that hold as much as somebody sends."""
    return [
        f"{table.name}.{column.name}"
        for table in tables
        for column in table.columns
        if isinstance(column.type, String | ARRAY | JSON | JSONB) and size_of(column) is None
    ]


def test_every_column_says_how_much_it_holds() -> None:
    assert set(unsized(Base.metadata.sorted_tables)) == HELD_BY_THEIR_ROWS
    assert sum(size_of(column) is not None for table in Base.metadata.sorted_tables for column in table.columns) > 150


def test_one_that_does_not_is_found() -> None:
    table = Table(
        "note", MetaData(), Column("a", Text), Column("b", SizedText(5)), Column("c", JSONB), Column("d", ARRAY(Text))
    )
    assert unsized([table]) == ["note.a", "note.c", "note.d"]


def test_texts_fit_into_their_indexes() -> None:
    """Whatever letters they are of; else Postgres refuses a row that our sizes have let through."""
    for table in Base.metadata.sorted_tables:
        unique = [each for each in table.constraints if isinstance(each, UniqueConstraint)]
        keys = [{column.name for column in each.columns} for each in unique]
        keys += [
            set(re.findall(r"\w+", " ".join(map(str, each.expressions))))
            for each in table.indexes
            if SEARCHED not in each.info
        ]
        for key in keys:
            sizes = [size for column in table.columns if column.name in key and (size := size_of(column)) is not None]
            letters = sum(size.letters for size in sizes if isinstance(size, Letters))
            assert LETTER_BYTES * letters < ENTRY_BYTES, f"{table.name}: {key}"


@pytest.mark.parametrize(
    ("size", "value", "faults"),
    [
        (Letters(3), "abc", []),
        (Letters(3), "名名🚀", []),
        (Letters(3), "abcd", [((), "has 4 letters: 3 is the most")]),
        (Items(2, Letters(2)), ["ab", "c"], []),
        (Items(2, Letters(2)), ["ab", "cde"], [(("1",), "has 3 letters: 2 is the most")]),
        (Items(2), [{}, {}, {}], [((), "has 3 items: 2 is the most")]),
        (JsonBytes(7), {"a": 1}, []),
        (JsonBytes(7), {"a": "名"}, [((), "has 11 bytes as JSON: 7 is the most")]),
    ],
)
def test_what_is_longer_is_said(size: Letters | Items | JsonBytes, value: Any, faults: list[Any]) -> None:
    assert list(size.faults(value)) == faults
