"""Orders and pages by brute force: rows sorted by what may be read of them in clear, and cut."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cmp_to_key, partial
from typing import Any

from tests.permissions.oracle.documents import OrderKey, Page, Position
from tests.permissions.oracle.filters import check_comparable
from tests.permissions.oracle.kinds import Field, Kind, kinds
from tests.permissions.oracle.sight import Sight
from tests.permissions.oracle.world import Row

Values = tuple[Any, ...]


def check_order(sight: Sight, kind: Kind, order: Sequence[OrderKey]) -> None:
    """Raise Withheld for an order by a hidden field. Of rows that do not exist, nothing beyond an edge is looked at."""
    for key in order:
        if key.edge is None:
            check_comparable(sight, kind, key.each)
        elif sight.reads(kind):
            check_comparable(sight, kind, key.edge)
            check_comparable(sight, kinds()[key.edge.target], key.each)


def sort_values(sight: Sight, kind: Kind, row: Row, order: Sequence[OrderKey]) -> Values:
    """Return what a row sorts by; the id is always the last."""
    values: list[Any] = []
    for key in order:
        of, at = kind, row
        if key.edge is not None:
            found = sight.edge(kind, row, key.edge)
            if found is None:
                values.append(None)
                continue
            of, at = kinds()[key.edge.target], found
        values.append(_sortable(key.each, sight.clear(of, at, key.each, key.column)))
    return (*values, row["id"])


def _sortable(each: Field, value: Any) -> Any:
    """Return what a value sorts by: text in any case and as Chinese readers expect, which is the order of GB 18030."""
    return value.lower().encode("gb18030") if isinstance(value, str) and each.of != "id" else value


def compare(order: Sequence[OrderKey], left: Values, right: Values) -> int:
    """Return where `left` stands: below zero before `right`, above zero after it."""
    for index, (one, other) in enumerate(zip(left, right, strict=True)):
        key = order[index] if index < len(order) else None
        if one == other:
            continue
        if one is None or other is None:
            first = key is not None and key.nulls_first
            return -1 if (one is None) == first else 1
        ascending = -1 if one < other else 1
        return -ascending if key is not None and key.descending else ascending
    return 0


def cut(
    sight: Sight, page: Page, rows: Sequence[Row], position: Position | None
) -> tuple[list[tuple[Row, Values]], bool, bool]:
    """Return the rows of a page with their sort values, and whether more follow and precede.

    Behind a cursor there is something before, whatever that is by now; before one, something behind.
    """
    order, by_values = page.order, cmp_to_key(partial(compare, page.order))
    found = [(row, sort_values(sight, page.kind, row, order)) for row in rows]
    found.sort(key=lambda each: by_values(each[1]))
    if position is not None:
        side = -1 if page.backward else 1
        found = [each for each in found if compare(order, each[1], position.values) * side > 0]
    size = page_size(page)
    more = len(found) > size
    if page.backward:
        return (found[-size:] if size else []), position is not None, more
    return found[:size], more, position is not None


def page_size(page: Page) -> int:
    """Return how many rows a page has at most: 50 at a root and 10 below, unless said otherwise."""
    if page.size is not None:
        return page.size
    return 10 if "." in page.place else 50
