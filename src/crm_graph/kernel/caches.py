"""Caches that are bounded by memory or by number, and drop the entry that was not used for longest."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ByteCache(Generic[K, V]):
    """The most recently used values whose sizes, as the caller gives them, sum up to no more than `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self.evictions = 0
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def values(self) -> list[V]:
        """Return the values, the most recently used one last."""
        return [value for value, _ in self._entries.values()]

    def get(self, key: K) -> V | None:
        """Return the value under a key, or None."""
        found = self._entries.get(key)
        if found is None:
            return None
        self._entries.move_to_end(key)
        return found[0]

    def put(self, key: K, value: V, size: int) -> None:
        """Keep a value of `size` bytes, dropping the least recently used ones. A value larger than all is not kept."""
        self.drop(key)
        if size > self.max_bytes:
            return
        self._entries[key] = value, size
        self.bytes += size
        while self.bytes > self.max_bytes:
            _, (_, dropped) = self._entries.popitem(last=False)
            self.bytes -= dropped
            self.evictions += 1

    def drop(self, key: K) -> None:
        """Forget a key, if it is there."""
        found = self._entries.pop(key, None)
        if found is not None:
            self.bytes -= found[1]


class RecentCache(Generic[K, V]):
    """The most recently used values, at most `max_entries` of them."""

    def __init__(self, max_entries: int) -> None:
        self.max_entries = max_entries
        self._entries: OrderedDict[K, V] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return the value under a key; one that is not there is made, and kept in the place of the oldest."""
        try:
            self._entries.move_to_end(key)
        except KeyError:
            value = self._entries[key] = make()
            if len(self._entries) > self.max_entries:
                self._entries.popitem(last=False)
            return value
        return self._entries[key]
