"""Each snippet of the README works as it stands there, against a server such as `make run` starts."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.journeys.readme import compiled, run, snippets, written
from tests.support.packages import install_packages, needs_node
from tests.support.server import RunningServer, crm_graph, environment, running_server

pytestmark = pytest.mark.xdist_group("readme")
DEADLINE_S = 30
DEALS = "{ opportunities(first: 3) { nodes { id name version } } }"
RENAME = "mutation ($input: UpdateOpportunityInput!) { updateOpportunity(input: $input) { errors { message } } }"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("readme") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def token(server: RunningServer) -> str:
    """The README's `export TOKEN`."""
    done = crm_graph("token", "--role", "sales_rep", "--data", str(server.data))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def packages() -> None:
    install_packages()


def ask(server: RunningServer, query: str, **variables: Any) -> Any:
    answer = httpx.post(server.address, json={"query": query, "variables": variables}, headers=server.headers).json()
    assert "errors" not in answer, answer
    return answer["data"]


def ids(server: RunningServer, token: str) -> list[str]:
    """The deals that the snippets print."""
    answer = httpx.post(server.address, json={"query": DEALS}, headers={"Authorization": f"Bearer {token}"}).json()
    return [deal["id"] for deal in answer["data"]["opportunities"]["nodes"]]


def test_all_that_the_heading_promises_is_there() -> None:
    assert set(snippets()) == {"apollo", "urql", "relay.config.json", "compile", "relay", "phone", "gql"}


def test_python(server: RunningServer, token: str, tmp_path: Path) -> None:
    printed = run([sys.executable, str(written("gql", tmp_path / "deals.py", server))], tmp_path, TOKEN=token)
    assert all(deal in printed for deal in ids(server, token))


@needs_node
def test_urql(server: RunningServer, token: str, tmp_path: Path, packages: None) -> None:
    printed = run(["node", str(written("urql", tmp_path / "deals.mjs", server))], tmp_path, TOKEN=token)
    assert all(deal in printed for deal in ids(server, token))


@needs_node
def test_relay(server: RunningServer, token: str, tmp_path: Path, packages: None) -> None:
    printed = run(["node", str(compiled(written("relay", tmp_path / "deals.mjs", server)))], tmp_path, TOKEN=token)
    assert all(deal in printed for deal in ids(server, token))


@needs_node
def test_a_phone(server: RunningServer, token: str, tmp_path: Path, packages: None) -> None:
    """It has what its member sees: the representative's customers."""
    password = re.search(r"data directory: (\S+)", "".join(server.said))
    assert password is not None
    printed = run(["node", str(written("phone", tmp_path / "copy.mjs", server))], tmp_path, PASSWORD=password[1])
    body = {"query": "{ customers { totalCount } }"}
    answer = httpx.post(server.address, json=body, headers={"Authorization": f"Bearer {token}"}).json()
    assert printed.startswith(f"{answer['data']['customers']['totalCount']} ")


@needs_node
def test_apollo(server: RunningServer, token: str, tmp_path: Path, packages: None) -> None:
    """It prints deals, and then each change: the deal is renamed until the subscription has told of it."""
    command = ["node", "--experimental-websocket", str(written("apollo", tmp_path / "deals.mjs", server))]
    process = subprocess.Popen(command, env=environment(TOKEN=token), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed: list[str] = []
    reader = threading.Thread(target=printed.extend, args=(process.stdout,), daemon=True)
    reader.start()
    (deal, *_) = wanted = ids(server, token)
    try:
        deadline = time.monotonic() + DEADLINE_S
        while "UPDATED" not in "".join(printed) and time.monotonic() < deadline:
            payload = ask(server, RENAME, input={"id": deal, "name": f"Renamed at {time.monotonic()}"})
            assert payload["updateOpportunity"]["errors"] == []
            reader.join(0.2)
    finally:
        process.terminate()
        process.wait(DEADLINE_S)
        reader.join(DEADLINE_S)
        process.stdout.close()
    said = "".join(printed)
    assert all(one in said for one in wanted)
    assert re.search(r"kind: 'UPDATED'", said), said
