"""Every byte and every second of a peer is bounded: each kind of endless or slow peer at each route, over real sockets.

Each connection ends by itself, keeps little memory meanwhile and none afterwards, and a request beside it is answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import BinaryIO

import httpx
import pytest
from graphql import get_introspection_query

from tests.support import plain
from tests.support.endless import HTTP, SOCKETS, Kind, ending, endlessly, handshake, head, nothing, resident
from tests.support.server import RunningServer, running_server

pytestmark = pytest.mark.xdist_group("endless-peers")

ROUTES = (
    *("/graphql", "/oauth/token", "/oauth/userinfo", "/oauth/authorize", "/.well-known/openid-configuration"),
    *("/exports/job_0", "/sso/idp_0/callback", "/metrics", "/health", "/account/invitation", "/nowhere"),
)
SETTINGS = {
    "CRM_IDLE_TIMEOUT_MS": "1000",
    "CRM_HEAD_TIMEOUT_MS": "1000",
    "CRM_BODY_TIMEOUT_MS": "1000",
    "CRM_SEND_TIMEOUT_MS": "900",
    "CRM_CONNECTION_INIT_MS": "700",
    "CRM_MAX_MESSAGES_PER_SECOND": "20",
    "CRM_MAX_CONNECTIONS_PER_ADDRESS": "60",
    "CRM_RATE_ADDRESS_REQUESTS": "10000000",
    "CRM_RATE_ADDRESS_COST": "10000000",
    "CRM_OAUTH_REQUESTS_PER_MINUTE": "10000000",
}
MAX_SECONDS = 12
"""Of which one is the server's patience, and the others are a busy machine's."""
MAX_GROWTH = 40 * 2**20
MAX_SENT = 24 * 2**20
"""What the kernels on the way hold included, and what is drained."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with little patience."""
    with running_server(tmp_path_factory.mktemp("endless") / "data", "--no-demo", **SETTINGS) as running:
        yield running


def patiently(ask: Callable[[], httpx.Response]) -> httpx.Response:
    """Return the answer. On a busy machine our own client can be so slow to say something that it is taken for a silent
    one; then it does what clients do, and asks again."""
    for _ in range(3):
        with suppress(httpx.ReadError, httpx.RemoteProtocolError):
            return ask()
    return ask()


def metric(server: RunningServer, name: str) -> float:
    """Return the sum of a metric's samples."""
    text = patiently(lambda: plain.get(f"http://127.0.0.1:{server.port}/metrics", timeout=10)).text
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(f"crm_graph_{name}"))


async def asked(server: RunningServer) -> float:
    """Ask as a good client does, and return how many seconds that took."""
    started, given = time.monotonic(), {"query": "{ __typename }"}

    def ask() -> httpx.Response:
        return plain.post(server.address, json=given, headers=server.headers, timeout=10)

    answer = await asyncio.to_thread(patiently, ask)
    assert answer.json() == {"data": {"__typename": "Query"}}
    return time.monotonic() - started


async def withstood(server: RunningServer, kind: Kind, routes: tuple[str, ...], *, reads: bool = True) -> list[bytes]:
    """Let one such peer come to each route at once, and assert what holds for all kinds; return what they received."""
    before, logged = resident(server.process.pid), len(server.said)
    peers = [asyncio.create_task(ending(server.port, kind(route), reads=reads)) for route in routes]
    while not all(peer.done() for peer in peers):
        assert await asked(server) < 5
        assert resident(server.process.pid) - before < MAX_GROWTH
        await asyncio.sleep(0.1)
    for route, peer in zip(routes, peers, strict=True):
        found = peer.result()
        assert found.seconds < MAX_SECONDS, (route, found.seconds)
        assert found.sent < MAX_SENT, (route, found.sent)
    async with asyncio.timeout(10):
        while metric(server, "connections_open") > 1:  # noqa: ASYNC110 - polls another process
            await asyncio.sleep(0.05)
    loud = [line for line in server.said[logged:] if "WebSocket" not in line and "connection" not in line]
    assert len(loud) <= 2 * len(routes), "".join(loud)
    assert "Traceback" not in "".join(loud)
    return [peer.result().received for peer in peers]


@pytest.mark.parametrize("kind", HTTP.values(), ids=HTTP.keys())
async def test_every_peer_comes_to_an_end(server: RunningServer, kind: Kind) -> None:
    await withstood(server, kind, ROUTES)


@pytest.mark.parametrize("kind", SOCKETS.values(), ids=SOCKETS.keys())
async def test_every_socket_comes_to_an_end(server: RunningServer, kind: Kind) -> None:
    await withstood(server, kind, ("/graphql", "/nowhere"))


async def test_who_takes_no_answer_comes_to_an_end(server: RunningServer) -> None:
    """Large ones, of the short way and of ASGI; one that was sent whole, and is not taken, does not keep us either."""
    query = json.dumps({"query": get_introspection_query()}).encode()
    headers = [f"{name}: {value}".encode() for name, value in server.headers.items()]
    short = head("POST", "/graphql", *headers, b"Content-Length: %d" % len(query)) + query
    asset = head("GET", "/graphiql/assets/graphiql.min.js")
    for requests in (short, asset):
        await withstood(server, lambda _, sent=requests: endlessly(b"", sent, 0.01), ("/",), reads=False)  # type: ignore[misc]


