"""A process that ends tells its clients where to go on, also those for whom nothing has happened yet."""

from __future__ import annotations

import json
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from websockets import Subprotocol
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support import plain
from tests.support.server import RunningServer, running_server

pytestmark = pytest.mark.xdist_group("leaving")

WATCH = "subscription($after: Cursor) { opportunityChanged(after: $after) { recordId } }"
CREATE = "mutation($name: String!) { createOpportunity(input: {name: $name}) { opportunity { id } errors { code } } }"


def create(server: RunningServer, name: str) -> str:
    """Open an opportunity and return its id."""
    body = {"query": CREATE, "variables": {"name": name}}
    payload = plain.post(server.address, json=body, headers=server.headers).json()["data"]["createOpportunity"]
    assert payload["errors"] == []
    return str(payload["opportunity"]["id"])


def resumed(server: RunningServer, after: str) -> list[str]:
    """Return the records of the first two events after a cursor, as a client of server-sent events is told them."""
    headers = {**server.headers, "Accept": "text/event-stream", "Last-Event-ID": after}
    found: list[str] = []
    with plain.stream("POST", server.address, json={"query": WATCH}, headers=headers, timeout=20) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: {"):
                found.append(json.loads(line.removeprefix("data: "))["data"]["opportunityChanged"]["recordId"])
            if len(found) == 2:
                break
    return found


def test_clients_move_over_without_a_gap(tmp_path: Path) -> None:
    with running_server(tmp_path / "data", CRM_HEARTBEAT_MS="200") as server:
        heard: list[dict[str, Any]] = []
        with (
            plain.client(timeout=20) as client,
            client.stream(
                "POST", server.address, json={"query": WATCH}, headers={**server.headers, "Accept": "text/event-stream"}
            ) as stream,
            connect(
                f"ws://127.0.0.1:{server.port}/graphql", subprotocols=[Subprotocol("graphql-transport-ws")]
            ) as socket,
        ):
            lines = stream.iter_lines()
            assert next(lines).startswith("id: "), "where it starts"
            socket.send(json.dumps({"type": "connection_init", "payload": {"authorization": f"Bearer {server.token}"}}))
            assert json.loads(socket.recv(timeout=20))["type"] == "connection_ack"
            socket.send(json.dumps({"type": "subscribe", "id": "a", "payload": {"query": WATCH}}))
            first = json.loads(socket.recv(timeout=20))
            assert first["type"] == "ping"
            assert first["payload"]["cursors"].keys() == {"a"}
            seen = create(server, "seen by both")
            while not heard or heard[-1]["type"] != "next":
                heard.append(json.loads(socket.recv(timeout=20)))
            server.process.send_signal(signal.SIGTERM)
            with suppress(ConnectionClosed):
                while True:
                    heard.append(json.loads(socket.recv(timeout=20)))
            said = list(lines)
        assert server.process.wait(20) == 0
        assert socket.close_code == 1001
        assert heard[-1] == {"type": "complete", "id": "a"}
        after = heard[-2]["payload"]["cursors"]["a"]
        assert [
            each["payload"]["data"]["opportunityChanged"]["recordId"] for each in heard if each["type"] == "next"
        ] == [seen]
        ids = [line.removeprefix("id: ") for line in said if line.startswith("id: ")]
        assert said[-3] == "event: complete"
    with running_server(tmp_path / "data") as server:
        made = [create(server, f"missed {number}") for number in range(2)]
        assert resumed(server, after) == made
        assert resumed(server, ids[-1]) == made
        assert resumed(server, first["payload"]["cursors"]["a"]) == [seen, made[0]]
