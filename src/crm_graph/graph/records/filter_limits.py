"""The bounds of filters."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FilterLimits:
    """Bounds of one `where`; a `having` beside it is counted with it."""

    leaves: int = 100
    objects: int = 200
    """Every `{}` counts, even an empty one: each is a part of the SQL text, and an edge's is a subquery."""
    depth: int = 5
    list_items: int = 500
    pattern_letters: int = 200
    """Of `contains` and `startsWith`: a row of 20,000 letters is compared with a pattern at each of them."""
    letters: int = 20_000
    """Of all texts that a filter compares with, together."""
    per_operation: int = 1_000
    """The work of all filters of an operation together: a variable can stand in a hundred places, and each place's
    statement is compiled before the loop can turn to another request."""
