"""`/metrics`: what is counted, and who may read it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterator
from datetime import timedelta
from platform import python_version

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.requests import Request
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from crm_graph import __version__
from crm_graph.api.engine import Engine
from crm_graph.api.metrics import metrics_response
from crm_graph.api.requests import MAX_LINES_PER_SECOND, Requests
from crm_graph.db.revisions import revisions
from crm_graph.kernel.durations import BOUNDS_S, Durations
from crm_graph.kernel.settings import Settings
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

    def has(self, name: str, **labels: str) -> bool:
        """Return whether it is told at all."""
        return (f"crm_graph_{name}", frozenset(labels.items())) in self._samples


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
    """Nothing is lent while nothing runs; background work looks into its queues now and then."""
    deadline = time.monotonic() + 30
    while any((found := Scraped(server))("pool_connections", pool=pool, state="lent") for pool in ("read", "write")):
        assert time.monotonic() < deadline
    for pool in ("read", "write"):
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


async def asked(engine: Engine, token: str, authorization: str | None, *, is_open: bool) -> int:
    """Return the status of a scrape."""
    headers = [] if authorization is None else [(b"authorization", authorization.encode("latin-1"))]
    request = Request({"type": "http", "method": "GET", "path": "/metrics", "headers": headers})
    return (await metrics_response(request, engine.metrics, token, is_open=is_open)).status_code


async def test_who_may_read_them(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever shows the token where one is set; nobody where none is; anybody under `dev`. A member's token is none."""
    engine = graph.engine
    monkeypatch.setattr(engine.metrics, "render", lambda: b"")
    claims = await graph.claims("admin")
    member = graph.authority.issue(claims.workspace_id, claims.member_id, timedelta(hours=1))
    assert await asked(engine, "", None, is_open=False) == 404
    assert await asked(engine, "", "Bearer ", is_open=False) == 404
    assert await asked(engine, "", None, is_open=True) == 200
    for is_open in (True, False):
        assert await asked(engine, "secret", "Bearer secret", is_open=is_open) == 200
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
            assert await asked(engine, "secret", wrong, is_open=is_open) == 401


def test_durations_fall_into_their_buckets(server: RunningServer) -> None:
    """Each once: those of a bucket are in all wider ones, as Prometheus has it."""
    before = Scraped(server)
    for _ in range(3):
        post(server, "{ viewer { roles } }")
    after = Scraped(server)
    name = "request_duration_seconds"
    assert after(f"{name}_count", kind="query") - before(f"{name}_count", kind="query") == 3
    assert after(f"{name}_bucket", kind="query", le="+Inf") == after(f"{name}_count", kind="query")
    counts = [after(f"{name}_bucket", kind="query", le=str(bound)) for bound in BOUNDS_S]
    assert counts == sorted(counts)
    assert after(f"{name}_sum", kind="query") > before(f"{name}_sum", kind="query")
    assert after(f"{name}_count", kind="subscription") == before(f"{name}_count", kind="subscription")


def test_what_a_bucket_holds() -> None:
    durations = Durations()
    for seconds in (0.0, 0.001, 0.0011, 29.0, 31.0):
        durations.add(seconds)
    told = dict(durations.cumulative())
    assert (told["0.001"], told["0.0025"], told["10.0"], told["30.0"], told["+Inf"]) == (2, 3, 3, 4, 5)
    assert durations.seconds == pytest.approx(60.0021)


def test_build_roles_and_lags(server: RunningServer) -> None:
    """The only process of an installation does all that one does, and is behind in nothing."""
    found = Scraped(server)
    labels = {"version": __version__, "revision": revisions()[0], "python": python_version()}
    assert found("build_info", **labels) == 1
    for role in ("relay", "audit_chainer", "retention", "storage_meter"):
        assert found("elected", role=role) == 1
    for pool in ("read", "write"):
        assert found("database_answers", pool=pool) == 1
    assert found.has("lag_seconds", of="relay")
    for queue in ("webhook_projection", "webhooks", "mails"):
        assert (found.has("lag_seconds", of=queue), found("lag_seconds", of=queue)) == (True, 0)


def test_a_flood_of_refusals_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """All are counted; of a second so many are told, and how many were not is a metric. Who asks for all gets all."""
    with caplog.at_level(logging.INFO, "crm_graph.requests"):
        requests = Requests()
        for _ in range(5 * MAX_LINES_PER_SECOND):
            requests.refused("UNAUTHENTICATED", None, "id")
        seconds = len(caplog.records) / MAX_LINES_PER_SECOND
        assert 1 <= seconds < 5
        assert requests.untold == 5 * MAX_LINES_PER_SECOND - len(caplog.records)
        caplog.clear()
        requests = Requests(Settings(log_requests="all"))
        for _ in range(5 * MAX_LINES_PER_SECOND):
            requests.refused("UNAUTHENTICATED", None, "id")
        assert (len(caplog.records), requests.untold) == (5 * MAX_LINES_PER_SECOND, 0)
        caplog.clear()
        for settings in (Settings(log_requests="none"), Settings()):
            Requests(settings).refused("UNAVAILABLE", None, "id")
        assert caplog.records == [], "an outage is told once, not by each request"
    assert requests.counts == {("unknown", "UNAUTHENTICATED"): 5 * MAX_LINES_PER_SECOND}
