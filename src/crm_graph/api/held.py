"""Counts what each holder has open: the sockets of an address, the streams of a member."""

from __future__ import annotations

from collections.abc import Hashable


class Held:
    """Counts by holder; who holds none takes no room."""

    __slots__ = ("_held", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self._held: dict[Hashable, int] = {}

    def take(self, holder: Hashable) -> bool:
        """Count one more, unless the holder has as many as there may be."""
        count = self._held.get(holder, 0)
        if count >= self.most:
            return False
        self._held[holder] = count + 1
        return True

    def give(self, holder: Hashable) -> None:
        """Count one less."""
        count = self._held[holder] - 1
        if count:
            self._held[holder] = count
        else:
            del self._held[holder]

    def __len__(self) -> int:
        return len(self._held)
