"""What reading a document takes is charged to whoever sent it, whether it can be run or not; what is known is free."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from tests.support import plain
from tests.support.server import RunningServer, running_server

pytestmark = pytest.mark.xdist_group("refused-documents")

SETTINGS = {"CRM_RATE_MEMBER_DOCUMENT_MS": "60", "CRM_RATE_ADDRESS_DOCUMENT_MS": "60"}
MOST = 120
"""Requests: the cheapest of the kinds takes half a millisecond."""
KNOWN = "{ viewer { roles } }"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server that reads documents for 60 ms a minute."""
    with running_server(tmp_path_factory.mktemp("refused") / "data", "--no-demo", **SETTINGS) as running:
        yield running


def _fields(number: int) -> str:
    return " ".join(f"a{number}_{field}: name" for field in range(25))


KINDS: dict[str, Callable[[int], str]] = {
    "unknown fields": lambda number: "{" + " ".join(f"f{number}_{field}" for field in range(900)) + "}",
    "no end": lambda number: f"{{ a{number} " + "{ a " * 900,
    "too many aliases": lambda number: "{ customers { nodes {" + _fields(number) + _fields(number + 1_000) + "} } }",
    "overlapping fragments": lambda number: (
        f"query Q{number} {{ customers {{ nodes {{ ...F0 }} }} }}"
        + "".join(f"fragment F{at} on Customer {{ name ...F{at + 1} ...F{at + 1} }}" for at in range(60))
    ),
    "one that can be run": lambda number: f"{{ customers(first: 1) {{ nodes {{ {_fields(number)} }} }} }}",
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_who_sends_new_documents_only_has_to_wait(server: RunningServer, kind: Callable[[int], str]) -> None:
    with plain.client(headers=server.headers, timeout=30) as client:
        answers = []
        for number in range(MOST):
            answers.append(client.post(server.address, json={"query": kind(number)}))
            if answers[-1].status_code == 429:
                break
        last = answers[-1]
        assert last.status_code == 429
        assert last.json()["errors"][0]["message"].startswith("Documents that are new here took too long to read")
        assert 0 < int(last.headers["retry-after"]) <= 60


def test_who_sends_the_same_document_does_not_notice(server: RunningServer) -> None:
    """Read once, it is free: after a while everybody's documents are known."""
    with plain.client(headers=server.headers, timeout=30) as client:
        for _ in range(2):  # until it is read, and until what that took is back
            while client.post(server.address, json={"query": KNOWN}).status_code == 429:
                time.sleep(0.2)
        for _ in range(MOST):
            assert client.post(server.address, json={"query": KNOWN}).status_code == 200
