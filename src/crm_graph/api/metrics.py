"""`GET /metrics` for Prometheus: what the process has counted, read when it is asked for.

The hot path adds one to a plain integer (0.2 us) and knows nothing of Prometheus; the library's own counters take a
lock and 1-2 us each. Its collector here reads the integers at scrape time.

Decided in D-api-18 (ARCHITECTURE.md).
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import lru_cache
from platform import python_version
from typing import Protocol

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from crm_graph import __version__
from crm_graph.api.admission.payers import Payers
from crm_graph.api.connections import Connections
from crm_graph.api.lags import Lags
from crm_graph.api.live_shares import LiveShares
from crm_graph.api.requests import UNKNOWN, Requests
from crm_graph.db.pool import Database
from crm_graph.db.quota import Quotas
from crm_graph.db.revisions import revisions
from crm_graph.jobs.due import DueOutcomes
from crm_graph.jobs.worker import Outcomes
from crm_graph.kernel.durations import Durations
from crm_graph.kernel.roles import ROLES


class Cache(Protocol):
    """What a cache counts."""

    hits: int
    misses: int

    @property
    def evictions(self) -> int:
        """How many entries were dropped to make room."""

    @property
    def bytes(self) -> int:
        """What the entries take, about."""


class Metrics(Collector):
    """All metrics of one engine's process."""

    def __init__(
        self,
        requests: Requests,
        caches: Mapping[str, Cache],
        database: Database,
        payers: Payers,
        live: LiveShares,
        jobs: Outcomes | None = None,
        quotas: Quotas | None = None,
    ) -> None:
        self._quotas = quotas
        self.connections: Connections | None = None
        """Those of the process; None where it serves nobody."""
        self.deliveries: Mapping[str, Durations] = {}
        self.timers: DueOutcomes | None = None
        """What this process did of timers; None where it does none."""
        """Requests to webhook endpoints by outcome, of the process's deliverer."""
        self.lags = Lags(database)
        self._jobs = jobs
        self._payers = payers
        self._live = live
        self._requests = requests
        self._caches = caches
        self._database = database
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    async def scrape(self) -> bytes:
        """Return the text that Prometheus reads; the lags are read anew where they are not of now."""
        await self.lags.refresh()
        return self.render()

    def render(self) -> bytes:
        """Return the text, with the lags that were read last."""
        return generate_latest(self._registry)

    def families(self) -> Iterable[Metric]:
        """Yield all metrics, those of the process itself among them."""
        return self._registry.collect()

    def collect(self) -> Iterable[Metric]:
        """Yield the metrics; called by the registry."""
        yield from self._request_metrics()
        yield from _process_metrics()
        yield from self._lag_metrics()
        if self.connections is not None:
            yield from _connection_metrics(self.connections)
        if self._jobs is not None:
            yield from self._job_metrics()
        if self.timers is not None:
            yield from self._timer_metrics(self.timers)
        if self._quotas is not None:
            yield from self._storage_metrics(self._quotas)
        yield from self._cache_metrics()
        yield from self._pool_metrics()
        yield from self._share_metrics()
        workers = GaugeMetricFamily(
            "crm_graph_cluster_worker_up", "Whether the coordinator reaches a worker of Citus.", labels=["worker"]
        )
        for name, up in self._database.nodes.answers.items():
            workers.add_metric([name], float(up))
        yield workers

    def _request_metrics(self) -> Iterable[Metric]:
        requests = CounterMetricFamily(
            "crm_graph_requests", "Requests by kind of operation and code of the first error.", labels=["kind", "code"]
        )
        for (kind, code), count in sorted(self._requests.counts.items()):
            requests.add_metric([kind, code], count)
        yield requests
        refusals = CounterMetricFamily(
            "crm_graph_refusals", "Requests that were refused before they were executed, by code.", labels=["code"]
        )
        for (kind, code), count in sorted(self._requests.counts.items()):
            if kind == UNKNOWN:
                refusals.add_metric([code], count)
        yield refusals
        text = "From a request that was read to its answer, by kind of operation; of subscriptions to their beginning."
        yield _histogram("crm_graph_request_duration_seconds", text, "kind", self._requests.durations)
        text = "Requests to webhook endpoints, by what came of them."
        yield _histogram("crm_graph_webhook_duration_seconds", text, "outcome", self.deliveries)
        yield CounterMetricFamily(
            "crm_graph_request_lines_untold", "Lines of the log left out, as they were too many.", self._requests.untold
        )
        yield GaugeMetricFamily(
            "crm_graph_subscriptions_open", "Subscriptions that are open now.", self._requests.open_subscriptions
        )

    def _lag_metrics(self) -> Iterable[Metric]:
        answers = GaugeMetricFamily(
            "crm_graph_database_answers", "Whether the database of a pool answered in time.", labels=["pool"]
        )
        for pool, answered in self.lags.answers.items():
            answers.add_metric([pool], answered)
        yield answers
        lags = GaugeMetricFamily(
            "crm_graph_lag_seconds",
            "Age of the oldest that could have been done, of the whole installation.",
            labels=["of"],
        )
        for name, seconds in self.lags.seconds.items():
            lags.add_metric([name], seconds)
        for name, role in ROLES.items():
            if role.lag_s is not None:
                lags.add_metric([name], role.lag_s)
        yield lags
        if self.lags.replica_bytes is not None:
            text = "What the primary has written and the replica has not replayed."
            yield GaugeMetricFamily("crm_graph_replica_lag_bytes", text, self.lags.replica_bytes)

    def _job_metrics(self) -> Iterable[Metric]:
        assert self._jobs is not None
        now = GaugeMetricFamily(
            "crm_graph_jobs", "Jobs: those that wait anywhere, those that run here.", labels=["state"]
        )
        now.add_metric(["queued"], self._jobs.queued)
        now.add_metric(["running"], self._jobs.running)
        ended = CounterMetricFamily("crm_graph_jobs_ended", "How jobs ended in this process.", labels=["outcome"])
        ended.add_metric(["done"], self._jobs.done)
        ended.add_metric(["failed"], self._jobs.failed)
        return now, ended

    def _timer_metrics(self, timers: DueOutcomes) -> Iterable[Metric]:
        ended = CounterMetricFamily(
            "crm_graph_timers", "What came of timers that were due, in this process.", labels=["kind", "outcome"]
        )
        counts = {"done": timers.done, "failed": timers.failed, "given_up": timers.given_up}
        for outcome, by_kind in counts.items():
            for kind, count in sorted(by_kind.items()):
                ended.add_metric([kind, outcome], count)
        yield ended

    def _storage_metrics(self, quotas: Quotas) -> Iterable[Metric]:
        text = "Which part of what it may store the fullest workspace does; 0 while none stores an eighth."
        yield GaugeMetricFamily("crm_graph_storage_fullest_ratio", text, quotas.fullest)
        text = "Changes refused here: the workspace was full, or wrote too much in a minute."
        yield CounterMetricFamily("crm_graph_storage_refused", text, quotas.refused)

    def _cache_metrics(self) -> Iterable[Metric]:
        hits = CounterMetricFamily("crm_graph_cache_hits", "Found in the cache.", labels=["cache"])
        misses = CounterMetricFamily("crm_graph_cache_misses", "Not found in the cache, and made.", labels=["cache"])
        evictions = CounterMetricFamily("crm_graph_cache_evictions", "Dropped to make room.", labels=["cache"])
        size = GaugeMetricFamily("crm_graph_cache_bytes", "What the entries take, about.", labels=["cache"])
        for name, cache in self._caches.items():
            hits.add_metric([name], cache.hits)
            misses.add_metric([name], cache.misses)
            evictions.add_metric([name], cache.evictions)
            size.add_metric([name], cache.bytes)
        return hits, misses, evictions, size

    def _pool_metrics(self) -> Iterable[Metric]:
        connections = GaugeMetricFamily(
            "crm_graph_pool_connections", "Open connections by what they do.", labels=["pool", "state"]
        )
        limit = GaugeMetricFamily("crm_graph_pool_limit", "How many there may be.", labels=["pool"])
        waiting = GaugeMetricFamily("crm_graph_pool_waiting", "Operations that wait for a connection.", labels=["pool"])
        refused = CounterMetricFamily(
            "crm_graph_pool_refused", "Refused since too many of the same member's waited.", labels=["pool"]
        )
        abandoned = CounterMetricFamily(
            "crm_graph_abandoned", "Given up on since the database did not answer in time.", labels=["pool", "what"]
        )
        for name, pool in self._database.pools().items():
            connections.add_metric([name, "lent"], pool.lent)
            connections.add_metric([name, "idle"], max(0, pool.opened - pool.lent))
            limit.add_metric([name], pool.size)
            waiting.add_metric([name], pool.shares.waiting)
            refused.add_metric([name], pool.shares.refused)
            for what in fields(pool.abandoned):
                abandoned.add_metric([name, what.name], getattr(pool.abandoned, what.name))
        return connections, limit, waiting, refused, abandoned

    def _share_metrics(self) -> Iterable[Metric]:
        tally, live = self._payers.tally, self._live
        yield CounterMetricFamily(
            "crm_graph_busy_seconds", "For how long connections were held, all of them added.", tally.seconds
        )
        yield CounterMetricFamily(
            "crm_graph_busy_refused", "Refused since they had used up a minute's seconds of connections.", tally.refused
        )
        yield CounterMetricFamily(
            "crm_graph_live_refused", "Subscriptions refused as one too many for their member.", live.refused
        )
        yield GaugeMetricFamily(
            "crm_graph_live_waiting", "Forms of filters that wait for their turn to be judged.", live.judging.waiting
        )


