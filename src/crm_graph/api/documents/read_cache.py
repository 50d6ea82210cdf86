"""A cache of what is read elsewhere, bounded by the memory it takes, for what many requests share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from crm_graph.kernel.caches import ByteCache

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ReadCache(Generic[K, V]):
    """Values read elsewhere, each for `max_age_s` seconds; None, what is not there, for `max_absence_s`.

    What is absent has an eighth of the room, of its own: asking for nonsense pushes nothing out that is there. However
    many ask for a key at once, it is read once.
    """

    def __init__(
        self,
        max_bytes: int,
        max_age_s: float,
        max_absence_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._present: ByteCache[K, tuple[V, float]] = ByteCache(max_bytes - max_bytes // 8)
        self._absent: ByteCache[K, float] = ByteCache(max_bytes // 8)
        self._max_age_s = max_age_s
        self._max_absence_s = max_absence_s
        self._clock = clock
        self._reading: dict[K, asyncio.Future[V | None]] = {}

    @property
    def bytes(self) -> int:
        """How many bytes are held."""
        return self._present.bytes + self._absent.bytes

    def peek(self, key: K) -> tuple[bool, V | None]:
        """Return whether it is known what is under a key, and that; without reading, so without waiting."""
        now = self._clock()
        entry = self._present.get(key)
        if entry is not None and now < entry[1]:
            return True, entry[0]
        until = self._absent.get(key)
        return until is not None and now < until, None

    async def get(self, key: K, size: int, read: Callable[[], Awaitable[tuple[V, int] | None]]) -> V | None:
        """Return the value under a key, read if need be. `size` is the key's; `read` returns the value's with it."""
        known, value = self.peek(key)
        if known:
            return value
        running = self._reading.get(key)
        if running is None:
            running = self._reading[key] = asyncio.ensure_future(self._read(key, size, read))
            running.add_done_callback(lambda done: self._finish(key, done))
        return await asyncio.shield(running)

    async def _read(self, key: K, size: int, read: Callable[[], Awaitable[tuple[V, int] | None]]) -> V | None:
        started = self._clock()
        result = await read()
        if result is None:
            self._present.drop(key)
            self._absent.put(key, started + self._max_absence_s, size)
            return None
        value, value_size = result
        self._absent.drop(key)
        self._present.put(key, (value, started + self._max_age_s), size + value_size)
        return value

    def _finish(self, key: K, done: asyncio.Future[V | None]) -> None:
        del self._reading[key]
        if not done.cancelled():
            done.exception()  # taken, so that it is no loss when everybody who waited has gone
