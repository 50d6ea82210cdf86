"""A statement that nobody waits for any more is cancelled, and its connection is as good as before.

A lock held on a table makes a query wait in Postgres; then its time runs out or its client leaves. The server has one
connection in each pool, so that one which is lost, or comes back in a transaction, shows in the next answer.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import asyncpg
import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from crm_graph.db import embedded
from tests.support import plain
from tests.support.server import RunningServer, running_server

pytestmark = pytest.mark.xdist_group("cancellation")

COUNT = "{ customers { totalCount } }"
PAGE = "{ customers(first: 2) { totalCount nodes { id owner { name } } } }"
SIBLINGS = (
    "{ a: customers { totalCount nodes { id } } b: customers(first: 1) { totalCount } c: members { totalCount } }"
)
CREATE = 'mutation { createCustomer(input: {name: "Nobody waits"}) { customer { id } errors { code } } }'
BELOW = "{ customers(first: 2) { nodes { tickets { totalCount nodes { id } } } } }"
SOON_S = 5

WAITING = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'crm-graph' AND state = 'active' AND wait_event_type = 'Lock'
"""
UNCLEAN = """
SELECT count(*) FROM pg_stat_activity
WHERE application_name = 'crm-graph' AND state IN ('active', 'idle in transaction', 'idle in transaction (aborted)')
"""


@dataclass(frozen=True, slots=True)
class Watched:
    """A server and its database."""

    server: RunningServer
    url: str

    @asynccontextmanager
    async def locked(self, table: str = "customer") -> AsyncIterator[asyncpg.Connection[Any]]:
        """Hold a lock that stops all that reads a table; lends a connection that sees who waits."""
        holder, observer = await asyncpg.connect(self.url), await asyncpg.connect(self.url)
        try:
            async with holder.transaction():
                await holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
                yield observer
        finally:
            await holder.close()
            await observer.close()

    async def request(self, query: str, accept: str = "application/json", timeout_s: float = 10) -> httpx.Response:
        """Return the answer to a POST."""
        async with plain.async_client(timeout=timeout_s) as client:
            return await client.post(
                self.server.address, json={"query": query}, headers={**self.server.headers, "Accept": accept}
            )

    async def customers(self) -> int:
        """Return how many customers the graph has: the same server, asked again."""
        answer = await self.request(COUNT)
        assert answer.status_code == 200
        return int(answer.json()["data"]["customers"]["totalCount"])


async def becomes(observer: asyncpg.Connection[Any], query: str, wanted: int) -> None:
    """Wait until a count is as wanted."""
    deadline = time.monotonic() + SOON_S
    while (found := await observer.fetchval(query)) != wanted:
        assert time.monotonic() < deadline, f"{found} statements, not {wanted}"
        await asyncio.sleep(0.01)


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A server whose queries may wait for long."""
    data = tmp_path_factory.mktemp("patient") / "data"
    settings = {"CRM_READ_POOL_SIZE": "1", "CRM_WRITE_POOL_SIZE": "1"}
    with running_server(data, **settings) as server, embedded.running(data) as postgres:
        yield Watched(server, postgres.url)


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A server whose queries and mutations may take half a second."""
    data = tmp_path_factory.mktemp("hasty") / "data"
    settings = {
        "CRM_READ_POOL_SIZE": "1",
        "CRM_WRITE_POOL_SIZE": "1",
        "CRM_QUERY_TIMEOUT_MS": "500",
        "CRM_MUTATION_TIMEOUT_MS": "500",
    }
    with running_server(data, **settings) as server, embedded.running(data) as postgres:
        yield Watched(server, postgres.url)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """A server with two reading connections, both of which one member may have."""
    data = tmp_path_factory.mktemp("wide") / "data"
    settings = {"CRM_READ_POOL_SIZE": "2", "CRM_MEMBER_READ_CONNECTIONS": "2"}
    with running_server(data, **settings) as server, embedded.running(data) as postgres:
        yield Watched(server, postgres.url)


@pytest.mark.parametrize("query", [COUNT, PAGE, SIBLINGS, CREATE], ids=["count", "page", "siblings", "mutation"])
async def test_a_timeout(hasty: Watched, query: str) -> None:
    """504 TIMEOUT in time, no statement left behind, nothing written, and the next answer is right."""
    before = await hasty.customers()
    async with hasty.locked() as observer:
        started = time.monotonic()
        answer = await hasty.request(query)
        assert time.monotonic() - started < 3
        assert (answer.status_code, answer.json()["errors"][0]["extensions"]["code"]) == (504, "TIMEOUT")
        assert "data" not in answer.json()
        await becomes(observer, WAITING, 0)
    assert await hasty.customers() == before


async def test_timeouts_in_a_row(hasty: Watched) -> None:
    """Each gives its connection back, else the second would wait for the pool; waiting for the pool times out too."""
    before = await hasty.customers()
    async with hasty.locked() as observer:
        answers = await asyncio.gather(*(hasty.request(PAGE) for _ in range(10)))
        assert {answer.status_code for answer in answers} == {504}
        await becomes(observer, WAITING, 0)
    assert await asyncio.gather(*(hasty.customers() for _ in range(10))) == [before] * 10


