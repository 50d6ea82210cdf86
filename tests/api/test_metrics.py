"""`/metrics`: what is counted, and who may read it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from graphql import OperationType
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from crm_graph.api.engine import Engine
from crm_graph.api.metrics import Requests, metrics_response
from tests.support import plain
from tests.support.graph import Graph
from tests.support.server import RunningServer, running_server

pytestmark = pytest.mark.xdist_group("metrics")

Labels = frozenset[tuple[str, str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of its own."""
    with running_server(tmp_path_factory.mktemp("metrics") / "data", "--no-demo") as running:
        yield running


def parse(text: str) -> dict[tuple[str, Labels], float]:
    """Return the samples by name and labels."""
    families = text_string_to_metric_families(text)
    return {(each.name, frozenset(each.labels.items())): each.value for family in families for each in family.samples}


class Scraped:
    """The metrics of a server as they are now."""

    def __init__(self, server: RunningServer) -> None:
        answer = plain.get(f"http://127.0.0.1:{server.port}/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/plain; version=")
        self._samples = parse(answer.text)

    def __call__(self, name: str, **labels: str) -> float:
        return self._samples.get((f"crm_graph_{name}", frozenset(labels.items())), 0)


def post(server: RunningServer, query: str) -> None:
    """Send a request."""
    plain.post(server.address, json={"query": query}, headers=server.headers)


def test_requests_are_counted_by_kind_and_code(server: RunningServer) -> None:
    """Each once, wherever it ended."""
    before = Scraped(server)
    for query in (
        "{ viewer { roles } }",
        "{ viewer { roles } }",
        "{ nope }",
        "{",
        "{ customers(first: -1) { totalCount } }",
    ):
        post(server, query)
    post(server, 'mutation { deleteTeam(input: {id: "x"}) { errors { code } } }')
    plain.post(server.address, json={"query": "{ __typename }"})
    after = Scraped(server)

    def more(kind: str, code: str) -> float:
        return after("requests_total", kind=kind, code=code) - before("requests_total", kind=kind, code=code)

    assert more("query", "OK") == 2
    assert more("query", "BAD_USER_INPUT") == 1
    assert more("mutation", "OK") == 1
    assert more("unknown", "VALIDATION_FAILED") == 1
    assert more("unknown", "PARSE_FAILED") == 1
    assert more("unknown", "UNAUTHENTICATED") == 1


def test_caches(server: RunningServer) -> None:
    """A document that comes again is a hit, in both caches."""
    before = Scraped(server)
    for _ in range(3):
        post(server, "{ again: viewer { roles } }")
    after = Scraped(server)
    for cache in ("documents", "plans"):
        assert after("cache_misses_total", cache=cache) - before("cache_misses_total", cache=cache) == 1
        assert after("cache_hits_total", cache=cache) - before("cache_hits_total", cache=cache) == 2
        assert after("cache_evictions_total", cache=cache) == 0
    assert after("cache_bytes", cache="documents") > before("cache_bytes", cache="documents")


def test_pools(server: RunningServer) -> None:
    """Nothing is lent while nothing runs."""
    found = Scraped(server)
    for pool in ("read", "write"):
        assert found("pool_connections", pool=pool, state="lent") == 0
        assert 1 <= found("pool_connections", pool=pool, state="idle") <= 10
        assert found("pool_limit", pool=pool) == 10


async def test_open_subscriptions(server: RunningServer) -> None:
    """Counted while they are open: over a socket that closes, and as an event stream whose client leaves."""

    async def becomes(wanted: int) -> None:
        deadline = time.monotonic() + 5
        while (found := Scraped(server)("subscriptions_open")) != wanted:
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.02)

    subscription = "subscription { opportunityChanged { recordId } }"
    address = server.address.replace("http:", "ws:")
    async with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as socket:
        await socket.send(json.dumps({"type": "connection_init", "payload": server.headers}))
        await socket.recv()
        await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": {"query": subscription}}))
        await becomes(1)
        await socket.send(json.dumps({"id": "1", "type": "complete"}))
        await becomes(0)
        await socket.send(json.dumps({"id": "2", "type": "subscribe", "payload": {"query": subscription}}))
        await becomes(1)
    await becomes(0)
    headers = {**server.headers, "Accept": "text/event-stream"}
    async with (
        plain.async_client() as client,
        client.stream("POST", server.address, json={"query": subscription}, headers=headers) as stream,
    ):
        await anext(stream.aiter_bytes())
        await becomes(1)
    await becomes(0)


def asked(engine: Engine, token: str, authorization: str | None, *, is_open: bool) -> int:
    """Return the status of a scrape."""
    headers = [] if authorization is None else [(b"authorization", authorization.encode("latin-1"))]
    request = Request({"type": "http", "method": "GET", "path": "/metrics", "headers": headers})
    return metrics_response(request, engine.metrics, token, is_open=is_open).status_code


async def test_who_may_read_them(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever shows the token where one is set; nobody where none is; anybody under `dev`. A member's token is none."""
    engine = graph.engine
    monkeypatch.setattr(engine.metrics, "render", lambda: b"")
    claims = await graph.claims("admin")
    member = graph.authority.issue(claims.workspace_id, claims.member_id, timedelta(hours=1))
    assert asked(engine, "", None, is_open=False) == 404
    assert asked(engine, "", "Bearer ", is_open=False) == 404
    assert asked(engine, "", None, is_open=True) == 200
    for is_open in (True, False):
        assert asked(engine, "secret", "Bearer secret", is_open=is_open) == 200
        for wrong in (
            None,
            "",
            "secret",
            "Bearer",
            "Bearer secre",
            "Bearer secrets",
            f"Bearer {member}",
            "Bearer \xff",
        ):
            assert asked(engine, "secret", wrong, is_open=is_open) == 401


def test_counting_costs_little() -> None:
    """It adds to a plain integer: no lock, no label object."""
    requests = Requests()
    for _ in range(3):
        requests.add_answer(OperationType.QUERY, {"data": {}})
    requests.add_answer(None, {"errors": [{"extensions": {"code": "TIMEOUT"}}]})
    assert requests.counts == {("query", "OK"): 3, ("unknown", "TIMEOUT"): 1}
