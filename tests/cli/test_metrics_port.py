"""Metrics on a port of their own, of each process; and a server that says it is not ready before it goes."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support import plain
from tests.support.database import clone
from tests.support.server import COMMAND, environment, free_port

SECRET = "s" * 40
ROLES = ("relay", "audit_chainer", "retention", "storage_meter")


@pytest.fixture(scope="module")
async def own_url(postgres: str) -> str:
    """A database of its own: what serves it writes to its log."""
    return await clone(postgres, "metrics_port")


@contextmanager
def running(url: str, *arguments: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command on a database."""
    given = environment(DATABASE_URL=url, CRM_SECRET=SECRET, **settings)
    nowhere = subprocess.DEVNULL
    process = subprocess.Popen([COMMAND, *arguments], env=given, stdout=nowhere, stderr=nowhere)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            process.kill()


def wait_until(condition: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it has not come to be"
        time.sleep(0.05)


def scraped(port: int, token: str = "") -> dict[str, float]:
    """Return the samples of a process, written as Prometheus writes them; none while it starts."""
    try:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        answer = plain.get(f"http://127.0.0.1:{port}/metrics", headers=headers, timeout=10)
    except httpx.TransportError:
        return {}
    if answer.status_code != 200:
        return {}
    families = text_string_to_metric_families(answer.text)
    return {
        f"{one.name}{''.join(sorted(f' {name}={value}' for name, value in one.labels.items()))}": one.value
        for family in families
        for one in family.samples
    }


def free_ports(count: int) -> int:
    """Return the first of so many free ports in a row."""
    while True:
        first = free_port()
        try:
            for port in range(first, first + count):
                with plain.client() as client:
                    client.get(f"http://127.0.0.1:{port}/", timeout=1)
        except httpx.ConnectError:
            return first


def test_each_process_of_serve_has_a_port(own_url: str) -> None:
    port, first = free_port(), free_ports(2)
    with running(own_url, "serve", "--workers", "2", "--port", str(port), CRM_METRICS_PORT=str(first)):
        wait_until(lambda: all("crm_graph_elected role=relay" in scraped(first + place) for place in range(2)))
        wait_until(
            lambda: all(
                sum(scraped(first + place).get(f"crm_graph_elected role={role}", 0) for place in range(2)) == 1
                for role in ROLES
            )
        )
        both = [scraped(first + place) for place in range(2)]
        started = {one["process_start_time_seconds"] for one in both}
        held = [one for one in both if one["crm_graph_elected role=relay"]]
        assert len(both) == 2
        assert len(held) == 1
        assert "crm_graph_lag_seconds of=relay" in held[0], "who does it says how far it is"
        assert started
        assert plain.get(f"http://127.0.0.1:{port}/metrics").status_code == 404, "there is no token"


def test_the_port_asks_for_the_token_where_there_is_one(own_url: str) -> None:
    port, metrics = free_port(), free_port()
    settings = {"CRM_METRICS_PORT": str(metrics), "CRM_METRICS_TOKEN": "secret"}
    with running(own_url, "worker", "--port", str(port), **settings):
        wait_until(lambda: bool(scraped(metrics, "secret")))
        found = scraped(metrics, "secret")
        assert scraped(metrics) == {}
        assert "crm_graph_jobs state=queued" in found
        assert "crm_graph_webhook_duration_seconds_count outcome=delivered" in found
        assert plain.get(f"http://127.0.0.1:{port}/ready").status_code == 200


def test_it_is_not_ready_before_it_goes(own_url: str) -> None:
    """For as long as the setting says it goes on serving; a second Ctrl-C ends that."""
    port = free_port()
    with running(own_url, "serve", "--port", str(port), CRM_UNREADY_MS="600000") as process:

        def status(path: str) -> int:
            try:
                return plain.get(f"http://127.0.0.1:{port}{path}", timeout=10).status_code
            except httpx.TransportError:
                return 0

        def ends() -> set[str | None]:
            """Return what answers say of their connections."""
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
                query = {"query": "{ __typename }"}
                answers = (client.get("/health"), client.post("/graphql", json=query))
                return {answer.headers.get("connection") for answer in answers}

        wait_until(lambda: status("/ready") == 200)
        assert ends() == {None}
        process.terminate()
        wait_until(lambda: status("/ready") == 503)
        assert ends() == {"close"}, "clients come back elsewhere, and send nothing into the end of a connection"
        assert status("/health") == 200
        assert status("/graphql") in {400, 401}, "requests are served as before"
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