async def send_http(watched: Watched, head: str, body: bytes = b"") -> asyncio.StreamWriter:
    """Send a request and return its socket."""
    lines = [head, "Host: 127.0.0.1", f"Authorization: Bearer {watched.server.token}", "Content-Type: application/json"]
    lines += [f"Content-Length: {len(body)}"] if body else []
    _, writer = await asyncio.open_connection("127.0.0.1", watched.server.port)
    writer.write("\r\n".join((*lines, "", "")).encode() + body)
    await writer.drain()
    return writer


async def leave_http(watched: Watched, observer: asyncpg.Connection[Any], head: str, body: bytes = b"") -> None:
    """Send a request, wait until it waits in Postgres, and close the socket."""
    writer = await send_http(watched, head, body)
    await becomes(observer, WAITING, 1)
    writer.close()
    await writer.wait_closed()


def post(query: str, accept: str = "application/json") -> tuple[str, bytes]:
    """Return the head and body of a POST."""
    return f"POST /graphql HTTP/1.1\r\nAccept: {accept}", json.dumps({"query": query}).encode()


LEFT: dict[str, tuple[str, bytes]] = {
    "POST": post(PAGE),
    "POST of siblings": post(SIBLINGS),
    "GET": (f"GET /graphql?{urlencode({'query': PAGE})} HTTP/1.1\r\nAccept: application/json", b""),
    "a mutation": post(CREATE),
    "a query as an event stream": post(PAGE, "text/event-stream"),
}


@pytest.mark.parametrize(("head", "body"), LEFT.values(), ids=LEFT.keys())
async def test_a_client_that_leaves(patient: Watched, head: str, body: bytes) -> None:
    """Its statement goes while the lock is still held; a mutation has written nothing."""
    before = await patient.customers()
    async with patient.locked() as observer:
        await leave_http(patient, observer, head, body)
        await becomes(observer, WAITING, 0)
        await becomes(observer, UNCLEAN.replace("('active', ", "("), 0)
    assert await patient.customers() == before


async def test_50_clients_that_leave(patient: Watched) -> None:
    """One after the other, and all at once: the one connection of the pool is there for the next request."""
    before = await patient.customers()
    async with patient.locked() as observer:
        for _ in range(50):
            await leave_http(patient, observer, *post(PAGE))
            await becomes(observer, WAITING, 0)
    assert await patient.customers() == before
    async with patient.locked() as observer:
        writers = await asyncio.gather(*(send_http(patient, *post(PAGE)) for _ in range(50)))
        await becomes(observer, WAITING, 1)
        for writer in writers:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in writers))
        await becomes(observer, WAITING, 0)
    assert await asyncio.gather(*(patient.customers() for _ in range(10))) == [before] * 10


@asynccontextmanager
async def socket(watched: Watched) -> AsyncIterator[ClientConnection]:
    """Lend an initialised WebSocket."""
    address = watched.server.address.replace("http:", "ws:")
    async with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as made:
        await made.send(json.dumps({"type": "connection_init", "payload": watched.server.headers}))
        assert json.loads(await made.recv()) == {"type": "connection_ack"}
        yield made


@pytest.mark.parametrize("query", [PAGE, CREATE], ids=["query", "mutation"])
@pytest.mark.parametrize("how", ["complete", "close", "abort"])
async def test_a_socket_that_leaves(patient: Watched, how: str, query: str) -> None:
    """By a `complete` for the one operation, by a closing handshake, and by a connection that breaks."""
    before = await patient.customers()
    async with patient.locked() as observer, socket(patient) as made:
        await made.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": query}}))
        await becomes(observer, WAITING, 1)
        if how == "complete":
            await made.send(json.dumps({"id": "1", "type": "complete"}))
        elif how == "close":
            await made.close()
        else:
            made.transport.abort()
        await becomes(observer, WAITING, 0)
    assert await patient.customers() == before


async def test_the_settings_of_a_connection_are_as_before(patient: Watched) -> None:
    """No transaction stays open, and no setting of a cancelled one: a mutation and a query after it are as ever."""
    before = await patient.customers()
    async with patient.locked() as observer:
        await leave_http(patient, observer, *post(CREATE))
        await becomes(observer, WAITING, 0)
    made = (await patient.request(CREATE)).json()["data"]["createCustomer"]
    assert made["errors"] == []
    assert await patient.customers() == before + 1
    observer = await asyncpg.connect(patient.url)
    try:
        await becomes(observer, UNCLEAN, 0)
    finally:
        await observer.close()


async def test_a_statement_that_outlives_its_sibling(wide: Watched) -> None:
    """A page and its count run beside each other. When one fails, the other's connection comes back all the same."""
    before = await wide.customers()
    for _ in range(4):
        await asyncio.gather(*(wide.customers() for _ in range(10)))  # both connections lie at hand now
        async with wide.locked("ticket") as observer:
            answering = asyncio.ensure_future(wide.request(BELOW))
            await becomes(observer, WAITING, 2)
            await observer.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'crm-graph' AND wait_event_type = 'Lock' ORDER BY pid LIMIT 1"
            )
            await becomes(observer, WAITING, 1)
            await asyncio.sleep(0.1)
        answer = (await answering).json()
        assert answer["errors"][0]["extensions"]["code"] == "TIMEOUT"
    assert await asyncio.gather(*(wide.customers() for _ in range(10))) == [before] * 10
