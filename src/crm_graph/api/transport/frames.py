"""uvicorn's protocol of one WebSocket, with bounds: frames a second, seconds a message, seconds a handshake.

uvicorn and websockets bound the bytes of a message and nothing else. Fragments of no bytes are kept one by one, pings
are answered as fast as they come and whether or not the answers are taken, and a handshake that websockets refuses,
for a line of 8 KiB, is never answered.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from crm_graph.api.connections import NEVER, Connections
from crm_graph.api.transport.patience import Impatient

BURST_S = 5
"""Frames that may come at once, in seconds' worth: a client that comes back starts all its subscriptions."""
SLICE_BYTES = 4 * 1024
"""What is parsed at once: so many frames are there before they are counted."""
TOO_MANY, TOO_SLOW = 4429, 1008
"""Close codes."""


class SocketProtocol(Impatient, WebSocketsSansIOProtocol):
    """The protocol of a connection that has asked to become a WebSocket."""

    def __init__(self, connections: Connections, **uvicorn: Any) -> None:
        super().__init__(**uvicorn)
        self.all_connections = connections
        self.deadline = NEVER
        self._frames_back_at = 0.0
        self._is_new_message = False

    def connection_made(self, transport: Any) -> None:
        """Wait for the handshake, no longer than for any head."""
        super().connection_made(transport)
        self.deadline = self.loop.time() + self.all_connections.bounds.head_s
        if not self.all_connections.admit(self, self.client[0] if self.client else None):
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        super().connection_lost(exc)
        self.all_connections.leave(self)

    def data_received(self, data: bytes) -> None:
        """Take what came, and see what it has begun."""
        for start in range(0, len(data), SLICE_BYTES):
            if self.transport.is_closing():
                return
            super().data_received(data[start : start + SLICE_BYTES])
        if not self.handshake_initiated:  # websockets has refused it
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()
        elif not (self.frames or self.conn.reader.buffer):
            if self.handshake_complete:
                self.deadline = NEVER
        elif self._is_new_message or self.deadline == NEVER:
            self.deadline = self.loop.time() + self.all_connections.bounds.body_s
        self._is_new_message = False

    def handle_events(self) -> None:
        """Count the frames, whatever they are, and let them through; one too many, and the connection ends."""
        bounds, now = self.all_connections.bounds, self.loop.time()
        rate = bounds.max_frames_per_second
        self._frames_back_at = max(self._frames_back_at, now) + len(self.conn.events) / rate
        if self._frames_back_at - now > BURST_S:
            self._end("frames", TOO_MANY, f"Too many messages: at most {rate} a second")
        else:
            super().handle_events()

    def send_receive_event_to_app(self) -> None:
        """Hand over a message that is complete."""
        self._is_new_message = True
        super().send_receive_event_to_app()

    async def send(self, message: Any) -> None:
        """Send, as uvicorn does. A handshake that is answered by a refusal is complete: else each would be logged."""
        await super().send(message)
        if self.close_sent:
            self.handshake_complete = True

    def expire(self, now: float) -> None:
        """See `Connection`. What has come is left lying while the application is busy with the message before."""
        bounds = self.all_connections.bounds
        if self.transport.is_closing():
            self.all_connections.cut_off["send"] += 1
            self.transport.abort()
        elif self.read_paused:
            self.deadline = now + bounds.body_s
        elif self.handshake_complete:
            self._end("body", TOO_SLOW, "The message took too long")
        else:
            self.all_connections.cut_off["head"] += 1
            self.transport.close()
            self.deadline = now + bounds.send_s

    def _end(self, why: str, code: int, reason: str) -> None:
        self.all_connections.cut_off[why] += 1
        self.deadline = self.loop.time() + self.all_connections.bounds.send_s
        if self.close_sent:
            self.transport.abort()
            return
        self.conn.events.clear()
        self.conn.fail(code, reason)
        self.handle_parser_exception()
