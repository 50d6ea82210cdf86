"""What a process keeps is bounded, and a new value takes the place of the oldest, not of all."""

from __future__ import annotations

import pytest

from crm_graph.kernel.caches import RecentCache


class Maker:
    """A cache, and what was made for it."""

    def __init__(self, size: int) -> None:
        self.cache: RecentCache[str, str | None] = RecentCache(size)
        self.made: list[str] = []

    def get(self, name: str, value: str | None) -> str | None:
        """Return what is kept under a name, or this value, which is then made."""

        def make() -> str | None:
            self.made.append(name)
            return value

        return self.cache.get(name, make)


def test_the_one_not_used_for_longest_makes_room() -> None:
    maker = Maker(2)
    assert [maker.get(name, name.upper()) for name in "abacab"] == [*"ABACAB"]
    assert maker.made == [*"abcb"], "`a` stayed when `c` came, since `b` had been asked for before it"
    assert len(maker.cache) == 2


def test_what_is_nothing_is_kept_too() -> None:
    maker = Maker(2)
    assert [maker.get("a", None) for _ in range(3)] == [None] * 3
    assert maker.made == ["a"]


def test_what_cannot_be_made_is_not_kept() -> None:
    cache: RecentCache[str, float] = RecentCache(2)
    with pytest.raises(ZeroDivisionError):
        cache.get("a", lambda: 1 / 0)
    assert len(cache) == 0
    assert cache.get("a", lambda: 2.0) == 2
