"""Operations that a WebSocket is refused, over real sockets: they cost no memory, are counted, and end nothing else."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from graphql import get_introspection_query

from tests.api.test_sockets import WATCH, WHO, asks, closed, hear, opened, say
from tests.support import plain
from tests.support.endless import frame, handshake
from tests.support.server import RunningServer, running_server

pytestmark = pytest.mark.xdist_group("websocket-refusals")

MOST = 5
PAD = "x" * 200_000
MANY = 400
"""Times PAD is 80 MB."""
MAX_SENT = 30_000_000
"""What the kernels of both sides take, and what is read at once."""
SETTINGS = {
    "CRM_MAX_SUBSCRIPTIONS": str(MOST),
    "CRM_MAX_MESSAGES_PER_SECOND": "1000000",
    "CRM_RATE_MEMBER_REQUESTS": "1000000",
    "CRM_RATE_MEMBER_COST": "1000000000",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server where few operations run at once, and all may come fast."""
    with running_server(tmp_path_factory.mktemp("refusals") / "data", **SETTINGS) as running:
        yield running


def _text(**message: Any) -> bytes:
    return frame(1, json.dumps(message).encode())


def test_who_takes_no_refusals_is_not_read(server: RunningServer) -> None:
    """Its way back is full of answers; then what it asks beyond the limit stays with it."""
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 64 * 1024)
        raw.settimeout(3)
        raw.connect(("127.0.0.1", server.port))
        raw.sendall(handshake("/graphql"))
        assert raw.recv(1 << 10).startswith(b"HTTP/1.1 101 ")
        raw.sendall(_text(type="connection_init", payload={"Authorization": f"Bearer {server.token}"}))
        assert b"connection_ack" in raw.recv(1 << 10)
        sent = 0
        try:
            for number in range(100):
                raw.sendall(_text(type="subscribe", id=f"b{number}", payload={"query": get_introspection_query()}))
            for number in range(MANY):
                payload = {"query": "{ __typename }", "variables": {"a": PAD}}
                raw.sendall(_text(type="subscribe", id=str(number), payload=payload))
                sent += len(PAD)
        except OSError:  # nobody takes it any more, or we were hung up on
            pass
    assert sent < MAX_SENT
    with opened(server) as socket_:
        asks(socket_, "1", WHO)
        assert hear(socket_)["payload"]["data"] == {"viewer": {"roles": ["admin"]}}


def test_what_is_refused_is_told_in_order(server: RunningServer) -> None:
    with opened(server) as socket_:
        for number in range(MOST):
            asks(socket_, str(number), WATCH)
        for number in range(200):
            asks(socket_, f"more{number}", WHO)
        refused = [hear(socket_) for _ in range(200)]
        assert [each["id"] for each in refused] == [f"more{number}" for number in range(200)]
        assert {each["payload"][0]["extensions"]["code"] for each in refused} == {"RATE_LIMITED"}
        say(socket_, type="complete", id="0")
        asks(socket_, "more0", WHO)
        assert hear(socket_)["type"] == "next", "an id that was refused is free again"


def test_what_is_refused_is_counted(tmp_path: Path) -> None:
    settings = {**SETTINGS, "CRM_RATE_MEMBER_REQUESTS": "60"}
    with running_server(tmp_path / "data", **settings) as server, opened(server) as socket_:
        for number in range(MOST):
            asks(socket_, str(number), WATCH)
        for number in range(200):
            asks(socket_, f"more{number}", WHO)
        said = [hear(socket_)["payload"][0]["message"] for _ in range(200)]
        assert "At most 5 operations run on one connection" in said[0]
        assert "At most 5 operations run on one connection" not in said[-1], "by now it has asked too much of all"
        answer = plain.post(server.address, json={"query": WHO}, headers=server.headers, timeout=20)
        assert answer.status_code == 429


WRONG: dict[str, dict[str, Any]] = {
    "no value": {"query": WHO, "onError": "SOMETIMES"},
    "no value within": {"query": WHO, "extensions": {"onError": 7}},
    "two values": {"query": WHO, "onError": "NULL", "extensions": {"onError": "HALT"}},
}


@pytest.mark.parametrize("payload", WRONG.values(), ids=WRONG.keys())
def test_a_wrong_on_error_is_an_error_of_its_operation(server: RunningServer, payload: dict[str, Any]) -> None:
    """What runs beside it goes on."""
    with opened(server) as socket_:
        asks(socket_, "runs", WATCH)
        say(socket_, type="subscribe", id="wrong", payload=payload)
        refused = hear(socket_)
        assert (refused["type"], refused["id"]) == ("error", "wrong")
        assert refused["payload"][0]["extensions"]["code"] == "BAD_USER_INPUT"
        assert "onError" in refused["payload"][0]["message"]
        say(socket_, type="subscribe", id="wrong", payload={"query": WHO, "onError": "HALT"})
        assert hear(socket_)["payload"]["data"] == {"viewer": {"roles": ["admin"]}}


@pytest.mark.parametrize("more", [{"query": 7}, {"variables": []}, {"query": None}, {"operationName": 1}])
def test_what_the_protocol_does_not_let_pass_closes(server: RunningServer, more: dict[str, Any]) -> None:
    """Whatever it says of errors."""
    with opened(server) as socket_:
        say(socket_, type="subscribe", id="1", payload={"query": WHO, "onError": "SOMETIMES", **more})
        assert closed(socket_)[0] == 4400
