"""What asks for another protocol, over real sockets: an offer is answered as if it were none, and no byte of its body
is a request; a handshake of a WebSocket stands by itself."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from crm_graph.api.transport.answers import Stream
from tests.support import plain
from tests.support.endless import handshake, head
from tests.support.server import RunningServer, running_server

pytestmark = pytest.mark.xdist_group("upgrades")

BODY = b'{"query": "{ __typename }"}'
INSIDE = b"GET /nowhere HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
"""A body that would be a request, were it no body."""
LAST = head("GET", "/health", b"Connection: close")
OFFERS = {
    "h2c, as by the JDK and curl": (
        b"Connection: Upgrade, HTTP2-Settings",
        b"Upgrade: h2c",
        b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
    ),
    "anything": (b"Connection: upgrade", b"Upgrade: anything"),
    "a choice": (b"Connection: keep-alive, Upgrade", b"Upgrade: h2c, websocket"),
    "two": (b"Connection: upgrade", b"Upgrade: foo/1", b"Upgrade: bar/2"),
}
WATCH = "subscription { opportunityChanged { event } }"
METRICS = "a token for metrics"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server as it is, but for streams that seldom say anything."""
    settings = {"CRM_HEARTBEAT_MS": "60000", "CRM_METRICS_TOKEN": METRICS}
    with running_server(tmp_path_factory.mktemp("upgrades") / "data", "--no-demo", **settings) as running:
        yield running


def whole(body: bytes) -> tuple[bytes, bytes]:
    """Return the header of a body, and the body."""
    return b"Content-Length: %d" % len(body), body


def chunked(body: bytes) -> tuple[bytes, bytes]:
    """Return the header of a body, and the body in two chunks."""
    pieces = (body[:9], body[9:], b"")
    return b"Transfer-Encoding: chunked", b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


FRAMINGS = {"whole": whole, "chunked": chunked}


def answers(server: RunningServer, *sent: bytes) -> tuple[list[int], bytes]:
    """Return the statuses of all answers, and all that came until the server closed the connection."""
    received = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in sent:
            raw.sendall(piece)
        while piece := raw.recv(1 << 16):
            received += piece
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", received)], received


def authorization(server: RunningServer) -> bytes:
    """Return the line of the header."""
    return f"Authorization: Bearer {server.token}".encode()


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("offer", OFFERS)
def test_an_offer_is_answered_as_if_it_were_none(server: RunningServer, offer: str, framing: str) -> None:
    """By either way, and the connection goes on."""
    line, body = FRAMINGS[framing](BODY)
    asked = head("POST", "/graphql", authorization(server), *OFFERS[offer], line) + body
    streamed = head("POST", "/graphql", authorization(server), b"Accept: text/event-stream", *OFFERS[offer], line)
    statuses, received = answers(server, asked, streamed + body, head("GET", "/health", *OFFERS[offer]), LAST)
    assert statuses == [200, 200, 200, 200]
    assert received.count(b'{"data":{"__typename":"Query"}}') == 2


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("offer", OFFERS)
def test_a_body_is_no_request(server: RunningServer, offer: str, framing: str) -> None:
    line, body = FRAMINGS[framing](INSIDE)
    statuses, _ = answers(server, head("POST", "/health", *OFFERS[offer], line) + body + LAST)
    assert statuses == [405, 200]


@pytest.mark.parametrize("framing", FRAMINGS)
def test_in_the_smallest_pieces(server: RunningServer, framing: str) -> None:
    line, body = FRAMINGS[framing](BODY)
    asked = head("POST", "/graphql", authorization(server), *OFFERS["anything"], line) + body + LAST
    statuses, _ = answers(server, *(asked[at : at + 1] for at in range(len(asked))))
    assert statuses == [200, 200]


def test_an_offer_that_ends_the_connection(server: RunningServer) -> None:
    """What comes behind it is not read."""
    line, body = whole(BODY)
    ending = b"Connection: close, upgrade", b"Upgrade: h2c"
    statuses, received = answers(server, head("POST", "/graphql", authorization(server), *ending, line) + body + LAST)
    assert statuses == [200]
    assert received.endswith(b'{"data":{"__typename":"Query"}}')


