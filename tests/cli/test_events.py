"""`crm-graph events`, and what clients of a running server are told when their cursor is too old."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.test_sockets import asks, hear, opened
from tests.support import plain
from tests.support.server import RunningServer, crm_graph, running_server

FAR = "2100-01-01"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("events") / "data") as running:
        yield running


def query(server: RunningServer, source: str) -> Any:
    return plain.post(server.address, json={"query": source}, headers=server.headers).json()


def subscribe(cursor: str) -> str:
    return f'subscription {{ opportunityChanged(after: "{cursor}") {{ cursor }} }}'


def test_a_cursor_that_is_too_old(server: RunningServer, tmp_path: Path) -> None:
    cursor = query(server, "{ changes { cursor } }")["data"]["changes"]["cursor"]
    made = query(server, 'mutation { createCustomer(input: {name: "Old"}) { customer { id } } }')
    id_ = made["data"]["createCustomer"]["customer"]["id"]

    file = tmp_path / "events.ndjson.gz"
    arguments = ("--data", str(server.data))
    exported = crm_graph("events", "export", "--before", FAR, str(file), *arguments)
    assert exported.returncode == 0, exported.stderr
    lines = [json.loads(line) for line in gzip.decompress(file.read_bytes()).splitlines()]
    assert lines[-1]["type"] == "CustomerCreated"
    assert lines[-1]["entity_id"].replace("-", "") == id_.removeprefix("cus_")
    assert sorted(lines, key=lambda each: (each["xid"], each["seq"])) == lines
    again = crm_graph("events", "export", "--before", FAR, str(file), *arguments)
    assert (again.returncode, "exists" in again.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == [file]

    told = query(server, f'{{ changes(after: "{cursor}") {{ nodes {{ recordId }} }} }}')
    (change,) = told["data"]["changes"]["nodes"]
    assert change["recordId"] == id_
    _wait_until_sealed(server, arguments)
    pruned = crm_graph("events", "prune", "--before", FAR, "--yes", *arguments)
    assert pruned.returncode == 0, pruned.stderr

    (error,) = query(server, f'{{ changes(after: "{cursor}") {{ cursor }} }}')["errors"]
    assert (error["extensions"]["code"], error["extensions"]["argument"]) == ("CURSOR_TOO_OLD", ["after"])
    assert "without `after`" in error["message"]
    with opened(server) as socket:
        asks(socket, "1", subscribe(cursor))
        answer = hear(socket)
        assert (answer["type"], answer["payload"][0]["extensions"]["code"]) == ("error", "CURSOR_TOO_OLD")
    headers = {**server.headers, "accept": "text/event-stream"}
    streamed = plain.post(server.address, json={"query": subscribe(cursor)}, headers=headers)
    assert '"CURSOR_TOO_OLD"' in streamed.text
    at_once = plain.post(server.address, json={"query": subscribe("1-1")}, headers=headers)
    assert '"CURSOR_TOO_OLD"' in at_once.text

    fresh = query(server, "{ changes { cursor } }")["data"]["changes"]["cursor"]
    assert query(server, f'{{ changes(after: "{fresh}") {{ nodes {{ kind }} }} }}')["data"]["changes"]["nodes"] == []
    verified = crm_graph("audit", "verify", *arguments)
    assert verified.returncode == 0, verified.stderr
    assert "no longer kept" in verified.stderr


def _wait_until_sealed(server: RunningServer, arguments: tuple[str, str]) -> None:
    for _ in range(20):
        if not re.search(r"waits? for (its|their) entry", crm_graph("audit", "verify", *arguments).stderr):
            return
    raise AssertionError("the audit trail does not follow")


def test_what_is_to_be_removed_must_be_said(tmp_path: Path) -> None:
    refused = crm_graph("events", "prune", "--data", str(tmp_path), CRM_EVENT_RETENTION_DAYS="0")
    assert (refused.returncode, "keeps events for ever" in refused.stderr) == (2, True)
