"""Amounts that rows keep in the workspace's base currency too, said beside the model.

    __valued__ = Valued("amount", fixed_on=lambda get, zone: get("closed_on") if get("status") != "OPEN" else None)

Such a row keeps, beside the amount, what it comes to in the base currency, at which rate, and the day whose rate that
is. Until it is fixed that is the day of its last change; from then on the day that fixed it, and no later rate changes
what was closed.

Decided in D-work-08 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from crm_graph.db.currencies import rounded

RATE, RATE_ON, CURRENCY = "rate", "rate_on", "currency"


@dataclass(frozen=True, slots=True)
class Valued:
    """Of which amount a row keeps the base amount, and where; `fixed_on` returns the day whose rate counts for good, of
    a row's values and the workspace's time zone, or None while it is open."""

    amount: str
    fixed_on: Callable[[Callable[[str], Any], ZoneInfo], date | None]

    @property
    def base(self) -> str:
        """The column of the amount in the base currency."""
        return f"base_{self.amount}"

    @property
    def columns(self) -> tuple[str, str, str]:
        """The columns that follow from the others."""
        return self.base, RATE, RATE_ON

    def asks(self, before: Callable[[str], Any] | None, get: Callable[[str], Any], zone: ZoneInfo) -> bool:
        """Return whether the base amount is to be found anew: of a new row, and of one whose amount, currency or fixed
        day is another one than `before`."""
        if before is None:
            return True
        changed = any(before(name) != get(name) for name in (self.amount, CURRENCY))
        return changed or self.fixed_on(before, zone) != self.fixed_on(get, zone)

    def at(self, amount: Decimal | None, rate: Decimal | None, day: date, base_currency: str) -> Mapping[str, Any]:
        """Return the values of its `columns`: none without an amount, and none without a rate."""
        if amount is None or rate is None:
            return dict.fromkeys(self.columns)
        return {self.base: rounded(amount * rate, base_currency), RATE: rate, RATE_ON: day}
