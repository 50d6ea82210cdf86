"""Traces of a real process, received by OTLP over HTTP: requests with their statements, jobs, webhooks."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.support import plain
from tests.support.server import RunningServer, running_server

pytestmark = pytest.mark.xdist_group("traces")

NAME, EMAIL = "Analytical Engines", "ada.lovelace@example.com"
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
WAIT_S = 60


@dataclass(slots=True)
class Collector:
    """What a receiver of OTLP and of webhooks on loopback was sent."""

    port: int = 0
    spans: list[Span] = field(default_factory=list)
    services: set[str] = field(default_factory=set)
    hooks: list[dict[str, str]] = field(default_factory=list)
    """The headers of each webhook."""

    def take(self, body: bytes) -> None:
        """Keep what an export holds."""
        request = ExportTraceServiceRequest()
        request.ParseFromString(body)
        for of_resource in request.resource_spans:
            attributes = {one.key: one.value.string_value for one in of_resource.resource.attributes}
            self.services.add(attributes["service.name"])
            for of_scope in of_resource.scope_spans:
                self.spans += of_scope.spans

    def wait_for(self, name: str) -> Span:
        """Return the first span of a name, once it is here."""
        found: Span = self.wait(lambda: next((one for one in self.spans if one.name == name), None), name)
        return found

    def wait(self, find: Any, what: str) -> Any:
        """Return what is found, once it is."""
        end = time.monotonic() + WAIT_S
        while (found := find()) is None:
            assert time.monotonic() < end, (what, [one.name for one in self.spans])
            time.sleep(0.02)
        return found

    def below(self, parent: Span) -> list[Span]:
        """Return the children of a span that are here."""
        return [one for one in self.spans if one.parent_span_id == parent.span_id]


@contextmanager
def collecting() -> Iterator[Collector]:
    """Receive on a port of loopback."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/v1/traces":
                collector.take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            else:
                collector.hooks.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    collector.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def attributes(span: Span) -> dict[str, str]:
    return {one.key: one.value.string_value or str(one.value.int_value) for one in span.attributes}


def ask(server: RunningServer, query: str, headers: dict[str, str] | None = None, **variables: Any) -> dict[str, Any]:
    body = {"query": query, "variables": variables}
    answer: dict[str, Any] = plain.post(server.address, json=body, headers={**server.headers, **(headers or {})}).json()
    assert "errors" not in answer, answer
    return answer


ENDPOINT = """
    mutation Listen($url: String!) {
      createWebhookEndpoint(input: {url: $url, eventTypes: ["CustomerCreated"], roles: ["admin"]}) {
        webhookEndpoint { id } errors { code message field }
      }
    }
"""
CREATE = """
    mutation Make($name: String!, $email: String!) {
      createCustomer(input: {name: $name, email: $email}) { customer { id } errors { code } }
    }
"""
EXPORT = """
    mutation Take { exportRecords(input: {type: "Customer", format: CSV}) { job { id } errors { code message } } }
"""


def test_a_request_its_statements_and_what_follows(tmp_path: Path) -> None:
    with collecting() as collector:
        settings = {
            "CRM_TRACES_URL": f"http://127.0.0.1:{collector.port}/v1/traces",
            "CRM_WEBHOOK_PRIVATE": "127.0.0.0/8",
            "CRM_LOG_REQUESTS": "all",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        with running_server(tmp_path / "data", "--no-demo", **settings) as server:
            made = ask(server, ENDPOINT, url=f"http://127.0.0.1:{collector.port}/hook")
            assert made["data"]["createWebhookEndpoint"]["errors"] == [], made
            ask(server, CREATE, {"traceparent": f"00-{TRACE}-{PARENT}-01"}, name=NAME, email=EMAIL)
            request = collector.wait_for("mutation Make")
            delivery = collector.wait_for("webhook delivery")
            (hook,) = collector.wait(lambda: collector.hooks or None, "a webhook")
            ask(server, "query Plain { viewer { roles } }", {"traceparent": "not one"})
            other = collector.wait_for("query Plain")
            assert ask(server, EXPORT)["data"]["exportRecords"]["errors"] == []
            job = collector.wait_for("job exportRecords")
            of_job = collector.wait(lambda: collector.below(job) or None, "statements of the job")
            below = collector.wait(lambda: collector.below(request) or None, "statements")
            lines = [json.loads(line) for line in "".join(server.said).splitlines() if '"crm_graph.requests"' in line]

    assert (request.trace_id.hex(), request.parent_span_id.hex()) == (TRACE, PARENT), "the client's trace goes on"
    assert request.kind == Span.SPAN_KIND_SERVER
    told = attributes(request)
    assert (told["graphql.operation.name"], told["crm_graph.outcome"]) == ("Make", "OK")
    statements = [attributes(one)["db.query.text"] for one in below]
    assert any("INSERT INTO" in text for text in statements), statements
    assert all(
        request.start_time_unix_nano - 10**9 < one.start_time_unix_nano <= one.end_time_unix_nano for one in below
    )
    assert {attributes(one)["db.system.name"] for one in below} == {"postgresql"}
    assert other.trace_id.hex() not in {TRACE, ""}, "what is no traceparent begins a trace"
    assert attributes(delivery)["http.response.status_code"] == "200"
    assert hook["traceparent"].split("-")[1:3] == [delivery.trace_id.hex(), delivery.span_id.hex()]
    assert job.kind == Span.SPAN_KIND_CONSUMER
    assert {attributes(one)["db.system.name"] for one in of_job} == {"postgresql"}
    assert [line["traceId"] for line in lines if line.get("operation") == "Make"] == [TRACE]
    assert collector.services == {"crm-graph"}
    assert all(one.status.code != Status.STATUS_CODE_ERROR for one in (request, delivery, other, job))
    everything = b"".join(one.SerializeToString() for one in collector.spans)
    for secret in (NAME, EMAIL, server.token):
        assert secret.encode() not in everything


def test_nothing_is_imported_where_there_are_none() -> None:
    text = (
        "import sys, crm_graph.asgi, crm_graph.cli.operating.serving, crm_graph.cli.operating.working;"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", text], timeout=120).returncode == 0
