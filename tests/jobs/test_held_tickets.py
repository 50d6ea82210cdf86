"""Tickets that are held until a time, by the API and a server that runs."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from crm_graph.domains.service.tickets.graph import Ticket
from tests.support import plain
from tests.support.graph import Graph
from tests.support.server import RunningServer, running_server

CREATE = 'mutation { createTicket(input: {subject: "Help"}) { ticket { id } } }'
ASSIGN = """mutation ($id: ID!, $member: ID!) {
    assignTicket(input: {id: $id, assigneeId: $member}) { errors { code } } }"""
HOLD = """mutation ($id: ID!, $until: DateTime) {
    holdTicket(input: {id: $id, heldUntil: $until}) { ticket { status heldUntil } errors { code field } } }"""
READ = "query ($id: ID!) { ticket(id: $id) { status heldUntil updatedBy { id } } }"
WAIT_S = 60


async def test_a_time_that_is_over_is_refused_and_one_to_come_is_shown(graph: Graph) -> None:
    id_ = await graph.id_of(Ticket, "status = 'OPEN'")
    past = (await graph.data(HOLD, {"id": id_, "until": "2020-01-01T00:00:00Z"}))["holdTicket"]
    assert past == {"ticket": None, "errors": [{"code": "INVALID", "field": ["heldUntil"]}]}
    held = (await graph.data(HOLD, {"id": id_, "until": "2099-01-01T08:00:00+08:00"}))["holdTicket"]
    assert held == {"ticket": {"status": "PENDING", "heldUntil": "2099-01-01T00:00:00Z"}, "errors": []}


def _ask(server: RunningServer, source: str, **variables: Any) -> Any:
    body = {"query": source, "variables": variables}
    return plain.post(server.address, json=body, headers=server.headers, timeout=30).json()["data"]


def test_a_server_goes_on_with_it(tmp_path: Path) -> None:
    with running_server(tmp_path / "data") as server:
        id_ = _ask(server, CREATE)["createTicket"]["ticket"]["id"]
        viewer = _ask(server, "{ viewer { member { id } } }")["viewer"]["member"]["id"]
        assert _ask(server, ASSIGN, id=id_, member=viewer)["assignTicket"]["errors"] == []
        until = datetime.now(UTC) + timedelta(seconds=5)
        held = _ask(server, HOLD, id=id_, until=until.isoformat())["holdTicket"]
        assert (held["ticket"]["status"], held["errors"]) == ("PENDING", [])
        end = time.monotonic() + WAIT_S
        while (ticket := _ask(server, READ, id=id_)["ticket"])["status"] == "PENDING" and time.monotonic() < end:
            time.sleep(0.1)
        assert datetime.now(UTC) >= until
        assert ticket == {"status": "OPEN", "heldUntil": None, "updatedBy": None}
        metrics = plain.get(f"http://127.0.0.1:{server.port}/metrics").text
        assert 'crm_graph_timers_total{kind="ticket.resume",outcome="done"} 1.0' in metrics
        assert 'crm_graph_lag_seconds{of="timers"} 0.0' in metrics
