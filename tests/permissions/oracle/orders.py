"""Orders and pages by brute force: rows sorted by what may be read of them in clear, and cut."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, cmp_to_key, partial
from typing import Any
from unicodedata import combining, normalize

from pypinyin import Style, lazy_pinyin

from tests.permissions.oracle.documents import OrderKey, Page, Position
from tests.permissions.oracle.filters import check_comparable
from tests.permissions.oracle.kinds import Kind
from tests.permissions.oracle.sight import Sight
from tests.permissions.oracle.world import Row

Values = tuple[Any, ...]


def check_order(sight: Sight, kind: Kind, order: Sequence[OrderKey]) -> None:
    """Raise Withheld for an order by a hidden field."""
    for key in order:
        check_comparable(sight, kind, key.each)


def sort_values(sight: Sight, kind: Kind, row: Row, order: Sequence[OrderKey]) -> Values:
    """Return what a row sorts by; the id is always the last."""
    values = (_sortable(key, sight.clear(kind, row, key.each, key.column)) for key in order)
    return (*values, row["id"])


def _sortable(key: OrderKey, value: Any) -> Any:
    """Return what a value sorts by: an enum by its rank, text by the letters without their diacritics, Han characters
    behind all others by pinyin, tone and code point."""
    if not isinstance(value, str) or key.each.of == "id":
        return value
    if key.each.of == "enum" and not key.column:
        return key.each.values.index(value)
    folded = normalize("NFKC", value).lower()
    bare = "".join(each for each in normalize("NFKD", folded) if not combining(each))
    return tuple(_letter(each) for each in bare), folded


@cache
def _letter(letter: str) -> tuple[Any, ...]:
    if not "\u3400" <= letter <= "\u9fff":
        return 0, letter, "", 0
    (reading,) = lazy_pinyin(letter, style=Style.TONE3, neutral_tone_with_five=True)
    return 1, reading[:-1], reading[-1], ord(letter)


def compare(order: Sequence[OrderKey], left: Values, right: Values) -> int:
    """Return where `left` stands: below zero before `right`, above zero after it."""
    for index, (one, other) in enumerate(zip(left, right, strict=True)):
        key = order[index] if index < len(order) else None
        last = key or (order[-1] if order else None)
        if one == other:
            continue
        if one is None or other is None:
            first = key is not None and key.nulls_first
            return -1 if (one is None) == first else 1
        ascending = -1 if one < other else 1
        return -ascending if last is not None and last.descending else ascending
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
