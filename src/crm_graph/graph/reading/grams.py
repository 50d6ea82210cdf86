"""Texts that are looked for by the index over the pairs of their letters (`db.lists.searched`).

What a filter asks for is asked as it is; beside it, `skeleton` says what the index can say of it: a row that matches
has all the pairs of letters of the text that is looked for. Where that leaves few rows the index finds them; a text
that many rows have is found sooner by reading a list in its order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from unicodedata import normalize

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    String,
    and_,
    bindparam,
    func,
    literal_column,
    or_,
)

from crm_graph.db.lists import AT_START, STORED, WITHIN, searched_in
from crm_graph.graph.records.record import Record
from crm_graph.permissions.policy import workspace

AT_STARTS = "startsWith"
Form = tuple[Any, ...]


def has_grams(operator: str, text: str) -> bool:
    """Return whether a text that is looked for has a pair of letters, or a letter that is looked for alone."""
    folded = normalize("NFKC", text)
    return len(folded) > 1 or (len(folded) == 1 and (operator == AT_STARTS or not folded.isascii()))


def skeleton(form: Form, sought: Mapping[str, str], record: Record) -> Form | None:
    """Return what the index of a record's texts says of the form of a filter; None for nothing. `sought` are the binds
    of the texts, by those of the patterns made of them."""
    match form:
        case ("and", *parts):
            said = [part for each in parts if (part := skeleton(each, sought, record)) is not None]
            return ("and", *said) if said else None
        case ("or", *parts):
            every = [skeleton(each, sought, record) for each in parts]
            return ("or", *every) if every and None not in every else None
        case ("leaf", key, operator, pattern) if pattern in sought:
            column = record.columns[key].column
            return ("grams", column, operator, sought[pattern]) if column in searched_in(record.table) else None
    return None


def has_all(form: Form, rows: FromClause, table_columns: Sequence[str]) -> ColumnElement[bool]:
    """Return the SQL of a skeleton over rows of a table, whose index searches these columns."""
    match form:
        case ("and", *parts):
            return and_(*(has_all(part, rows, table_columns) for part in parts))
        case ("or", *parts):
            return or_(*(has_all(part, rows, table_columns) for part in parts))
        case ("grams", column, operator, name):
            of = ARRAY(String)
            stored: Any = None
            for place, each in enumerate(table_columns):
                grams = func.crm_grams(
                    rows.c.workspace_id,
                    literal_column(f"'{place}'"),
                    rows.c[each],
                    literal_column(str(STORED)),
                    type_=of,
                )
                stored = grams if stored is None else stored + grams
            how = AT_START if operator == AT_STARTS else WITHIN
            mark: Any = literal_column(f"'{table_columns.index(column)}'")
            asked = func.crm_grams(workspace(), mark, bindparam(name, type_=String), literal_column(str(how)), type_=of)
            found: ColumnElement[bool] = stored.op("@>", is_comparison=True)(asked)
            return found
    raise AssertionError(f"unknown skeleton {form}")
