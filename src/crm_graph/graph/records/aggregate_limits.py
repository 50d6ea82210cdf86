"""The bounds of aggregates."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AggregateLimits:
    """Bounds of one aggregate."""

    groups: int = 1_000
    """Groups of an answer; of more, it is refused, or cut where it asks for the first of them."""
    keys: int = 5
    order_keys: int = 3
    least_rows: int = 5
    """Values that may not be read and are in a sum together, at least, for it to be told (the level MEASURE)."""
