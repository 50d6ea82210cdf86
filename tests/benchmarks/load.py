"""A load generator: a fixed number of keep-alive connections, each sending its next request when it has its answer.

An asyncio.Protocol on uvloop, because it shares the machine with what it measures: no streams, no task switches, no
parsing beyond the length of the answer. `ceiling` says how many requests it can send at all.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)
_END = b"\r\n\r\n"
_ERRORS = b'"errors"'
_PATIENCE_S = 60


@dataclass(slots=True)
class Measured:
    """What one round measured; times in seconds."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)

    @property
    def rps(self) -> float:
        """Requests answered per second."""
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        """Return a latency percentile in milliseconds."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000


@dataclass(slots=True)
class Place:
    """Where a script is. Servers share it where their requests change the same rows."""

    at: int = 0


@dataclass(slots=True)
class Script:
    """The requests of one connection, over and over; goes on where the last round ended."""

    requests: Sequence[bytes]
    place: Place = field(default_factory=Place)

    def next(self) -> bytes:
        """Return the next request."""
        request = self.requests[self.place.at]
        self.place.at = (self.place.at + 1) % len(self.requests)
        return request


def request_bytes(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return an HTTP/1.1 POST."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        "Accept: application/json",
        f"Content-Length: {len(body)}",
    ]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + _END + body


class _Connection(asyncio.Protocol):
    """Sends until the deadline, then waits for its last answer."""

    __slots__ = ("_deadline", "_head", "_latencies", "_missing", "_script", "_sent", "_transport", "done")

    def __init__(self, script: Script, deadline: float, latencies: list[float], done: asyncio.Future[None]) -> None:
        self._script = script
        self._deadline = deadline
        self._latencies = latencies
        self._missing = 0
        self._head = b""
        self._sent = 0.0
        self.done = done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its bases
        self._send()

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(self._script.next())

    def data_received(self, data: bytes) -> None:
        """Count down to the end of the answer."""
        if self._missing:
            self._missing -= len(data)
        else:
            data = self._head + data if self._head else data
            end = data.find(_END)
            if end < 0:
                self._head = data
                return
            self._head = b""
            length = _LENGTH.search(data, 0, end + 2)
            if data[9:12] != b"200" or length is None:
                self._fail(data)
                return
            self._missing = int(length[1]) - (len(data) - end - 4)
        if _ERRORS in data:
            self._fail(data)
            return
        if self._missing:
            return
        now = time.perf_counter()
        self._latencies.append(now - self._sent)
        if now < self._deadline:
            self._send()
        else:
            self._transport.close()
            self.done.set_result(None)

    def connection_lost(self, error: Exception | None) -> None:
        """Fail unless this was the end."""
        if not self.done.done():
            self.done.set_exception(RuntimeError(f"the server closed the connection: {error}"))

    def _fail(self, data: bytes) -> None:
        self.done.set_exception(RuntimeError(data[:2000].decode(errors="replace")))
        self._transport.abort()


async def run(port: int, scripts: Sequence[Script], seconds: float) -> Measured:
    """Load a server for some seconds, with one connection per script."""
    measured = Measured()
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    connections = []
    for script in scripts:
        done: asyncio.Future[None] = loop.create_future()

        def connection(script: Script = script, done: asyncio.Future[None] = done) -> _Connection:
            return _Connection(script, started + seconds, measured.latencies, done)

        await loop.create_connection(connection, "127.0.0.1", port)
        connections.append(done)
    async with asyncio.timeout(seconds + _PATIENCE_S):
        await asyncio.gather(*connections)
    measured.seconds = time.perf_counter() - started
    return measured


async def once(port: int, request: bytes) -> bytes:
    """Send one request and return the body of its answer. Raises RuntimeError unless it is 200."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    head = await reader.readuntil(_END)
    length = _LENGTH.search(head)
    if length is None:
        raise RuntimeError(f"an answer without a length: {head!r}")
    body = await reader.readexactly(int(length[1]))
    writer.close()
    if head[9:12] != b"200":
        raise RuntimeError(f"{head[9:12].decode()}: {body[:2000].decode()}")
    return body
