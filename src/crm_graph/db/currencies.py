"""Currencies of ISO 4217, their minor units, and the one rule by which amounts are rounded.

An amount has the digits of its currency: two for most, none for JPY, three for KWD. What is sent with more is refused;
what is computed (the total of a line, a discount, an amount in the base currency) is rounded to them, half up, as an
invoice does. The price of one unit may be finer: it keeps four digits. Totals are sums of what was rounded, so that a
document adds up by hand.

Decided in D-db-19 (ARCHITECTURE.md). Source of the codes: the table of ISO 4217's maintenance agency, in the package
`iso4217`.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_HALF_UP, Decimal
from functools import cache

from iso4217 import Currency

from crm_graph.kernel.money import AMOUNT_SCALE

USUAL_UNITS = 2
"""Minor units of a currency that ISO 4217 does not know: a row may be older than the rule."""


@cache
def _units() -> Mapping[str, int]:
    return {str(each.code): each.exponent for each in Currency if each.exponent is not None}


def is_currency(code: str) -> bool:
    """Return whether amounts can be in a currency: ISO 4217 knows it, and says its minor units. Gold has none."""
    return code in _units()


def minor_units(code: str) -> int:
    """Return how many digits after the point amounts in a currency have."""
    return _units().get(code, USUAL_UNITS)


def rounded(amount: Decimal, code: str) -> Decimal:
    """Return an amount rounded half up to the minor units of its currency, with the scale of the columns: what is
    stored is what was shown."""
    in_units = amount.quantize(Decimal(1).scaleb(-minor_units(code)), rounding=ROUND_HALF_UP)
    return in_units.quantize(Decimal(1).scaleb(-AMOUNT_SCALE))
