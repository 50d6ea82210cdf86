"""A load generator: a fixed number of keep-alive connections, each sending the next request when it has its answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field


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


def request_bytes(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """Return an HTTP/1.1 POST."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def answer(reader: asyncio.StreamReader) -> bytes:
    """Return the body of the next answer. Raises RuntimeError unless it is 200."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = head.split(b" ", 2)[1]
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    body = await reader.readexactly(length)
    if status != b"200":
        raise RuntimeError(f"{status.decode()}: {body[:200].decode()}")
    return body


async def once(port: int, request: bytes) -> bytes:
    """Send one request and return the body of its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    body = await answer(reader)
    writer.close()
    return body


async def run(port: int, request: bytes, seconds: float, connections: int = 16) -> Measured:
    """Load a server for some seconds."""
    measured = Measured()
    started = time.perf_counter()
    deadline = started + seconds

    async def connection() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (sent := time.perf_counter()) < deadline:
            writer.write(request)
            await answer(reader)
            measured.latencies.append(time.perf_counter() - sent)
        writer.close()

    await asyncio.gather(*(connection() for _ in range(connections)))
    measured.seconds = time.perf_counter() - started
    return measured