def test_an_offer_has_the_bounds_of_all(server: RunningServer) -> None:
    line, body = whole(b"x" * 400_000)
    assert answers(server, head("POST", "/graphql", *OFFERS["anything"], line), body, LAST)[0] == [413, 200]
    many = [b"X: 1"] * 1_000
    assert answers(server, head("POST", "/graphql", *OFFERS["anything"], *many))[0] == [431]


def _socket(method: str, line: bytes = b"") -> bytes:
    made = handshake("/graphql", *([line] if line else []))
    return made.replace(b"GET", method.encode(), 1)


HANDSHAKES = {
    "a body": _socket("GET", whole(INSIDE)[0]) + INSIDE,
    "chunks": _socket("GET", chunked(INSIDE)[0]) + chunked(INSIDE)[1],
    "POST": _socket("POST"),
    "POST with a body": _socket("POST", whole(INSIDE)[0]) + INSIDE,
    "CONNECT": _socket("CONNECT").replace(b"/graphql", b"127.0.0.1:80", 1) + INSIDE,
    "a tunnel": b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n\r\n" + INSIDE,
}


@pytest.mark.parametrize("bad", HANDSHAKES)
def test_no_handshake(server: RunningServer, bad: str) -> None:
    statuses, received = answers(server, HANDSHAKES[bad])
    assert statuses == [400]
    assert b"connection: close" in received


def test_a_handshake_on_a_connection_that_was_used(server: RunningServer) -> None:
    """It may say that it has no body, too."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as raw:
        line, body = whole(BODY)
        raw.sendall(head("POST", "/graphql", authorization(server), *OFFERS["anything"], line) + body)
        received = b""
        while not received.endswith(b"}"):
            received += raw.recv(1 << 16)
        raw.sendall(_socket("GET", b"Content-Length: 0"))
        assert raw.recv(1 << 16).startswith(b"HTTP/1.1 101 ")


def test_a_handshake_behind_a_request(server: RunningServer) -> None:
    """It is refused once the request has its answer."""
    line, body = whole(BODY)
    for before in (head("GET", "/health"), head("POST", "/graphql", authorization(server), line) + body):
        assert answers(server, before + handshake("/graphql"))[0] == [200, 400]
    assert answers(server, head("GET", "/health") * 2 + handshake("/graphql"))[0] == [200, 200, 400]


def _open_subscriptions(server: RunningServer) -> float:
    headers = {"Authorization": f"Bearer {METRICS}"}
    text = plain.get(f"http://127.0.0.1:{server.port}/metrics", headers=headers, timeout=20).text
    found = re.search(r"^crm_graph_subscriptions_open(?:\{.*\})? (\S+)$", text, re.MULTILINE)
    assert found is not None, text
    return float(found[1])


def _wait_for_subscriptions(server: RunningServer, count: int) -> None:
    for _ in range(2_000):
        if _open_subscriptions(server) == count:
            return
    raise AssertionError(f"{_open_subscriptions(server)} subscriptions are open, and not {count}")


def test_a_handshake_behind_a_stream(server: RunningServer) -> None:
    """The connection stays the stream's, which ends with it."""
    asked = head("GET", f"/graphql?query={quote(WATCH)}", authorization(server), b"Accept: text/event-stream")
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as raw:
        raw.sendall(asked + handshake("/graphql"))
        received = b""
        while b"id: " not in received:
            received += raw.recv(1 << 16)
        assert re.findall(rb"HTTP/1\.1 (\d+) ", received) == [b"200"]
        _wait_for_subscriptions(server, 1)
    _wait_for_subscriptions(server, 0)
    assert "Traceback" not in "".join(server.said)


async def test_a_stream_that_cannot_be_sent_closes_its_frames() -> None:
    """Wherever it is: also while the server, and not the source, is what fails."""
    told: list[str] = []

    async def frames() -> AsyncIterator[bytes]:
        try:
            while True:
                yield json.dumps("more").encode()
        finally:
            told.append("closed")

    async def receive() -> Any:
        raise RuntimeError("nobody tells that the peer left")

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise RuntimeError("the handler is closed")

    stream = frames()
    with pytest.raises((RuntimeError, ExceptionGroup)):
        await Stream(stream, lambda: told.append("ended"))({"type": "http"}, receive, send)
    assert told == ["closed", "ended"]
