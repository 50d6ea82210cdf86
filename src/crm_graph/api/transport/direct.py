"""A request on the short way: from the parser to the endpoint and back, without ASGI between them (`protocol.py`)."""

from __future__ import annotations

import asyncio
import logging

from starlette.requests import ClientDisconnect
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from crm_graph.api.transport.http import GraphQLEndpoint
from crm_graph.api.transport.incoming import Incoming, Reply, too_long

log = logging.getLogger("crm_graph.errors")

_FAILED = b"Internal Server Error"


class _NoEvent:
    """Stands for the event by which uvicorn wakes an ASGI application: here a task is cancelled instead."""

    def set(self) -> None: ...


class Direct(Incoming):
    """A request on the short way; to uvicorn it is the connection's current cycle."""

    message_event = _NoEvent()

    def __init__(
        self,
        protocol: HttpToolsProtocol,
        endpoint: GraphQLEndpoint,
        headers: list[tuple[bytes, bytes]],
        *,
        keep_alive: bool,
    ) -> None:
        self.method = "POST"
        self.query = b""
        self.peer = protocol.client[0] if protocol.client is not None else None
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False
        self.body: bytes | bytearray = b""
        self.task: asyncio.Task[None] | None = None
        self._raw = headers
        self._headers = dict(headers)
        self._protocol = protocol
        self._endpoint = endpoint

    def collect(self, body: bytes) -> None:
        """Take a piece of the body; one too many, and the request is answered without the rest of it.

        Pieces are joined as they come: each kept by itself takes 41 bytes more, and a body can come in 50,000.
        """
        if not self.body:
            self.body = body
        elif isinstance(self.body, bytearray):
            self.body += body
        else:
            self.body = bytearray(self.body + body)
        if len(self.body) > self._endpoint.max_body_bytes:
            self.start()

    def start(self) -> None:
        """Answer, unless that has begun."""
        if self.task is None:
            self.task = self._protocol.loop.create_task(self.run())
            self._protocol.tasks.add(self.task)
            self.task.add_done_callback(self._protocol.tasks.discard)

    async def read(self, limit: int) -> bytes | bytearray:
        """Return the body. Raises BadRequest 413 for one that is too long; no more than that was kept of it."""
        if len(self.body) > limit:
            raise too_long(limit)
        return self.body

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self.disconnected and isinstance(error, asyncio.CancelledError):
            raise ClientDisconnect from error

    def watched(self) -> Direct:  # type: ignore[override]
        """See `Incoming`; `connection_lost` cancels."""
        return self

    async def run(self) -> None:
        """Answer the request."""
        try:
            response = await self._endpoint.respond(self)
            assert isinstance(response, Reply), "a stream takes the long way"
        except Exception:
            log.exception("the endpoint failed")
            response = Reply(_FAILED, 500, "text/plain")
        protocol = self._protocol
        if protocol.flow.write_paused:
            await protocol.flow.drain()
        if self.disconnected:
            return
        pieces = [STATUS_LINE[response.status]]
        for name, value in (*protocol.server_state.default_headers, *response.headers):
            pieces += (name, b": ", value, b"\r\n")
        pieces.append(b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
        pieces.append(response.body)
        protocol.transport.write(b"".join(pieces))
        self.response_complete = True
        if not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()
