"""Which amounts of a table are in which of its currencies, and those that have more digits than their currency."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Table

from crm_graph.db.base import IN_MINOR_UNITS, OF_CURRENCY
from crm_graph.db.currencies import minor_units, rounded
from crm_graph.db.rules import currencies_of


@cache
def _amounts_of(table: Table) -> Sequence[tuple[str, str]]:
    """Return the amounts of a table, each with the column of its currency: that which `in_currency` says, or the one
    that there is."""
    said = {amount: currency for currency, amounts in currencies_of(table).items() for amount in amounts}
    only = next((column.name for column in table.c if OF_CURRENCY in column.info), None)
    named = ((column.name, said.get(column.name, only)) for column in table.c if IN_MINOR_UNITS in column.info)
    return tuple((amount, currency) for amount, currency in named if currency is not None)


def too_fine_of(table: Table, get: Callable[[str], Any]) -> Iterator[tuple[str, str, str]]:
    """Yield each amount that has more digits than its currency, with the column of that, and what is wrong as the end
    of a sentence; `get` returns values."""
    for amount, currency in _amounts_of(table):
        value, code = get(amount), get(currency)
        if value is not None and code is not None and value != rounded(value, code):
            digits = minor_units(code)
            yield amount, currency, f"has more than {digits} digits after the point, as {code} has"
