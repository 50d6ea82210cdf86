"""The short way of `POST /graphql`: from uvicorn's parser to the endpoint and back, without ASGI between them.

A third of a point query's time was ASGI's: a scope, a message for each piece, two writes to the socket where one does.
Measured beside each other, uvicorn answers 47,000 empty requests a second by ASGI and 107,000 so. All else (GET,
streams, pipelined requests, WebSockets, other paths) goes uvicorn's own way.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from starlette.requests import ClientDisconnect
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from crm_graph.api.hosts import Hosts
from crm_graph.api.http import GraphQLEndpoint
from crm_graph.api.incoming import Incoming, Reply, too_long
from crm_graph.api.patience import Impatient

log = logging.getLogger("crm_graph.errors")

MAX_HEAD_BYTES = 256 * 1024
_LONG_HEAD = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_FAILED = b"Internal Server Error"


class GraphQLProtocol(Impatient, HttpToolsProtocol):
    """uvicorn's protocol of one connection; `endpoint` returns None until the application has started."""

    def __init__(
        self,
        endpoint: Callable[[], GraphQLEndpoint | None],
        path: bytes,
        send_timeout_s: float,
        hosts: Hosts | None = None,
        **uvicorn: Any,
    ) -> None:
        super().__init__(**uvicorn)
        self.send_timeout_s = send_timeout_s
        self._endpoint = endpoint
        self._path = path
        self._hosts = hosts
        self._head_size = 0
        self._in_head = True

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head of a request goes on and on: the parser keeps all of it."""
        super().data_received(data)
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > MAX_HEAD_BYTES and not self.transport.is_closing():
                self.transport.write(_LONG_HEAD)
                self.transport.close()

    def on_headers_complete(self) -> None:
        """Take the request over, if nothing is unusual about it."""
        self._in_head = False
        endpoint = self._endpoint()
        if endpoint is None or self.url != self._path or not self._takes_short_way(endpoint.max_body_bytes):
            super().on_headers_complete()
            return
        keep_alive = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        self.cycle = _Direct(self, endpoint, self.headers, keep_alive=keep_alive)  # type: ignore[assignment]

    def _takes_short_way(self, most: int) -> bool:
        if self._hosts is not None and not self._hosts.allow(self.headers):
            return False  # the application refuses it
        if self.parser.get_method() != b"POST" or self.expect_100_continue or self.parser.should_upgrade():
            return False
        cycle: RequestResponseCycle | _Direct | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            return False  # pipelined: uvicorn keeps the order
        for name, value in self.headers:
            if name == b"accept" and b"text/" in value.lower():
                return False  # it may want a stream
            if name == b"content-length" and not (value.isdigit() and int(value) <= most):
                return False
        return True

    def on_body(self, body: bytes) -> None:
        """Collect the body."""
        cycle: RequestResponseCycle | _Direct = self.cycle
        if isinstance(cycle, _Direct):
            cycle.collect(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Answer."""
        self._in_head, self._head_size = True, 0
        cycle: RequestResponseCycle | _Direct = self.cycle
        if isinstance(cycle, _Direct):
            cycle.start()
        else:
            super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel what nobody waits for any more."""
        super().connection_lost(exc)
        cycle: RequestResponseCycle | _Direct | None = self.cycle
        if isinstance(cycle, _Direct) and cycle.task is not None and not cycle.response_complete:
            cycle.task.cancel()


class _NoEvent:
    """Stands for the event by which uvicorn wakes an ASGI application: here a task is cancelled instead."""

    def set(self) -> None: ...


class _Direct(Incoming):
    """A request on the short way; to uvicorn it is the connection's current cycle."""

    message_event = _NoEvent()

    def __init__(
        self,
        protocol: GraphQLProtocol,
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
        self.chunks: list[bytes] = []
        self.size = 0
        self.most = endpoint.max_body_bytes
        self.task: asyncio.Task[None] | None = None
        self._raw = headers
        self._headers = dict(headers)
        self._protocol = protocol
        self._endpoint = endpoint

    def collect(self, body: bytes) -> None:
        """Take a piece of the body; one too many, and the request is answered without the rest of it."""
        self.size += len(body)
        if self.size <= self.most:
            self.chunks.append(body)
        elif self.task is None:
            self.chunks.clear()
            self.keep_alive = False
            self.start()

    def start(self) -> None:
        """Answer, unless that has begun."""
        if self.task is None:
            self.task = self._protocol.loop.create_task(self.run())
            self._protocol.tasks.add(self.task)
            self.task.add_done_callback(self._protocol.tasks.discard)

    async def read(self, limit: int) -> bytes:
        """Return the body. Raises BadRequest 413 for one that is too long; no more than that was kept of it."""
        if self.size > limit:
            raise too_long(limit)
        return self.chunks[0] if len(self.chunks) == 1 else b"".join(self.chunks)

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self.disconnected and isinstance(error, asyncio.CancelledError):
            raise ClientDisconnect from error

    def watched(self) -> _Direct:  # type: ignore[override]
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
