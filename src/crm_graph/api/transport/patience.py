"""Cutting off clients that take nothing: a connection whose buffer does not drain for `CRM_SEND_TIMEOUT_MS` is ended.

A client that stops reading leaves its stream waiting, with all that is queued for it, for as long as its kernel answers
for it, which is for ever. Closing would wait too, for the buffer to be sent: the transport is aborted.
"""

from __future__ import annotations

import asyncio
from typing import Any

from crm_graph.api.connections import Connections


class Impatient(asyncio.Protocol):
    """Comes before uvicorn's protocol of a connection, and sees when its transport is full."""

    transport: Any
    all_connections: Connections
    _giving_up: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """Wait no longer than the timeout for the client to take what it is sent."""
        super().pause_writing()
        self._giving_up = asyncio.get_running_loop().call_later(self.all_connections.bounds.send_s, self._give_up)

    def resume_writing(self) -> None:
        """Go on: the client takes what it is sent."""
        self._wait_no_more()
        super().resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._wait_no_more()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        self.all_connections.cut_off["send"] += 1
        self.transport.abort()

    def _wait_no_more(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None
