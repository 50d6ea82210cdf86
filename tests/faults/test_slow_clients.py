"""Clients that stop reading, over real sockets: they are cut off, cost little until then, and go on without a gap."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets import Subprotocol
from websockets.asyncio.client import connect

from crm_graph.kernel.ids import new_id
from tests.faults.clients import Client, until
from tests.faults.expected import expected, read_log
from tests.faults.installation import Installation, installed
from tests.faults.test_streams import mutate, position, streaming
from tests.support import plain

pytestmark = pytest.mark.xdist_group("faults")

ALIASES, STEP = 30, "x" * 2_000
"""Each answer is about 60 kB."""
METRICS = "a token for metrics"
GROUPS, PER_GROUP, CHANGES = 3, 4, 90
MAX_GROWTH = 64 * 2**20
"""Without bounds it were about 130 MB: 24 clients, 90 answers for each, of which the kernel takes 4 MB."""
SETTINGS = {"CRM_SUBSCRIPTION_QUEUE_SIZE": "20", "CRM_SEND_TIMEOUT_MS": "4000", "CRM_METRICS_TOKEN": METRICS}


@pytest.fixture(scope="module")
async def installation(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """One API process with a short queue and little patience."""
    async with installed(tmp_path_factory.mktemp("slow"), 1, worker=False, **SETTINGS) as running:
        yield running


def document(group: int) -> str:
    """Return a subscription whose answers are large, and another one in each group."""
    names = " ".join(f"g{group}a{number}: nextStep" for number in range(ALIASES))
    change = f"opportunityChanged(after: $after) {{ cursor opportunity {{ {names} }} }}"
    return f"subscription ($after: Cursor) {{ {change} }}"


async def socket_to(port: int) -> socket.socket:
    """Return a connection that takes little by itself."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.setblocking(False)
    await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
    return made


@asynccontextmanager
async def stalled_websocket(port: int, token: str, payload: dict[str, Any]) -> AsyncIterator[None]:
    """Subscribe, take one message, and read no more."""
    made = await socket_to(port)
    async with connect(
        f"ws://127.0.0.1:{port}/graphql",
        sock=made,
        subprotocols=[Subprotocol("graphql-transport-ws")],
        compression=None,
        max_queue=1,
        ping_interval=None,
        close_timeout=0.05,
    ) as ws:
        await ws.send(json.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}}))
        await ws.recv()
        await ws.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
        said = json.loads(await ws.recv())
        assert said["type"] == "ping", said
        yield


@asynccontextmanager
async def stalled_sse(port: int, token: str, payload: dict[str, Any]) -> AsyncIterator[None]:
    """Subscribe, take the first bytes, and read no more."""
    reader, writer = await asyncio.open_connection(sock=await socket_to(port), limit=4096)
    body = json.dumps(payload)
    head = [
        *("POST /graphql HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json", "Accept: text/event-stream"),
        *(f"Authorization: Bearer {token}", f"Content-Length: {len(body)}", "", ""),
    ]
    writer.write("\r\n".join(head).encode() + body.encode())
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    try:
        yield
    finally:
        writer.transport.abort()


async def fat(installation: Installation, owner: str) -> None:
    """Open an opportunity with a long next step."""
    given = {"id": f"opp_{new_id()}", "name": "fat", "nextStep": STEP, "ownerId": f"mem_{owner}"}
    await mutate(installation, "createOpportunity", given, api=0)


async def open_subscriptions(installation: Installation) -> int:
    """Return how many subscriptions the process has."""
    address = installation.apis[0].address.replace("/graphql", "/metrics")
    async with plain.async_client(headers={"Authorization": f"Bearer {METRICS}"}) as http:
        text = (await http.get(address)).text
    (line,) = [each for each in text.splitlines() if each.startswith("crm_graph_subscriptions_open ")]
    return int(float(line.split()[1]))


def resident(installation: Installation) -> int:
    """Return the bytes of memory that the process holds."""
    assert installation.apis[0].running is not None
    status = Path(f"/proc/{installation.apis[0].running.pid}/status").read_text()
    (line,) = [each for each in status.splitlines() if each.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


async def test_who_does_not_read_is_cut_off_and_goes_on(installation: Installation) -> None:
    (admin, *_) = await installation.members("admin")
    token, (process,) = installation.token(admin), installation.apis
    assert process.port is not None
    start = await position(installation)
    payloads = [
        {"query": document(group), "variables": {"after": start.encode()}}
        for group in range(GROUPS)
        for _ in range(PER_GROUP)
    ]
    await fat(installation, admin)
    async with AsyncExitStack() as stack:
        for payload in payloads:
            await stack.enter_async_context(stalled_websocket(process.port, token, payload))
            await stack.enter_async_context(stalled_sse(process.port, token, payload))
        assert await open_subscriptions(installation) == len(payloads) * 2
        before = resident(installation)
        for _ in range(CHANGES):
            await fat(installation, admin)
        growth = resident(installation) - before
        assert growth < MAX_GROWTH, f"{growth >> 20} MB"
        async with asyncio.timeout(60):
            while await open_subscriptions(installation):  # noqa: ASYNC110 - polls another process
                await asyncio.sleep(0.1)

    clients = [Client(each, each, "Opportunity", token, start.encode()) for each in ("ws", "sse")]
    wanted = expected(await read_log(installation, "Opportunity", {}), "Opportunity", start, None)
    async with streaming(clients, lambda: process.address):
        await until(lambda: all(len(each.received) >= len(wanted) for each in clients))
    for client in clients:
        assert client.received == wanted
