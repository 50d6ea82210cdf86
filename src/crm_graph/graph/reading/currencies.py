"""The SQL of measures over amounts in several currencies: there is none, and which currencies they are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, String, and_, case, cast, func
from sqlalchemy.dialects.postgresql import aggregate_order_by, array

from crm_graph.graph.reading.views import View
from crm_graph.kernel.errors import Forbidden

CURRENCIES = "currencies"
MOST_CURRENCIES = 200
"""ISO 4217 has fewer."""


def in_one_currency(
    measured: ColumnElement[Any],
    amount: ColumnElement[Any],
    currency: ColumnElement[Any],
    only: ColumnElement[bool] | None = None,
) -> ColumnElement[Any]:
    """Return a measure of an amount where all amounts that it is of, of the rows where `only` holds, are in one
    currency, else null."""
    some = amount.is_not(None) if only is None else and_(amount.is_not(None), only)
    return case((func.min(currency).filter(some) == func.max(currency).filter(some), measured))


def currencies_of(view: View, amounts: Sequence[str], only: ColumnElement[bool] | None = None) -> ColumnElement[Any]:
    """Return the currencies of the amounts of a group, given by their keys, of those that may be read and, with `only`,
    of the rows where that holds. Raises Forbidden where none may be read."""
    listed: list[ColumnElement[Any]] = []
    refused = None
    for key in amounts:
        try:
            amount = view.comparable(key, "list the currencies of")
            currency = view.comparable(f"{key}.currency", "list the currencies of")
            listed.append(case((amount.is_not(None), currency)))
        except Forbidden as forbidden:
            refused = refused or forbidden
    if refused is not None and not listed:
        raise refused
    of_row = func.coalesce(*listed, type_=String())
    some = of_row.is_not(None) if only is None else and_(of_row.is_not(None), only)
    of_group = func.array_agg(aggregate_order_by(of_row.distinct(), of_row)).filter(some)
    return func.coalesce(of_group, cast(array([]), ARRAY(String())), type_=ARRAY(String()))