def _histogram(name: str, text: str, label: str, durations: Mapping[str, Durations]) -> Metric:
    family = HistogramMetricFamily(name, text, labels=[label])
    for value, one in sorted(durations.items()):
        family.add_metric([value], one.cumulative(), one.seconds)
    return family


@lru_cache(maxsize=1)
def _revision() -> str:
    return revisions()[0]


def _process_metrics() -> Iterable[Metric]:
    labels = ["version", "revision", "python"]
    build = GaugeMetricFamily("crm_graph_build_info", "Version, revision of the schema, Python.", labels=labels)
    build.add_metric([__version__, _revision(), python_version()], 1)
    yield build
    elected = GaugeMetricFamily(
        "crm_graph_elected", "Whether this process does what one does for all, by role.", labels=["role"]
    )
    for name, role in sorted(ROLES.items()):
        elected.add_metric([name.replace(" ", "_")], role.held)
    yield elected


def _connection_metrics(connections: Connections) -> Iterable[Metric]:
    yield GaugeMetricFamily("crm_graph_connections_open", "Connections that are open now.", len(connections))
    refused = CounterMetricFamily(
        "crm_graph_connections_refused", "Closed at once, since there were as many as there may be.", labels=["limit"]
    )
    for limit, count in connections.refused.items():
        refused.add_metric([limit], count)
    yield refused
    cut_off = CounterMetricFamily(
        "crm_graph_connections_cut_off", "Ended by us: what took too long, or was too much.", labels=["why"]
    )
    for why, count in connections.cut_off.items():
        cut_off.add_metric([why], count)
    yield cut_off


async def metrics_response(request: Request, metrics: Metrics, token: str, *, is_open: bool) -> Response:
    """Return the metrics to whoever shows the token; 404, as if there were none, where none is set and nothing is open.

    They tell no data, but how much a workspace is used and how large its documents are is nobody's business either.
    """
    if not token and not is_open:
        return PlainTextResponse("Not Found", 404)
    given = request.headers.get("authorization", "").encode("latin-1")
    if token and not hmac.compare_digest(given, f"Bearer {token}".encode()):
        return PlainTextResponse("Unauthorized", 401, {"WWW-Authenticate": "Bearer"})
    return Response(await metrics.scrape(), headers={"Cache-Control": "no-store"}, media_type=CONTENT_TYPE_LATEST)
