"""Postgres stops answering, for longer than any time limit: everybody is answered in time, and then all goes on.

Nothing is closed or refused: packets are taken, and no answer comes. The limits are a second, so whoever is told after
two was told in time.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from crm_graph.db import embedded
from crm_graph.domains.identity.clients.keys import make_key
from tests.support import plain
from tests.support.frozen import frozen
from tests.support.server import RunningServer, running_server

pytestmark = pytest.mark.xdist_group("frozen")

LIMIT_S = 1.0
IN_TIME_S = LIMIT_S + 10
RECOVERY_S = 15
COUNT = "{ customers { totalCount } }"
PAGE = "{ customers(first: 2) { totalCount nodes { id owner { name } tickets { totalCount nodes { id } } } } }"
CREATE = 'mutation { createCustomer(input: {name: "Nobody answers"}) { customer { id } errors { code } } }'
SIGN_IN = 'mutation { signIn(input: {email: "a@example.com", password: "wrong"}) { accessToken errors { code } } }'
WATCH = "subscription { customerChanged { cursor recordId } }"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server whose operations may take a second."""
    data = tmp_path_factory.mktemp("frozen") / "data"
    settings = {"CRM_QUERY_TIMEOUT_MS": "1000", "CRM_MUTATION_TIMEOUT_MS": "1000"}
    # The server's process must not own Postgres: the one that does is the test's.
    with embedded.running(data), running_server(data, **settings) as running:
        yield running


