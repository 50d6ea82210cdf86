"""The protocol of one HTTP connection: uvicorn's, with bounds, and with a short way for `POST /graphql`.

The short way is from uvicorn's parser to the endpoint and back, without ASGI between them. A third of a point query's
time was ASGI's: a scope, a message for each piece, two writes to the socket where one does. Measured beside each other,
uvicorn answers 47,000 empty requests a second by ASGI and 107,000 so. All else (GET, streams, pipelined requests,
WebSockets, other paths) goes uvicorn's own way.

The bounds hold for both. Whatever of a message is no body (line, headers, the wrapping of chunks, trailers) is counted
as what came less what was body, so nothing that the parser skips or keeps is left out; a body is counted against what
the endpoint takes; and a message that is not there in time ends its connection (`connections.py`). Requests that come
before the last one is answered wait as bytes, in our buffer up to `MAX_WAITING_BYTES` and then in the peer's.

Only WebSockets are switched to. The parser reads no body where a request asks for any other protocol, and would take
the body for the next request; so such a request is read a second time, without its `Upgrade`. Clients that offer HTTP/2
with each request ask so, and are answered as all others (RFC 9110, 7.8).

Decided in D-api-04 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from crm_graph.api.admission.hosts import Hosts
from crm_graph.api.connections import NEVER, Connections
from crm_graph.api.transport.direct import Direct
from crm_graph.api.transport.http import GraphQLEndpoint
from crm_graph.api.transport.patience import Impatient

SLICE_BYTES = 4 * 1024
"""What is parsed at once: so much may belong to a next message without being counted, and so many requests (200 of the
shortest) can be made of it before they are asked to wait."""
MAX_WAITING_BYTES = 512 * 1024
"""Two reads of the socket."""
MAX_DRAINED_BYTES = 8 * 1024 * 1024
"""What is read of a body beyond its limit, and dropped: a client that sends it all before it reads anything would else
lose the answer that says so."""
LINGER_S = 1.0
"""How long a connection whose end was said waits for the peer to read it."""
IDLE, HEAD, BODY = range(3)
"""What of a message we wait for."""
_EMPTY = b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_INVALID = b"HTTP/1.1 400 Bad Request" + _EMPTY
_LATE = b"HTTP/1.1 408 Request Timeout" + _EMPTY
_LONG_BODY = b"HTTP/1.1 413 Request Entity Too Large" + _EMPTY
_LONG_HEAD = b"HTTP/1.1 431 Request Header Fields Too Large" + _EMPTY
_FULL = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5" + _EMPTY


class _TooMuch(Exception):
    """Raised in a callback of the parser to stop it: the message brings more than it may. `answer` says so."""

    def __init__(self, answer: bytes) -> None:
        super().__init__()
        self.answer = answer


class _NoHandshake(Exception):
    """Raised in a callback of the parser for a head behind which another protocol would begin, and may not."""


class GraphQLProtocol(Impatient, HttpToolsProtocol):
    """uvicorn's protocol of one connection; `endpoint` returns None until the application has started. `body_limit`
    tells how long the body of a request to an address may be."""

    def __init__(
        self,
        endpoint: Callable[[], GraphQLEndpoint | None],
        path: bytes,
        body_limit: Callable[[bytes], int],
        connections: Connections,
        hosts: Hosts | None = None,
        **uvicorn: Any,
    ) -> None:
        super().__init__(**uvicorn)
        self.all_connections = connections
        self.deadline = NEVER
        self._endpoint = endpoint
        self._path = path
        self._hosts = hosts
        self._body_limit = body_limit
        self._phase = IDLE
        self._timed = IDLE
        """The phase that the deadline is of."""
        self._around = 0
        """Bytes of the message that are no body."""
        self._body_size = 0
        self._max_body_size = 0
        self._waiting = b""
        """What is not parsed yet, since requests before it wait."""
        self._is_deaf = False
        """Whether nothing is read any more, since the connection ends."""
        self._last_words: bytes | None = None
        """What is said at the end, once the requests before it are answered."""
        self._answering: RequestResponseCycle | Direct | None = None
        """The request that is being answered, or was last; `cycle` is the one that was read last."""

    def connection_made(self, transport: Any) -> None:
        """Take the connection, or say that there are too many."""
        super().connection_made(transport)
        self.deadline = self.loop.time() + self.all_connections.bounds.idle_s
        if not self.all_connections.admit(self, self.client[0] if self.client else None):
            self._is_deaf = True
            transport.write(_FULL)
            transport.close()  # at once: it is not in the sweep

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel what nobody waits for any more."""
        super().connection_lost(exc)
        self.all_connections.leave(self)
        self._abandon()

    def _abandon(self) -> None:
        """Stop answering."""
        cycle = self._answering
        if cycle is None or cycle.response_complete:
            return
        cycle.disconnected = True
        cycle.message_event.set()
        if isinstance(cycle, Direct) and cycle.task is not None:
            cycle.task.cancel()

    def handle_websocket_upgrade(self) -> None:
        """Go on as a WebSocket, which is counted by itself."""
        self._is_deaf = True
        self.all_connections.leave(self)
        super().handle_websocket_upgrade()

    def data_received(self, data: bytes) -> None:
        """Parse what came, as far as there is nobody in front of it."""
        if self._waiting:
            data, self._waiting = self._waiting + data, b""
        for start in range(0, len(data), SLICE_BYTES):
            if self._is_deaf:
                return
            if self.pipeline:
                self._waiting = data[start:]
                self.flow.pause_reading()
                break
            self._parse(data[start : start + SLICE_BYTES])
        if len(self._waiting) > MAX_WAITING_BYTES:
            self._cut("size", b"")
        elif self._phase is not self._timed and not self._is_deaf:
            self._timed = self._phase
            bounds = self.all_connections.bounds
            self.deadline = self.loop.time() + (bounds.head_s if self._phase is HEAD else bounds.body_s)

    def _parse(self, data: bytes) -> None:
        """Feed the parser, and weigh what it took."""
        self._around += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
                return
            again = self._without_upgrade() + data[upgrade.args[0] :]
            self._around -= len(again)  # it was counted
            self.parser = httptools.HttpRequestParser(self)  # the last one can have been told that nothing follows
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self._parse(again)
            return
        except httptools.HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, _TooMuch):
                self._cut("size", cause.answer)
            else:
                self._cut("invalid", _INVALID)
            return
        if self._phase is IDLE:
            self._around = 0
        elif self._around > self.all_connections.bounds.max_head_bytes + self._body_size:
            self._cut("size", _LONG_HEAD)

    def _without_upgrade(self) -> bytes:
        """Return the head that was just read as that of a request which asks for no other protocol."""
        lines = [self.parser.get_method() + b" " + self.url + b" HTTP/" + self.parser.get_http_version().encode()]
        lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def on_message_begin(self) -> None:
        """Begin to count."""
        super().on_message_begin()
        self._phase = HEAD
        self._body_size = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; what comes behind the body is none (RFC 9110, 6.5.1)."""
        if self._phase is HEAD:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Take the request over, if nothing is unusual about it."""
        bounds = self.all_connections.bounds
        if len(self.headers) > bounds.max_headers:
            raise _TooMuch(_LONG_HEAD)
        if self._around > bounds.max_head_bytes - 2 * SLICE_BYTES and self._head_size() > bounds.max_head_bytes:
            raise _TooMuch(_LONG_HEAD)
        if self.parser.should_upgrade():
            self._weigh_upgrade()
            return
        self._phase = BODY
        endpoint = self._endpoint()
        if endpoint is None or self.url != self._path or not self._takes_short_way(endpoint.max_body_bytes):
            self._max_body_size = self._body_limit(self.url)
            super().on_headers_complete()
            if self.all_connections.leaving:
                self.cycle.keep_alive = False
            if not self.pipeline:
                self._answering = self.cycle
            return
        self._max_body_size = endpoint.max_body_bytes
        lasts = self.parser.get_http_version() != "1.0" and self.parser.should_keep_alive()
        keep_alive = lasts and not self.all_connections.leaving
        self._answering = cycle = Direct(self, endpoint, self.headers, keep_alive=keep_alive)
        self.cycle = cycle  # type: ignore[assignment]

    def _weigh_upgrade(self) -> None:
        """Raise _NoHandshake for what is no head of a WebSocket, and cannot be read without its `Upgrade` either; and
        for one behind a request that is being answered: both would write to the connection, and nobody would tell the
        request that its peer left."""
        method = self.parser.get_method()
        if method == b"CONNECT":
            raise _NoHandshake
        if not self._should_upgrade():
            return  # see _parse
        has_body = any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in self.headers
        )
        if method != b"GET" or has_body or not self._is_answered():
            raise _NoHandshake
        self.scope["method"] = "GET"

    def _head_size(self) -> int:
        """Return what the head takes at least. What came with it may be a body's, or another message's."""
        return len(self.url) + sum(len(name) + len(value) + 3 for name, value in self.headers)

    def _takes_short_way(self, most: int) -> bool:
        if self._hosts is not None and not self._hosts.allow(self.headers):
            return False  # the application refuses it
        if self.parser.get_method() != b"POST" or self.expect_100_continue:
            return False
        cycle: RequestResponseCycle | Direct | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            return False  # pipelined: uvicorn keeps the order
        for name, value in self.headers:
            if name == b"accept" and b"text/" in value.lower():
                return False  # it may want a stream
            if name == b"content-length" and not (value.isdigit() and int(value) <= most):
                return False
        return True

    def on_body(self, body: bytes) -> None:
        """Collect the body. The endpoint gets the piece by which it is too long, and says so; the rest is dropped.

        Raises _TooMuch where even that is too much.
        """
        self._around -= len(body)
        before, self._body_size = self._body_size, self._body_size + len(body)
        if before > self._max_body_size:
            if self._body_size > self._max_body_size + MAX_DRAINED_BYTES:
                raise _TooMuch(b"" if self._is_answered() else _LONG_BODY)
            return
        cycle: RequestResponseCycle | Direct = self.cycle
        if isinstance(cycle, Direct):
            cycle.collect(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Answer."""
        if self.parser.should_upgrade():
            return  # it is a WebSocket now, or is read again
        self._phase = self._timed = IDLE
        self._around = 0
        cycle: RequestResponseCycle | Direct = self.cycle
        if isinstance(cycle, Direct):
            cycle.start()
        else:
            super().on_message_complete()
        self.deadline = self.loop.time() + self.all_connections.bounds.idle_s if self._is_answered() else NEVER

    def _is_answered(self) -> bool:
        """Return whether the last request, if there was any, has its answer."""
        cycle: RequestResponseCycle | Direct | None = self.cycle
        return cycle is None or cycle.response_complete

    def on_response_complete(self) -> None:
        """Go on with the next request: one that waits, or one that is to come in time.

        As uvicorn's, which sets a timer for it, and reads on while requests wait.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._answering, application = self.pipeline.pop()
            self._start_asgi_task(self._answering, application)
        elif self._last_words is not None:
            self._end(self._last_words)
            return
        elif self._phase is IDLE:
            self.deadline = self.loop.time() + self.all_connections.bounds.idle_s
        elif self.expect_100_continue and not self._body_size:
            self._end(b"")  # it was not told to go on, so whether a body comes is not known
            return
        if self._waiting and not self.pipeline:
            self.data_received(b"")
        if not (self._waiting or self.pipeline):
            self.flow.resume_reading()

    def expire(self, now: float) -> None:
        """See `Connection`. What has come is left lying while those before it are answered."""
        bounds = self.all_connections.bounds
        if self.transport.is_closing():
            self.all_connections.cut_off["send"] += 1
            self.transport.abort()
        elif self._is_deaf:
            self.deadline = now + bounds.send_s
            self.transport.close()
        elif self.flow.read_paused:
            self.deadline = now + bounds.body_s
        elif self._phase is IDLE:
            self._cut("idle", b"")
        elif self._phase is HEAD:
            self._cut("head", _LATE)
        else:
            self._cut("body", b"" if self._is_answered() else _LATE)

    def _cut(self, why: str, answer: bytes) -> None:
        self.all_connections.cut_off[why] += 1
        self._end(answer)

    def _end(self, answer: bytes) -> None:
        """End the connection with an answer, once the requests before are answered. One that is on its way to the
        message itself stands for it."""
        self._is_deaf = True
        cycle = self._answering
        if self._phase is BODY and self.pipeline and self.pipeline[0][0] is self.cycle:
            self.pipeline.popleft()
        is_own = self._phase is BODY and cycle is self.cycle
        is_answering = cycle is not None and not cycle.response_complete
        if is_answering and not is_own:
            self._last_words, self.deadline = answer, NEVER
            return
        if not answer or (is_answering and _has_begun(cycle)):
            self.deadline = self.loop.time() + self.all_connections.bounds.send_s
            self.transport.close()
            return
        if is_answering:
            self._abandon()
        # Closing now, with bytes of the peer unread, would have its kernel throw our answer away.
        self.deadline = self.loop.time() + LINGER_S
        self.transport.write(answer)
        self.transport.write_eof()
        self.flow.pause_reading()


def _has_begun(cycle: RequestResponseCycle | Direct | None) -> bool:
    """Return whether an answer is being made or sent."""
    return cycle is not None and (cycle.task is not None if isinstance(cycle, Direct) else cycle.response_started)
