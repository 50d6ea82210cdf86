"""A TCP proxy between clients and a server, which can be stalled: as a network that neither delivers nor fails."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(slots=True)
class Proxy:
    """Forwards connections to one server."""

    host: str
    port: int
    address: str = ""
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    @classmethod
    async def to(cls, address: str) -> Proxy:
        """Return a proxy before an address."""
        split = urlsplit(address)
        assert split.hostname is not None
        assert split.port is not None
        made = cls(split.hostname, split.port)
        made._flowing.set()
        made._server = await asyncio.start_server(made._accepted, "127.0.0.1", 0)
        port = made._server.sockets[0].getsockname()[1]
        made.address = f"http://127.0.0.1:{port}{split.path}"
        return made

    async def stall(self, seconds: float) -> None:
        """Deliver nothing for a time, then cut what was stalled: nobody knows what had arrived."""
        self._flowing.clear()
        await asyncio.sleep(seconds)
        for task in list(self._tasks):
            task.cancel()
        self._flowing.set()

    async def close(self) -> None:
        """End everything."""
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._forward(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = None
        try:
            with suppress(OSError):
                from_there, there = await asyncio.open_connection(self.host, self.port)
                ways = [
                    asyncio.create_task(self._pump(reader, there)),
                    asyncio.create_task(self._pump(from_there, writer)),
                ]
                try:
                    await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for way in ways:
                        way.cancel()
                    await asyncio.gather(*ways, return_exceptions=True)
        finally:
            for each in (writer, there):
                if each is not None:
                    each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                await self._flowing.wait()
                writer.write(data)
                await writer.drain()