@asynccontextmanager
async def client_of(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    """Lend a client that waits for longer than the server may take."""
    address = server.address.removesuffix("/graphql")
    async with plain.async_client(base_url=address, headers=server.headers, timeout=30) as client:
        yield client


async def ask(client: httpx.AsyncClient, query: str, **more: str) -> httpx.Response:
    """Return the answer to an operation."""
    return await client.post("/graphql", json={"query": query}, headers=more)


async def count(client: httpx.AsyncClient) -> int:
    """Return how many customers there are."""
    return int((await ask(client, COUNT)).json()["data"]["customers"]["totalCount"])


async def comes_back(client: httpx.AsyncClient) -> None:
    """Wait until everything works: by itself, and soon."""
    deadline = time.monotonic() + RECOVERY_S
    while True:
        answers = await asyncio.gather(*(ask(client, COUNT) for _ in range(12)), ask(client, CREATE))
        if all("errors" not in answer.json() for answer in answers):
            return
        assert time.monotonic() < deadline, [answer.text for answer in answers]
        await asyncio.sleep(0.2)


async def in_time(asking: Awaitable[httpx.Response]) -> httpx.Response:
    """Return an answer that came, and not as late as one that waits for the database."""
    started = time.monotonic()
    answer = await asking
    assert time.monotonic() - started < IN_TIME_S
    return answer


Ask = Callable[[httpx.AsyncClient], Awaitable[httpx.Response]]
KEY = make_key("0" * 32, "1" * 32).text
TOKEN = {"grant_type": "refresh_token", "refresh_token": "x" * 43, "client_id": "apc_" + "0" * 32}
DOORS: dict[str, tuple[Ask, int, str]] = {
    "a query": (lambda client: ask(client, PAGE), 504, "TIMEOUT"),
    "a mutation": (lambda client: ask(client, CREATE), 504, "TIMEOUT"),
    "a sign-in": (lambda client: ask(client, SIGN_IN, Authorization=""), 504, "TIMEOUT"),
    "an API key": (
        lambda client: ask(client, COUNT, Authorization=f"Bearer {KEY}"),
        504,
        "TIMEOUT",
    ),
    "a token": (lambda client: client.post("/oauth/token", data=TOKEN), 503, "temporarily_unavailable"),
    "who am I": (lambda client: client.get("/oauth/userinfo"), 503, "temporarily_unavailable"),
    "a file": (lambda client: client.get("/exports/job_" + "0" * 32), 503, "temporarily_unavailable"),
    "ready": (lambda client: client.get("/ready"), 503, "unavailable"),
}


@pytest.mark.parametrize("door", DOORS)
async def test_every_door_answers_in_time(server: RunningServer, door: str) -> None:
    """Connections at hand, then new ones that are never accepted: and more at once than there are connections."""
    asking, status, word = DOORS[door]
    async with client_of(server) as client:
        await comes_back(client)
        before = await count(client)
        with frozen(server.data):
            for _ in range(2):
                answers = await asyncio.gather(*(in_time(asking(client)) for _ in range(15)))
                known = {429, 503}  # a member's own operations take all places; the process knows of the outage by then
                assert {answer.status_code for answer in answers} <= {status, *known}
                assert all(word in answer.text or answer.status_code in known for answer in answers)
        await comes_back(client)
        assert await count(client) == before + 1, "what was not confirmed was not done: but for the one that came back"


@asynccontextmanager
async def socket(server: RunningServer) -> AsyncIterator[ClientConnection]:
    """Lend an initialised WebSocket."""
    address = server.address.replace("http:", "ws:")
    async with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as made:
        await made.send(json.dumps({"type": "connection_init", "payload": server.headers}))
        assert json.loads(await made.recv()) == {"type": "connection_ack"}
        yield made


async def test_sockets(server: RunningServer) -> None:
    """An operation on a socket ends in time; a subscription that was there before goes on and has missed nothing."""
    async with client_of(server) as client, socket(server) as made:
        await comes_back(client)
        await made.send(json.dumps({"id": "live", "type": "subscribe", "payload": {"query": WATCH}}))
        await asyncio.sleep(1)
        with frozen(server.data):
            started = time.monotonic()
            for id_, query in {"late": WATCH, "query": PAGE}.items():
                await made.send(json.dumps({"id": id_, "type": "subscribe", "payload": {"query": query}}))
            ended: dict[str, str] = {}
            while set(ended) != {"late", "query"}:
                message = json.loads(await made.recv())
                if message["type"] == "error":
                    ended[message["id"]] = message["payload"][0]["extensions"]["code"]
            assert set(ended.values()) <= {"TIMEOUT", "UNAVAILABLE"}
            assert time.monotonic() - started < IN_TIME_S
            await asyncio.sleep(3 * LIMIT_S)
        await comes_back(client)
        async with asyncio.timeout(RECOVERY_S):
            while True:
                message = json.loads(await made.recv())
                assert message["type"] != "error", message
                if message["type"] == "next":
                    assert message["id"] == "live"
                    break


async def test_it_is_an_outage_as_soon_as_it_is_known(server: RunningServer) -> None:
    """Nobody is told to ask for less, or more seldom, and each is told in time: and the log has no line of any."""
    async with client_of(server) as client:
        await comes_back(client)
        with frozen(server.data):
            for query in (COUNT, CREATE):
                async with asyncio.timeout(RECOVERY_S):
                    while (await ask(client, query)).status_code != 503:
                        pass
            said = len(server.said)
            for query in (PAGE, CREATE):
                answers = await asyncio.gather(*(in_time(ask(client, query)) for _ in range(30)))
                for answer in answers:
                    assert answer.status_code == 503, answer.text
                    assert answer.headers["Retry-After"] == "1"
                    assert answer.json()["errors"][0]["extensions"]["code"] == "UNAVAILABLE"
            assert not [line for line in server.said[said:] if "crm_graph.requests" in line]
        await comes_back(client)


async def test_the_log_says_it_once(server: RunningServer) -> None:
    """Not a line, let alone a traceback, of each request, but for those that `CRM_LOG_REQUESTS` asks for."""
    async with client_of(server) as client:
        await comes_back(client)
        said = len(server.said)
        with frozen(server.data):
            for _ in range(2):
                await asyncio.gather(*(ask(client, PAGE) for _ in range(20)))
        await comes_back(client)
    lines = [line for line in server.said[said:] if "HTTP/1.1" not in line and "crm_graph.requests" not in line]
    assert not [line for line in lines if "Traceback" in line], "".join(lines)
    assert len(lines) < 20, "".join(lines)


async def test_the_process_ends_while_the_database_is_away(tmp_path: Path) -> None:
    """It is not held up for long by what cannot be closed in order."""
    data = tmp_path / "data"
    with embedded.running(data), running_server(data, CRM_DRAIN_MS="1000") as running:
        async with client_of(running) as client:
            assert (await client.get("/ready")).status_code == 200
        with frozen(data):
            running.process.terminate()
            await asyncio.to_thread(running.process.wait, 60)
