"""What doctor says of the way that clients come in: asked of a real server, through a real proxy or none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from crm_graph.cli.operating.reach import check_reach
from crm_graph.kernel.settings import Settings
from tests.support.server import RunningServer, free_port, running_server

pytestmark = pytest.mark.xdist_group("reach")
TRUSTING = {"CRM_TRUSTED_PROXIES": "127.0.0.1"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("reach") / "data", "--no-demo") as running:
        yield running


@asynccontextmanager
async def proxy(to_port: int) -> AsyncIterator[str]:
    """Lend a proxy that says for whom it forwards."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", to_port)
        first, _, rest = head.partition(b"\r\n")
        server_writer.write(first + b"\r\nX-Forwarded-For: 203.0.113.7\r\nConnection: close\r\n" + rest)
        writer.write(await server_reader.read(-1))
        for each in (writer, server_writer):
            each.close()

    listening = await asyncio.start_server(forward, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def told(**settings: str) -> dict[str, bool]:
    """Return what doctor says is to be mended, and whether the installation works until then."""
    return {what: works for what, fix, works in await check_reach(Settings(**settings)) if fix}  # type: ignore[arg-type]


async def test_a_proxy_that_is_not_trusted_is_told(server: RunningServer) -> None:
    async with proxy(server.port) as address:
        assert await told(public_url=address) == {
            "the proxy in front is not trusted: all clients count as one address": False
        }


async def test_a_proxy_that_is_trusted_is_well(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", "--no-demo", **TRUSTING) as server:
        async with proxy(server.port) as address:
            assert await told(public_url=address, trusted_proxies="127.0.0.1") == {}


async def test_no_proxy(server: RunningServer) -> None:
    own = f"http://127.0.0.1:{server.port}"
    assert await told(public_url=own) == {}
    assert await told(public_url=own, trusted_proxies="10.0.0.0/8") == {
        "CRM_TRUSTED_PROXIES is set, but requests come without X-Forwarded-For": True
    }


async def test_what_is_not_set_and_what_is_not_there(server: RunningServer) -> None:
    unset = await told()
    assert [what.partition(" ")[0] for what in unset] == ["CRM_PUBLIC_URL", "CRM_TRUSTED_PROXIES"]
    assert all(unset.values())
    (away,) = await told(public_url=f"http://127.0.0.1:{free_port()}")
    assert "cannot be reached from here" in away
    (other,) = await told(public_url=f"http://127.0.0.1:{server.port}/graphiql/assets")
    assert "does not answer as crm-graph does" in other


async def test_an_address_that_is_not_https() -> None:
    scheme, _ = await told(public_url="http://crm.invalid")
    assert scheme == "CRM_PUBLIC_URL=http://crm.invalid is not https: tokens and passwords pass in clear"
