"""WebSockets of a real server: whose they are, how many, how much they may say, and how a token is renewed."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest
from websockets import Subprotocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.security.test_token_attacks import claims_of
from tests.support import plain
from tests.support.forge import Forge
from tests.support.server import RunningServer, running_server

pytestmark = pytest.mark.xdist_group("sockets")

SECRET = "the secret of an installation for tests"
WATCH = "subscription { opportunityChanged { kind } }"
WHO = "{ viewer { roles } }"
SETTINGS = {
    "CRM_SECRET": SECRET,
    "CRM_MAX_SUBSCRIPTIONS": "5",
    "CRM_MAX_SOCKETS_PER_MEMBER": "4",
    "CRM_MAX_STREAMS_PER_MEMBER": "3",
    "CRM_MAX_MESSAGES_PER_SECOND": "20",
    "CRM_CONNECTION_INIT_MS": "400",
    "CRM_RATE_MEMBER_REQUESTS": "100000",
    "CRM_ALLOWED_ORIGINS": "https://app.example.com",
    "CRM_COOKIES": "1",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with small limits."""
    with running_server(tmp_path_factory.mktemp("sockets") / "data", **SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def forge(server: RunningServer) -> Forge:
    """Makes tokens of the server's administrator."""
    claims = claims_of(server.token)
    return Forge(hashlib.sha256(SECRET.encode()).digest(), claims["ws"], claims["sub"])


@contextmanager
def dialled(server: RunningServer, **headers: str) -> Iterator[ClientConnection]:
    """Lend a connection that has said nothing."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    with connect(
        f"ws://127.0.0.1:{server.port}/graphql",
        subprotocols=[Subprotocol("graphql-transport-ws")],
        additional_headers=given,
    ) as socket:
        yield socket


@contextmanager
def opened(server: RunningServer, token: str | None = None, **headers: str) -> Iterator[ClientConnection]:
    """Lend a connection that is acknowledged."""
    with dialled(server, **headers) as socket:
        say(socket, type="connection_init", payload={"Authorization": f"Bearer {token or server.token}"})
        assert hear(socket)["type"] == "connection_ack"
        yield socket


def say(socket: ClientConnection, **message: Any) -> None:
    """Send a message."""
    socket.send(json.dumps(message))


def hear(socket: ClientConnection) -> Any:
    """Return the next message that is no ping."""
    while True:
        message = json.loads(socket.recv(timeout=20))
        if message["type"] != "ping":
            return message


def closed(socket: ClientConnection) -> tuple[int | None, str | None]:
    """Return how the connection is closed, whatever is said before."""
    with suppress(ConnectionClosed):
        while True:
            socket.recv(timeout=20)
    return socket.close_code, socket.close_reason


def asks(socket: ClientConnection, id_: str, query: str) -> None:
    """Start an operation."""
    say(socket, type="subscribe", id=id_, payload={"query": query})


def test_one_subscription_too_many_is_refused_alone(server: RunningServer) -> None:
    """The others and the connection go on."""
    with opened(server) as socket:
        for number in range(6):
            asks(socket, str(number), WATCH)
        refused = hear(socket)
        assert (refused["type"], refused["id"]) == ("error", "5")
        assert refused["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
        assert refused["payload"][0]["message"] == "At most 5 operations run on one connection: complete one first."
        say(socket, type="complete", id="0")
        asks(socket, "6", WHO)
        assert hear(socket)["payload"]["data"] == {"viewer": {"roles": ["admin"]}}


def test_connections_of_a_member(server: RunningServer) -> None:
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(opened(server))
        with dialled(server) as socket:
            say(socket, type="connection_init", payload={"Authorization": f"Bearer {server.token}"})
            assert closed(socket) == (4429, "A member has at most 4 connections")
    with opened(server):
        pass


def test_streams_of_a_member(server: RunningServer) -> None:
    headers = {**server.headers, "Accept": "text/event-stream"}
    with plain.client(base_url=f"http://127.0.0.1:{server.port}", headers=headers, timeout=20) as client:
        with ExitStack() as stack:
            for _ in range(3):
                response = stack.enter_context(client.stream("POST", "/graphql", json={"query": WATCH}))
                assert response.status_code == 200
            refused = client.post("/graphql", json={"query": WATCH})
            assert (refused.status_code, refused.json()["errors"][0]["extensions"]["code"]) == (429, "RATE_LIMITED")
            assert int(refused.headers["retry-after"]) > 0
        for _ in range(100):  # a stream that was left is noticed a moment later
            with client.stream("POST", "/graphql", json={"query": WATCH}) as response:
                if response.status_code == 200:
                    break
            time.sleep(0.1)
        assert response.status_code == 200


def test_too_many_messages(server: RunningServer) -> None:
    with opened(server) as socket:
        for _ in range(150):
            with suppress(ConnectionClosed):
                say(socket, type="pong")
        assert closed(socket) == (4429, "Too many messages: at most 20 a second")


def test_nothing_in_time(server: RunningServer) -> None:
    with dialled(server) as socket:
        assert closed(socket) == (4408, "Connection initialisation timeout")


def test_pings_do_not_hold_a_connection_open(server: RunningServer) -> None:
    """Before it says who it is, it has the same time whatever it says."""
    with dialled(server) as socket:
        say(socket, type="ping")
        assert hear(socket) == {"type": "pong"}
        assert closed(socket) == (4408, "Connection initialisation timeout")


def test_a_long_frame(server: RunningServer) -> None:
    with opened(server) as socket:
        with suppress(ConnectionClosed):
            socket.send(json.dumps({"type": "ping", "payload": {"x": "y" * 300_000}}))
        assert closed(socket)[0] == 1009


FIRST: dict[str, Callable[[ClientConnection], Any]] = {
    "a query": lambda socket: asks(socket, "1", WHO),
    "a new token": lambda socket: say(socket, type="ping", payload={"authorization": "Bearer x"}),
}


@pytest.mark.parametrize("first", FIRST.values(), ids=FIRST.keys())
def test_nothing_before_the_init(server: RunningServer, first: Callable[[ClientConnection], Any]) -> None:
    with dialled(server) as socket:
        first(socket)
        assert closed(socket) == (4401, "Unauthorized")


def _rename(server: RunningServer) -> None:
    """Let something happen."""
    find = "{ opportunities(first: 1) { nodes { id } } }"
    rename = """mutation ($id: ID!) { updateOpportunity(input: {id: $id, name: "Renewed"}) { errors { code } } }"""
    with plain.client(headers=server.headers) as client:
        found = client.post(server.address, json={"query": find}).json()["data"]["opportunities"]["nodes"][0]
        done = client.post(server.address, json={"query": rename, "variables": found}).json()
    assert done["data"]["updateOpportunity"]["errors"] == []


def test_a_token_is_renewed_in_place(server: RunningServer, forge: Forge) -> None:
    """What runs goes on under the new token, beyond the end of the old one."""
    now = int(time.time())
    with opened(server, forge.token(exp=now + 3)) as socket:
        asks(socket, "1", "subscription { opportunityChanged { event opportunity { name } } }")
        token = forge.token(exp=now + 900)
        say(socket, type="ping", payload={"authorization": f"Bearer {token}"})
        pong = hear(socket)
        assert pong["type"] == "pong"
        assert pong["payload"]["expiresAt"].endswith("+00:00")
        time.sleep(max(0.0, now + 3.5 - time.time()))
        _rename(server)
        change = hear(socket)["payload"]["data"]["opportunityChanged"]
        assert change == {"event": "OpportunityUpdated", "opportunity": {"name": "Renewed"}}


def test_a_token_that_is_not_renewed_ends(server: RunningServer, forge: Forge) -> None:
    with opened(server, forge.token(exp=int(time.time()) + 2)) as socket:
        assert closed(socket) == (4403, "The bearer token has expired"), "so that its client comes back with another"


@pytest.mark.parametrize("age_s", [1, 100], ids=["just now", "long ago"])
def test_a_token_that_is_over_is_4403_at_the_start_too(server: RunningServer, forge: Forge, age_s: int) -> None:
    """It was good once: whoever comes with it needs a new one, and is to ask for it."""
    over = forge.token(exp=int(time.time()) - age_s)
    with dialled(server) as socket:
        say(socket, type="connection_init", payload={"Authorization": f"Bearer {over}"})
        code, reason = closed(socket)
        assert (code, reason) == (4403, "The bearer token has expired" + ": get a new one." * (age_s > 30))
    with opened(server) as socket:
        say(socket, type="ping", payload={"authorization": f"Bearer {over}"})
        assert closed(socket)[0] == 4403


def _another(server: RunningServer, forge: Forge) -> str:
    query = "{ members(where: {status: {eq: ACTIVE}}, last: 1) { nodes { id } } }"
    with plain.client() as client:
        body = client.post(server.address, json={"query": query}, headers=server.headers).json()
    id_: str = body["data"]["members"]["nodes"][0]["id"].removeprefix("mem_")
    assert id_ != forge.member_id
    return id_


def test_only_the_same_member_renews(server: RunningServer, forge: Forge) -> None:
    other = forge.token(sub=_another(server, forge))
    with opened(server) as socket:
        say(socket, type="ping", payload={"authorization": f"Bearer {other}"})
        assert closed(socket) == (4403, "The token must be of the same member, workspace and client")


@pytest.mark.parametrize("bad", ["Bearer x", "x", 7, {"x": 1}, ["Bearer"]])
def test_what_does_not_renew(server: RunningServer, bad: Any) -> None:
    with opened(server) as socket:
        say(socket, type="ping", payload={"authorization": bad})
        assert closed(socket)[0] == 4401


def test_a_ping_is_a_ping(server: RunningServer) -> None:
    with opened(server) as socket:
        payloads: list[Any] = [None, {}, {"x": 1}, [], "x", 3]
        for payload in payloads:
            say(socket, type="ping", payload=payload)
            assert hear(socket) == {"type": "pong"}


@pytest.mark.parametrize("form", ["http://127.0.0.1:{0}", "HTTP://127.0.0.1:{0}", "https://app.example.com"])
def test_origins_that_may(server: RunningServer, form: str) -> None:
    with opened(server, Origin=form.format(server.port)):
        pass


ORIGINS = ["null", "http://127.0.0.1:1", "http://127.0.0.1", "http://127.0.0.1:{0}@evil.example",
           "http://evil.example", "http://evil.example@127.0.0.1:{0}", "https://app.example.com.evil.example",
           "http://127.0.0.1:{0}/", "http://localhost:{0}"]  # fmt: skip


@pytest.mark.parametrize("form", ORIGINS)
def test_origins_that_may_not(server: RunningServer, form: str) -> None:
    """The handshake is refused, so that a page cannot even tell what is here."""
    with pytest.raises(InvalidStatus) as caught, dialled(server, Origin=form.format(server.port)):
        pass
    assert caught.value.response.status_code == 403


def test_a_cookie_opens_a_socket_of_our_own_page(server: RunningServer) -> None:
    cookie = f"__Host-crm_access={server.token}"
    with dialled(server, Cookie=cookie, Origin=f"http://127.0.0.1:{server.port}") as socket:
        say(socket, type="connection_init")
        assert hear(socket)["type"] == "connection_ack"
    with dialled(server, Cookie=cookie) as socket:
        say(socket, type="connection_init")
        assert closed(socket)[0] == 4401


def test_a_header_of_the_handshake(server: RunningServer) -> None:
    with dialled(server, Authorization=f"Bearer {server.token}") as socket:
        say(socket, type="connection_init")
        assert hear(socket)["type"] == "connection_ack"


def test_preflight(server: RunningServer) -> None:
    """What a browser asks before it lets a page of another origin call, and before it shows the page the answer."""
    asked = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
    with plain.client(base_url=f"http://127.0.0.1:{server.port}") as client:
        answer = client.options("/graphql", headers=asked)
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
        assert answer.headers["access-control-allow-credentials"] == "true"
        assert "authorization" in answer.headers["access-control-allow-headers"]
        refused = client.options("/graphql", headers={**asked, "Origin": "https://evil.example"})
        assert (refused.status_code, dict(refused.headers).keys() & {"access-control-allow-origin"}) == (204, set())
        for accept in ("application/json", "application/json, text/plain;q=0.1"):
            headers = {**server.headers, "Accept": accept}
            answer = client.post("/graphql", json={"query": WHO}, headers={**headers, "Origin": asked["Origin"]})
            assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
            assert "ratelimit" in answer.headers["access-control-expose-headers"]
            assert answer.headers["vary"] == "Origin"
            answer = client.post("/graphql", json={"query": WHO}, headers={**headers, "Origin": "https://evil.example"})
            assert "access-control-allow-origin" not in answer.headers
        answer = client.post("/graphql", json={"query": WHO}, headers={"Origin": asked["Origin"]})
        assert answer.status_code == 401
        assert answer.headers["access-control-allow-origin"] == "https://app.example.com", "errors can be read too"
