"""Every route of the application is counted: one that is asked too often says so, whoever asks and by whatever method.

The routes are those that the application has, so that a new one is looked at by itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from starlette.routing import Route, WebSocketRoute
from websockets import Subprotocol
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from crm_graph.asgi import UNMETERED, Application
from crm_graph.identity.installation import Installation
from crm_graph.kernel.settings import Settings
from tests.support import plain
from tests.support.server import RunningServer, running_server

pytestmark = pytest.mark.xdist_group("metered-routes")

A_MINUTE = 5
ENOUGH = 8
"""Requests in a row that meet the quota, although a request of it comes back every 12 s."""
SETTINGS = {"CRM_RATE_ADDRESS_REQUESTS": str(A_MINUTE), "CRM_RATE_MEMBER_REQUESTS": str(A_MINUTE)}
WITHOUT_A_ROUTE = [
    ("GET", "/"),
    ("GET", "/nowhere"),
    ("POST", "/nowhere"),
    ("DELETE", "/graphql"),
    ("HEAD", "/robots.txt"),
]


def routes() -> list[tuple[str, str]]:
    """Return every method and path that the application has a route for."""
    application = Application(Installation("postgresql://nowhere/nothing", [b"a secret"]), Settings())
    found = []
    for route in application._starlette.routes:
        assert isinstance(route, Route | WebSocketRoute), "a route of another kind: say how it is asked"
        path = route.path.format(**dict.fromkeys(route.param_convertors, "x"))
        methods = ["WEBSOCKET"] if isinstance(route, WebSocketRoute) else sorted(route.methods or ["GET", "POST"])
        found += [(method, path) for method in methods]
    return found


ROUTES = [*routes(), *WITHOUT_A_ROUTE]
METERED = [each for each in ROUTES if each[1] not in UNMETERED]
OPERATIONS: dict[str, dict[str, object]] = {
    "no JSON": {"content": b"{"},
    "no query": {"content": b"{}"},
    "an unknown document": {"content": b'{"query":"{ nope }"}'},
    "an answer that there is not": {"content": b"{}", "headers": {"Accept": "image/png"}},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with small quotas."""
    with running_server(tmp_path_factory.mktemp("metered") / "data", "--no-demo", **SETTINGS) as running:
        yield running


def asked(server: RunningServer, method: str, path: str, *, known: bool) -> int:
    """Return 429 where one of the requests in a row meets it, else another status."""
    statuses = {_asked(server, method, path, known=known) for _ in range(ENOUGH)}
    return 429 if 429 in statuses else statuses.pop()


def _asked(server: RunningServer, method: str, path: str, *, known: bool) -> int:
    headers = server.headers if known else {}
    if method == "WEBSOCKET":
        url = f"ws://127.0.0.1:{server.port}{path}"
        try:
            with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], additional_headers=headers):
                return 101
        except InvalidStatus as error:
            return error.response.status_code
    answer = plain.request(method, f"http://127.0.0.1:{server.port}{path}", headers=headers)
    if answer.status_code == 429:
        assert int(answer.headers["retry-after"]) > 0
    return answer.status_code


def test_there_are_routes() -> None:
    """A walk over nothing proves nothing."""
    paths = {path for _, path in ROUTES}
    assert {"/graphql", "/oauth/userinfo", "/oauth/token", "/exports/x", "/sso/x/start", "/metrics"} <= paths
    assert paths >= UNMETERED
    assert ("WEBSOCKET", "/graphql") in ROUTES


@pytest.mark.parametrize(("method", "path"), METERED, ids=[" ".join(each) for each in METERED])
@pytest.mark.parametrize("known", [False, True], ids=["an address", "a member"])
def test_one_request_too_many(server: RunningServer, method: str, path: str, known: bool) -> None:
    assert asked(server, method, path, known=known) == 429


@pytest.mark.parametrize("path", sorted(UNMETERED))
def test_who_keeps_the_process_alive_is_answered(server: RunningServer, path: str) -> None:
    assert asked(server, "GET", path, known=False) == 200


@pytest.mark.parametrize("sent", OPERATIONS.values(), ids=OPERATIONS.keys())
@pytest.mark.parametrize("known", [False, True], ids=["an address", "a member"])
def test_what_is_no_operation_is_counted_too(server: RunningServer, sent: dict[str, object], known: bool) -> None:
    headers = {"Content-Type": "application/json", **(server.headers if known else {}), **sent.get("headers", {})}  # type: ignore[dict-item]
    answers = [plain.post(server.address, content=sent["content"], headers=headers) for _ in range(ENOUGH)]  # type: ignore[arg-type]
    (code,) = {
        json.loads(each.content)["errors"][0]["extensions"]["code"] for each in answers if each.status_code == 429
    }
    assert code == "RATE_LIMITED"
