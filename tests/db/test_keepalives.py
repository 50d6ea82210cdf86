"""A host that is gone is noticed in seconds, by both ends of a connection for LISTEN or a lock."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncIterator

import asyncpg
import pytest

from crm_graph.db.connecting import KEEPALIVE, close, connect
from tests.support.server import free_port


@pytest.fixture
async def tcp_url(database_url: str) -> AsyncIterator[str]:
    """The address of a database through TCP: a forwarder to the Unix socket of the server of this worker."""
    import asyncio
    from urllib.parse import parse_qs, urlsplit

    split = urlsplit(database_url)
    asked = parse_qs(split.query)
    if "host" not in asked:
        yield database_url
        return
    path = f"{asked['host'][0]}/.s.PGSQL.{asked['port'][0]}"
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_there, there = await asyncio.open_unix_connection(path)
        for task in (asyncio.create_task(pump(reader, there)), asyncio.create_task(pump(from_there, writer))):
            tasks.add(task)

    port = free_port()
    server = await asyncio.start_server(accepted, "127.0.0.1", port)
    yield f"postgresql://{split.username}@127.0.0.1:{port}{split.path}"
    server.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_both_ends_are_told(tcp_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KEEPALIVE, "seconds", 7)
    connection = await connect(tcp_url)
    try:
        transport = connection._transport  # type: ignore[attr-defined]
        with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as ours:
            assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 1
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 7
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 14_000
        asked = "SELECT setting FROM pg_settings WHERE name = $1"
        source = "SELECT source FROM pg_settings WHERE name = 'tcp_keepalives_idle'"
        assert await connection.fetchval(source) == "client"
        assert await connection.fetchval(asked, "tcp_keepalives_idle") in {"7", "0"}  # 0: here it is a Unix socket
    finally:
        await close(connection)


async def test_a_unix_socket_needs_none(database_url: str) -> None:
    connection = await connect(database_url)
    assert await connection.fetchval("SELECT 1") == 1
    await close(connection)
    assert isinstance(connection, asyncpg.Connection)
