"""Shares of a number of places: one holder has a part of them at most, and waiting holders are let in by turns.

A queue that is first come first served belongs to whoever fills it: twelve slow statements of one member, and everybody
else waits behind them. Here each waits in a queue of their own, which is bounded, and a place that comes free goes to
the next of those who may have one more. Taking a place that is free costs two look-ups and no await.

Decided in D-kernel-01 (ARCHITECTURE.md).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from crm_graph.kernel.errors import RateLimited

RETRY_AFTER_S = 1


class Shares:
    """So many places, `share` of them for each holder. None is the process itself, which has no share of its own.

    Whenever a place is free, nobody waits who may have it: so whoever comes may take it, and pushes nobody back.
    """

    __slots__ = ("_held", "_most_waiting", "_waiting", "refused", "share", "size", "taken", "waiting")

    def __init__(self, size: int, share: int | None = None, most_waiting: int = 1_000) -> None:
        self.size = size
        self.share = size if share is None else share
        self._most_waiting = most_waiting
        self._held: dict[Hashable, int] = {}
        self._waiting: OrderedDict[Hashable, deque[asyncio.Future[None]]] = OrderedDict()
        self.taken = 0
        self.waiting = 0
        self.refused = 0

    def enter(self, holder: Hashable) -> bool:
        """Take a place, if there is one that the holder may have; return whether it did."""
        if self.taken >= self.size:
            return False
        if holder is not None:
            held = self._held.get(holder, 0)
            if held >= self.share:
                return False
            self._held[holder] = held + 1
        self.taken += 1
        return True

    def may_have(self, holder: Hashable) -> bool:
        """Return whether a holder has less than its share."""
        return holder is None or self._held.get(holder, 0) < self.share

    async def wait(self, holder: Hashable) -> None:
        """Wait for a place that `enter` did not find, and take it. Raises RateLimited where too many of the holder's
        wait already."""
        queue = self._waiting.setdefault(holder, deque())
        if holder is not None and len(queue) >= self._most_waiting:
            self.refused += 1
            message = f"{len(queue)} of your operations wait for the database already: wait for their answers."
            raise RateLimited(message, RETRY_AFTER_S)
        place = asyncio.get_running_loop().create_future()
        queue.append(place)
        self.waiting += 1
        try:
            await place
        except asyncio.CancelledError:
            if place.cancelled():
                queue.remove(place)
                if not queue:
                    del self._waiting[holder]
            else:  # it came, and nobody is there to take it
                self.leave(holder)
            raise
        finally:
            self.waiting -= 1

    def leave(self, holder: Hashable) -> None:
        """Give a place back; whoever is next is let in."""
        self.taken -= 1
        if holder is not None:
            left = self._held[holder] - 1
            if left:
                self._held[holder] = left
            else:
                del self._held[holder]
        if self._waiting:
            while self.taken < self.size and self._let_in():
                pass

    @asynccontextmanager
    async def place(self, holder: Hashable) -> AsyncIterator[None]:
        """Lend a place, waiting for it."""
        if not self.enter(holder):
            await self.wait(holder)
        try:
            yield
        finally:
            self.leave(holder)

    def _take(self, holder: Hashable) -> None:
        self.taken += 1
        if holder is not None:
            self._held[holder] = self._held.get(holder, 0) + 1

    def _let_in(self) -> bool:
        """Let in the first who waits of the holder whose turn it is; return False where nobody may have a place."""
        for holder, queue in self._waiting.items():
            if self.may_have(holder):
                place = next((each for each in queue if not each.done()), None)
                if place is None:  # all of them are about to leave
                    continue
                queue.remove(place)
                if queue:
                    self._waiting.move_to_end(holder)
                else:
                    del self._waiting[holder]
                self._take(holder)
                place.set_result(None)
                return True
        return False