async def test_300_silent_connections(server: RunningServer) -> None:
    """As many as one address may have stay for a moment; the others are told to come again, and all of them end."""
    peers = [ending(server.port, nothing()) for _ in range(300)]
    ended = await asyncio.gather(*peers)
    refused = [each for each in ended if each.statuses == [503]]
    assert 220 <= len(refused) <= 260
    assert b"retry-after: 5" in refused[0].received
    assert all(each.received == b"" for each in ended if each not in refused)
    assert metric(server, "connections_refused_total") >= len(refused)
    assert await asked(server) < 5


def test_who_never_hangs_up_is_gone_all_the_same(server: RunningServer) -> None:
    """On our side nothing is left of a connection that its peer keeps, whatever way it ended."""
    beginnings = [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nX: " + b"x" * 40_000, b"nonsense\r\n\r\n"]
    beginnings += [head("POST", "/graphql", b"Content-Length: 9"), head("GET", "/health"), handshake("/graphql")]
    files = f"/proc/{server.process.pid}/fd"
    before = len(os.listdir(files))
    with ExitStack() as stack:
        for number in range(84):
            raw = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10))
            with suppress(OSError):
                raw.sendall(beginnings[number % len(beginnings)])
        deadline = time.monotonic() + 25  # 10 of them are uvicorn's patience with a WebSocket that is closed
        while len(os.listdir(files)) > before and time.monotonic() < deadline:
            time.sleep(0.1)
        assert len(os.listdir(files)) <= before


async def test_requests_one_behind_another(server: RunningServer) -> None:
    """A thousand are answered, in order, and wait as bytes: an answer takes 20 times what its request takes."""
    requests = b"".join(head("GET", f"/account/{number}") + head("GET", "/health") for number in range(500))
    before = resident(server.process.pid)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(requests + head("GET", "/health", b"Connection: close"))
    received = await asyncio.wait_for(reader.read(-1), 60)
    writer.close()
    statuses = [int(part[:3]) for part in received.split(b"HTTP/1.1 ")[1:]]
    assert statuses == [404, 200] * 500 + [200]
    assert resident(server.process.pid) - before < MAX_GROWTH


@pytest.mark.parametrize("media", ["application/json", "text/event-stream"], ids=["short way", "asgi"])
def test_a_trailer_is_no_header(server: RunningServer, media: str) -> None:
    """Not of its request, and not of the next one on the connection: a proxy puts other people's requests there."""
    token = server.headers["Authorization"].encode()
    body = b'{"query":"{ __typename }"}'
    chunk = b"%x\r\n%s\r\n" % (len(body), body)
    trailers = b"0\r\nAuthorization: " + token + b"\r\n\r\n"
    first = head("POST", "/graphql", b"Accept: " + media.encode(), b"Transfer-Encoding: chunked")
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    with connection, connection.makefile("rb") as answers:
        for _ in range(2):
            connection.sendall(first + chunk + trailers)
            assert _status(answers) == 401


@pytest.mark.parametrize(
    ("size", "status"), [(31 * 1024, 200), (33 * 1024, 431), (60 * 1024, 431)], ids=["fits", "too long", "far too long"]
)
@pytest.mark.parametrize("before", [0, 1], ids=["first", "behind a large body"])
def test_the_size_of_a_head_is_its_own(server: RunningServer, size: int, status: int, before: int) -> None:
    """A body before it, and one behind it, count for nothing."""
    token = b"Authorization: " + server.headers["Authorization"].encode()
    body = b'{"query":"{ __typename }", "variables": {"x": "%s"}}' % (b"x" * 200_000)
    first = head("POST", "/graphql", token, b"Content-Length: %d" % len(body)) + body
    small = body.replace(b"x" * 199_000, b"")
    second = head("POST", "/graphql", token, b"X-Long: " + b"a" * size, b"Content-Length: %d" % len(small)) + small
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    with connection, connection.makefile("rb") as answers:
        connection.sendall(first * before + second)
        found = [_status(answers) for _ in range(before + 1)]
    assert found == [200] * before + [status]


def _status(answers: BinaryIO) -> int:
    """Read one answer, and return its status."""
    status, length = int(answers.readline().split()[1]), 0
    while (line := answers.readline().strip()) != b"":
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    answers.read(length)
    return status


def test_a_body_too_long_is_said_to_be(server: RunningServer) -> None:
    """Whoever sends it all before reading anything gets the answer too, and the connection goes on."""
    with plain.client(base_url=f"http://127.0.0.1:{server.port}", headers=server.headers, timeout=20) as client:
        for content in (b"x" * 3_000_000, iter([b"x" * 100_000] * 30)):
            answer = client.post("/graphql", content=content, headers={"Content-Type": "application/json"})
            assert answer.status_code == 413
        assert client.post("/oauth/token", content=b"x" * 100_000).status_code in {400, 413}
