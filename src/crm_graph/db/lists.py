"""What lists of a table are ordered, found and searched by: declared by the indexes that serve it.

    __table_args__ = (
        ordered_by("customer", "name", Text),
        ordered_by("ticket", "priority", TicketPriority),
        ordered_by("opportunity", "expected_close", within="status"),
        found_by("contact", "email"),
        searched("customer", "name", "email"),
    )

The orders that the API offers are those that are declared here (D-graph-22), of a table that is not `__few__`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from functools import cache, reduce
from typing import Any

from sqlalchemy import Index, Table, text

ORDERED, SEARCHED = "ordered", "searched"
"""What the `info` of an index says that it is for: the column that it orders by, the columns that it searches."""
FOLDED = "lower(normalize({}, NFKC))"
"""What texts are compared as: neither case counts, nor the width or the composition of letters."""
STORED, WITHIN, AT_START = 0, 1, 2
"""Whose pairs of letters `crm_grams` makes: of a text that is stored, of one that is looked for in it, at its start."""


class Text:
    """Says of a column that it is a text: `crm_order_key` orders it (`db/order_keys.py`)."""


def ordered_by(table: str, column: str, of: type | None = None, *, within: str | None = None) -> Index:
    """Return an index that serves `orderBy` of a column, the id last; because of it the order is offered.

    `of` is `Text` for a text, and the enum for a choice, which stands by its rank. `within` is a column that such lists
    are filtered by at the same time.
    """
    expression: Any = column
    if of is Text:
        expression = text(f"crm_order_key({column})")
    elif of is not None and issubclass(of, Enum):
        expression = text(f"array_position({ranking(str(each.value) for each in of)}, {column})")
    leading = [] if within is None else [within]
    name = "_".join(("ix", table, *leading, column, *(() if leading else ("ordered",))))
    return Index(name, "workspace_id", *leading, expression, "id", info={ORDERED: column})


def ranking(values: Iterable[str]) -> str:
    """Return choices as a list in SQL, the lowest first."""
    return f"'{{{','.join(values)}}}'::text[]"


def found_by(table: str, column: str) -> Index:
    """Return an index that finds texts which equal another one when both are folded."""
    return Index(f"ix_{table}_{column}_found", "workspace_id", text(FOLDED.format(column)), "id")


def searched(table: str, *columns: str) -> Index:
    """Return the index that serves `contains` and `startsWith` of some texts: one over the pairs of letters of all of
    them, which are marked with their workspace and their column (`crm_grams`)."""
    return Index(
        f"ix_{table}_searched", text(grams_of(columns)), postgresql_using="gin", info={SEARCHED: tuple(columns)}
    )


def grams_of(columns: Sequence[str]) -> str:
    """Return the pairs of letters of all texts of a row in SQL, as Postgres spells it."""
    each = [f"crm_grams(workspace_id, '{place}'::text, {column}, {STORED})" for place, column in enumerate(columns)]
    return f"({reduce(lambda found, grams: f'({found} || {grams})', each)})"


@cache
def orders_of(table: Table) -> frozenset[str]:
    """Return the columns of a table that an index orders by."""
    return frozenset(each.info[ORDERED] for each in table.indexes if ORDERED in each.info)


@cache
def searched_in(table: Table) -> tuple[str, ...]:
    """Return the columns of a table whose texts an index searches, in its order."""
    return next((each.info[SEARCHED] for each in table.indexes if SEARCHED in each.info), ())


GRAMS_FUNCTION = """
CREATE FUNCTION crm_grams(uuid, text, text, int) RETURNS text[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  folded text := lower(normalize($3, NFKC));
  mark text := right($1::text, 6) || $2;
  before text := CASE WHEN $4 <> 1 THEN '^' END;
  alone boolean := $4 = 0 OR ($4 = 1 AND length(folded) = 1);
  letter text;
  grams text[] := '{}';
BEGIN
  FOREACH letter IN ARRAY string_to_array(folded, NULL) LOOP
    IF before IS NOT NULL THEN
      grams := grams || (mark || before || letter);
    END IF;
    IF alone AND octet_length(letter) > 1 THEN
      grams := grams || (mark || letter);
    END IF;
    before := letter;
  END LOOP;
  RETURN grams;
END $$
"""
"""Makes the pairs of letters of a text, `^` before the first of one that is stored, and the letters that are no ASCII
alone: `3f2a1c0` is the mark, `3f2a1c0^上`, `3f2a1c0上`, `3f2a1c0上海`, `3f2a1c0海` are the grams of 上海."""
