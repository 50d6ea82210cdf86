"""Turns: who waits for a connection that somebody else has."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any


class Turns:
    """Who waits for a connection, first come first served: one that comes free is handed over, so nobody pushes in."""

    def __init__(self, returned: Callable[[Any], None]) -> None:
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._return = returned

    async def wait(self) -> Any:
        """Return the connection that was handed over; None means: there may be room for a new one, look again."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():  # it came, and nobody is there to take it
                self._return(waiter.result())
            raise

    def hand(self, connection: Any) -> bool:
        """Hand a connection, or None, to the first who waits; return whether anybody did."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False
