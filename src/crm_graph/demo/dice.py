"""Chance that is the same every time."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Dice(Random):
    """A seeded generator with the three throws that are needed; `randrange` and `choice` take three times as long."""

    def pick(self, items: Sequence[T]) -> T:
        """Return one of the items; repeat one to make it likelier."""
        return items[int(self.random() * len(items))]

    def between(self, low: int, high: int) -> int:
        """Return a number from `low` up to, not including, `high`; `low` where there is none."""
        return low + int(self.random() * (high - low)) if high > low else low

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.random() < probability


def spread(dice: Dice, pattern: Sequence[int], count: int) -> list[int]:
    """Return how many of something each of `count` customers has: unevenly, as in life, and exact in all.

    Groups of `len(pattern)` customers share out the pattern; what is left over has its mean each.
    """
    size = len(pattern)
    mean, rest = divmod(sum(pattern), size)
    assert rest == 0, "the mean of a pattern is a whole number"
    shares: list[int] = []
    while len(shares) + size <= count:
        group = list(pattern)
        dice.shuffle(group)
        shares += group
    return shares + [mean] * (count - len(shares))
