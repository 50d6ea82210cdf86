"""Money: the bounds of amounts, and what a currency code looks like.

Which currencies there are, and how amounts in them are rounded, `db/currencies.py` says.
"""

from __future__ import annotations

import re
from decimal import Decimal

CURRENCY = re.compile(r"[A-Z]{3}\Z")
AMOUNT_DIGITS = 18
"""Digits that an amount may have in all; `AMOUNT_SCALE` of them after the point. As the columns are declared."""
AMOUNT_SCALE = 4
BASE_DIGITS = 28
"""Digits of an amount in the base currency, which may be one of small money: a rate is up to ten digits."""
RATE_DIGITS, RATE_SCALE = 20, 10
"""The same of exchange rates."""

MAX_AMOUNT = Decimal(10) ** (AMOUNT_DIGITS - AMOUNT_SCALE)
"""Amounts lie below this."""


def scaled(amount: Decimal) -> Decimal:
    """Return the amount with the scale of the columns; one that is more exact as it is, for its column to refuse."""
    of_columns = amount.quantize(Decimal(1).scaleb(-AMOUNT_SCALE))
    return of_columns if of_columns == amount else amount
