"""Money: the bounds and the rounding of amounts, and what a currency code looks like (ISO 4217)."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal

CURRENCY = re.compile(r"[A-Z]{3}\Z")
AMOUNT_DIGITS = 18
"""Digits that an amount may have in all; `AMOUNT_SCALE` of them after the point. As the columns are declared."""
AMOUNT_SCALE = 4

MAX_AMOUNT = Decimal(10) ** (AMOUNT_DIGITS - AMOUNT_SCALE)
"""Amounts lie below this."""


def scaled(amount: Decimal) -> Decimal:
    """Return the amount with the scale of the columns; one that is more exact as it is, for its column to refuse."""
    rounded = round_amount(amount)
    return rounded if rounded == amount else amount


def round_amount(amount: Decimal) -> Decimal:
    """Return the amount with the scale of the columns, half to even, so that what is stored is what was shown."""
    return amount.quantize(Decimal(1).scaleb(-AMOUNT_SCALE), rounding=ROUND_HALF_EVEN)
