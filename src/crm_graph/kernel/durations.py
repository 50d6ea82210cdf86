"""How long things took: counted in fixed buckets, in a plain list, for the histograms of `/metrics`."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper ends of the buckets, in seconds; there is one more behind the last."""


@dataclass(slots=True)
class Durations:
    """How often something took how long."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))
    """By bucket, each without those before it."""
    seconds: float = 0.0
    """All of them added."""

    def add(self, seconds: float) -> None:
        """Count a duration: 0.2 us."""
        self.counts[bisect_left(BOUNDS_S, seconds)] += 1
        self.seconds += seconds

    def cumulative(self) -> list[tuple[str, int]]:
        """Return how many took at most how long, as Prometheus asks for it: `le`, and the count up to there."""
        total, buckets = 0, []
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), self.counts, strict=True):
            total += count
            buckets.append((bound, total))
        return buckets
