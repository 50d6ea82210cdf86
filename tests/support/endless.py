"""Peers that never come to an end, and slow ones: what each sends, byte by byte, until its connection is over."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TypeAlias

Bytes: TypeAlias = AsyncIterator[bytes]
PAUSE_S = 0.05
PIECE = 16 * 1024
HOST = b"Host: 127.0.0.1\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection ended: what was sent and received until then, and after how many seconds."""

    sent: int
    received: bytes
    seconds: float

    @property
    def statuses(self) -> list[int]:
        """The statuses of all answers."""
        return [int(part[:3]) for part in self.received.split(b"HTTP/1.1 ")[1:]]


def head(method: str, path: str, *headers: bytes) -> bytes:
    """Return a head."""
    lines = b"".join(each + b"\r\n" for each in headers)
    return f"{method} {path} HTTP/1.1\r\n".encode() + HOST + b"Content-Type: application/json\r\n" + lines + b"\r\n"


async def slowly(data: bytes) -> Bytes:
    """Send a byte, wait, send another one, and say nothing more in the end."""
    for at in range(len(data)):
        yield data[at : at + 1]
        await asyncio.sleep(PAUSE_S)
    await asyncio.sleep(3_600)


async def endlessly(first: bytes, again: bytes, pause_s: float = 0.0) -> Bytes:
    """Send something, and then the same piece for ever."""
    yield first
    piece = again if pause_s else again * max(1, PIECE // len(again))
    while True:
        yield piece
        await asyncio.sleep(pause_s)


async def nothing(first: bytes = b"") -> Bytes:
    """Send something at most, and no more."""
    yield first
    await asyncio.sleep(3_600)


def frame(opcode: int, payload: bytes, *, fin: bool = True, length: int | None = None) -> bytes:
    """Return a masked frame of a WebSocket; `length` is what it says it has."""
    size = len(payload) if length is None else length
    first = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        second = bytes([0x80 | size])
    elif size < 1 << 16:
        second = bytes([0x80 | 126]) + size.to_bytes(2, "big")
    else:
        second = bytes([0x80 | 127]) + size.to_bytes(8, "big")
    return first + second + bytes(4) + payload


def handshake(path: str, *headers: bytes) -> bytes:
    """Return the handshake of a WebSocket."""
    lines = (
        *(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
        *(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", b"Sec-WebSocket-Protocol: graphql-transport-ws"),
        *headers,
    )
    return head("GET", path, *lines)


async def after_handshake(path: str, then: Bytes) -> Bytes:
    """Open a WebSocket, and go on."""
    yield handshake(path)
    await asyncio.sleep(0.3)
    async for piece in then:
        yield piece


Kind: TypeAlias = Callable[[str], Bytes]
LONG = b"x" * 4_000
CHUNKS = {
    "chunks of one byte": b"1\r\na\r\n",
    "an extension of a chunk": b";a=" + b"b" * 100,
    "a size of a chunk": b"0",
    "a trailer": b"a",
    "trailers": b"x-more: 1\r\n",
}
_BEFORE = {
    "an extension of a chunk": b"5;a=1",
    "a size of a chunk": b"0",
    "a trailer": b"0\r\nx: ",
    "trailers": b"0\r\n",
}


def _chunked(name: str, pause_s: float) -> Kind:
    return lambda path: endlessly(
        head("POST", path, b"Transfer-Encoding: chunked") + _BEFORE.get(name, b""), CHUNKS[name], pause_s
    )


HTTP: dict[str, Kind] = {
    "silence": lambda _: nothing(),
    "silence after half a head": lambda path: nothing(f"POST {path} HTTP/1.1\r\nHo".encode()),
    "silence after a head": lambda path: nothing(head("POST", path, b"Content-Length: 10")),
    "silence after expecting to go on": lambda path: nothing(
        head("POST", path, b"Content-Length: 10", b"Expect: 100-continue")
    ),
    "silence of HTTP/1.0": lambda path: nothing(f"POST {path} HTTP/1.0\r\nContent-Length: 9\r\n\r\n".encode()),
    "silence after half a handshake": lambda path: nothing(handshake(path)[:-2]),
    "silence after an upgrade with a body": lambda path: nothing(handshake(path, b"Content-Length: 10")),
    "silence after a protocol that nobody speaks": lambda path: nothing(
        head("POST", path, b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Length: 10")
    ),
    "a slow address": lambda path: slowly(f"POST {path}?{'a' * 4_000} HTTP/1.1\r\n".encode()),
    "a slow header": lambda path: slowly(head("POST", path, b"X-Slow: " + LONG)),
    "a slow body": lambda path: endlessly(head("POST", path, b"Content-Length: 10000"), b"a", PAUSE_S),
    **{f"slow {name}": _chunked(name, PAUSE_S) for name in CHUNKS},
    "empty lines": lambda _: endlessly(b"", b"\r\n", PAUSE_S),
    "a method": lambda _: endlessly(b"POST", b"T"),
    "an address": lambda path: endlessly(f"POST {path}?".encode(), b"a"),
    "a name of a header": lambda path: endlessly(f"POST {path} HTTP/1.1\r\n".encode(), b"a"),
    "a header": lambda path: endlessly(f"POST {path} HTTP/1.1\r\nX: ".encode(), b"a"),
    "headers": lambda path: endlessly(f"POST {path} HTTP/1.1\r\n".encode(), b"x: 1\r\n"),
    "headers of a handshake": lambda path: endlessly(handshake(path)[:-2], b"x: 1\r\n"),
    **{f"endless {name}": _chunked(name, 0.0) for name in CHUNKS},
    "an endless body": lambda path: endlessly(head("POST", path, b"Content-Length: 99999999999"), b"a"),
    "an endless body in chunks": lambda path: endlessly(
        head("POST", path, b"Transfer-Encoding: chunked"), b"1000\r\n" + b"a" * 4096 + b"\r\n"
    ),
}
"""What is sent to each route. Who sends slowly is cut off by time, the others by size or by time."""
SOCKETS: dict[str, Kind] = {
    "silence": lambda path: after_handshake(path, nothing()),
    "half a frame": lambda path: after_handshake(path, nothing(frame(1, b"abc")[:4])),
    "a slow frame": lambda path: after_handshake(path, slowly(frame(1, b"x" * 4_000))),
    "slow fragments": lambda path: after_handshake(
        path, endlessly(frame(1, b"", fin=False), frame(0, b"", fin=False), PAUSE_S)
    ),
    "fragments": lambda path: after_handshake(path, endlessly(frame(1, b"", fin=False), frame(0, b"", fin=False))),
    "pings": lambda path: after_handshake(path, endlessly(b"", frame(9, b"x" * 100))),
    "pongs": lambda path: after_handshake(path, endlessly(b"", frame(10, b""))),
    "messages": lambda path: after_handshake(path, endlessly(b"", frame(1, b'{"type":"pong"}'))),
    "a huge frame": lambda path: after_handshake(path, endlessly(frame(1, b"", length=1 << 40), b"x")),
    "a long line": lambda path: nothing(handshake(path, b"X-Long: " + b"x" * 10_000)),
}
"""What is sent to a WebSocket, before and after its handshake."""


async def ending(port: int, sent: Bytes, *, reads: bool = True) -> Ending:
    """Send until the connection is over, and return how that was. Raises TimeoutError for one that does not end."""
    loop = asyncio.get_running_loop()
    started = loop.time()
    reader, writer = await asyncio.open_connection(sock=await _connected(port, 4_096 if not reads else None))
    total, received = 0, bytearray()

    async def send() -> None:
        nonlocal total
        async for piece in sent:
            writer.write(piece)
            total += len(piece)
            await writer.drain()

    async def read() -> None:
        while reads and (piece := await reader.read(1 << 16)):
            received.extend(piece)

    sending, reading = asyncio.create_task(send()), asyncio.create_task(read())
    try:
        async with asyncio.timeout(30):
            await asyncio.wait({reading} if reads else {sending}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, reading):
            task.cancel()
        await asyncio.gather(sending, reading, return_exceptions=True)
        writer.transport.abort()
    return Ending(total, bytes(received), loop.time() - started)


async def _connected(port: int, receives: int | None) -> socket.socket:
    """Return a connection whose kernel takes no more than so many bytes by itself."""
    made = socket.socket()
    if receives is not None:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
    made.setblocking(False)
    await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
    return made


def resident(pid: int) -> int:
    """Return the bytes of memory that a process holds."""
    with open(f"/proc/{pid}/statm") as status:
        return int(status.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
