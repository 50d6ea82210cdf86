"""Trusted documents on a real server, pushed by the command line: POST, GET, server-sent events and WebSocket alike."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets import Subprotocol
from websockets.sync.client import ClientConnection, connect

from crm_graph.cli.main import main
from tests.support import plain
from tests.support.server import RunningServer, crm_graph, running_server

CACHE_S = 0.3
MEDIA = ["application/json", "application/graphql-response+json"]
WATCH = "subscription Watch { opportunityChanged { event } }"
DOCUMENTS = {
    "who": "query Who { viewer { member { name } } }",
    "watch": WATCH,
    "half": "query Half { viewer { member { name } } customers(first: -1) { totalCount } }",
    "create": "mutation Add($input: CreateOpportunityInput!) { createOpportunity(input: $input) { errors { code } } }",
}
WHO = {"data": {"viewer": {"member": {"name": "Admin"}}}}
NOT_FOUND = "PERSISTED_DOCUMENT_NOT_FOUND"

pytestmark = pytest.mark.xdist_group("trusted")


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Wire:
    """The server, the command line on its data, and a client that may run trusted documents only."""

    def __init__(self, server: RunningServer, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.command("client", "create", "web", "--mode", "trusted-only")
        self.push("--client", "web", documents=DOCUMENTS)
        self.token = self.command("token", "--role", "admin", "--client", "web").strip()

    def command(self, *arguments: str, code: int = 0) -> str:
        """Return what a command says; where it must fail, on stderr. In this process: starting one takes seconds."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", ["crm-graph", *arguments, "--data", str(self.server.data)])
            with pytest.raises(SystemExit) as ended:
                main()
        assert ended.value.code == code, err.getvalue()
        return err.getvalue() if code else out.getvalue()

    def push(self, *options: str, documents: object, code: int = 0) -> str:
        file = self.folder / "documents.json"
        file.write_text(json.dumps(documents))
        given = ("documents", "push", *options, str(file), "--data", str(self.server.data))
        done = crm_graph(*given)  # makes the schema, which a process can do once
        assert done.returncode == code, done
        assert "Traceback" not in done.stderr
        return done.stderr if code else done.stdout

    def headers(self, token: str | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {token or self.token}"}

    def post(self, body: object, token: str | None = None, accept: str = MEDIA[0]) -> httpx.Response:
        headers = {**self.headers(token), "Accept": accept}
        return plain.post(self.server.address, json=body, headers=headers, timeout=10)

    def get(self, accept: str = MEDIA[0], **parameters: str) -> httpx.Response:
        headers = {**self.headers(), "Accept": accept}
        return plain.get(self.server.address, params=parameters, headers=headers, timeout=10)

    @contextmanager
    def socket(self) -> Iterator[ClientConnection]:
        """Lend a connection that has been let in."""
        address = self.server.address.replace("http", "ws", 1)
        with connect(address, subprotocols=[Subprotocol("graphql-transport-ws")]) as made:
            made.send(json.dumps({"type": "connection_init", "payload": self.headers()}))
            assert json.loads(made.recv(5))["type"] == "connection_ack"
            yield made


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    folder = tmp_path_factory.mktemp("trusted")
    milliseconds = str(int(CACHE_S * 1000))
    with running_server(folder / "data", "--no-demo", CRM_TRUSTED_CACHE_MS=milliseconds) as server:
        yield Wire(server, folder)


def code(answer: Any) -> Any:
    (error,) = answer["errors"]
    return error["extensions"]["code"]


SPELLINGS = [
    {"documentId": f"sha256:{sha256(DOCUMENTS['who'])}"},
    {"documentId": "who"},
    {"doc_id": "who"},
    {"id": "who"},
    {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": sha256(DOCUMENTS["who"])}}},
]


@pytest.mark.parametrize("body", SPELLINGS, ids=lambda body: next(iter(body)))
def test_every_spelling_by_every_way(wire: Wire, body: dict[str, Any]) -> None:
    parameters = {name: value if isinstance(value, str) else json.dumps(value) for name, value in body.items()}
    for media in MEDIA:
        for response in (wire.post(body, accept=media), wire.get(accept=media, **parameters)):
            assert (response.status_code, response.json()) == (200, WHO)
            assert response.headers["content-type"] == f"{media}; charset=utf-8"
    for response in (wire.post(body, accept="text/event-stream"), wire.get("text/event-stream", **parameters)):
        assert response.text == f"event: next\ndata: {_compact(WHO)}\n\nevent: complete\ndata: \n\n"
    with wire.socket() as socket:
        socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": body}))
        assert json.loads(socket.recv(5)) == {"type": "next", "id": "1", "payload": WHO}
        assert json.loads(socket.recv(5)) == {"type": "complete", "id": "1"}


@pytest.mark.parametrize("body", [{"query": "{ __typename }"}, {"documentId": "unknown"}])
def test_what_is_not_trusted_is_refused_by_every_way(wire: Wire, body: dict[str, str]) -> None:
    for media, status in zip(MEDIA, (200, 400), strict=True):
        for response in (wire.post(body, accept=media), wire.get(accept=media, **body)):
            assert (response.status_code, code(response.json())) == (status, NOT_FOUND)
            assert "data" not in response.json()
    event, data, *_ = wire.post(body, accept="text/event-stream").text.split("\n")
    assert (event, code(json.loads(data.removeprefix("data: ")))) == ("event: next", NOT_FOUND)
    by_event_source = wire.get("text/event-stream", **body)  # a status of an error, or it would come back for ever
    assert (by_event_source.status_code, code(by_event_source.json())) == (400, NOT_FOUND)
    with wire.socket() as socket:
        socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": body}))
        refused = json.loads(socket.recv(5))
        assert (refused["type"], code({"errors": refused["payload"]})) == ("error", NOT_FOUND)


HALF = {"NULL": {**WHO["data"], "customers": None}, "PROPAGATE": None, "HALT": None}
"""What is left of the data where one of two fields fails, by what an error does."""


@pytest.mark.parametrize("value", HALF)
def test_on_error_in_extensions_by_every_way(wire: Wire, value: str) -> None:
    """All that Apollo, urql and gql can set; of trusted documents too."""
    body = {"documentId": "half", "extensions": {"onError": value}}
    parameters = {"documentId": "half", "extensions": json.dumps(body["extensions"])}
    for media in MEDIA:
        for response in (wire.post(body, accept=media), wire.get(accept=media, **parameters)):
            assert response.json()["data"] == HALF[value]
            assert code(response.json()) == "BAD_USER_INPUT"
    for response in (wire.post(body, accept="text/event-stream"), wire.get("text/event-stream", **parameters)):
        assert json.loads(response.text.split("\n")[1].removeprefix("data: "))["data"] == HALF[value]
    with wire.socket() as socket:
        socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": body}))
        assert json.loads(socket.recv(5))["payload"]["data"] == HALF[value]


def test_the_default_of_a_client_by_every_way(wire: Wire) -> None:
    """In force within the time that a document mode takes; what a request says goes before it."""
    assert wire.command("client", "on-error", "web") == "propagate\n"
    assert wire.post({"documentId": "half"}).json()["data"] is None
    assert wire.command("client", "on-error", "web", "null") == "null\n"
    time.sleep(CACHE_S)
    body = {"documentId": "half"}
    for response in (wire.post(body), wire.get(documentId="half")):
        assert response.json()["data"] == HALF["NULL"]
    response = wire.post(body, accept="text/event-stream")
    assert json.loads(response.text.split("\n")[1].removeprefix("data: "))["data"] == HALF["NULL"]
    with wire.socket() as socket:
        socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": body}))
        assert json.loads(socket.recv(5))["payload"]["data"] == HALF["NULL"]
    for said in ({"onError": "PROPAGATE"}, {"extensions": {"onError": "PROPAGATE"}}):
        assert wire.post({**body, **said}).json()["data"] is None
    wire.command("client", "on-error", "web", "propagate")
    time.sleep(CACHE_S)
    assert wire.post(body).json()["data"] is None


def test_on_error_is_refused_by_every_way(wire: Wire) -> None:
    body: dict[str, Any] = {"documentId": "half", "extensions": {"onError": "IGNORE"}}
    reason = "The extension `onError` must be `NULL`, `PROPAGATE` or `HALT`."
    for media in MEDIA:
        for response in (
            wire.post(body, accept=media),
            wire.get(documentId="half", extensions='{"onError": "IGNORE"}'),
        ):
            assert response.status_code == 400
            assert response.json()["errors"][0]["message"] == reason
    with wire.socket() as socket:
        socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": body}))
        told = json.loads(socket.recv(5))  # and what runs beside it goes on
        assert (told["type"], told["payload"][0]["message"]) == ("error", reason)


def test_get_runs_no_trusted_mutation(wire: Wire) -> None:
    """405, as for one that is sent whole; nothing was written."""
    response = wire.get(documentId="create", variables='{"input": {"name": "x"}}')
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert wire.post({"documentId": "create", "variables": {"input": {"name": "made"}}}).json() == {
        "data": {"createOpportunity": {"errors": []}}
    }


def test_the_id_is_not_quoted_without_end(wire: Wire) -> None:
    response = wire.post({"documentId": "x" * 100_000})
    assert code(response.json()) == NOT_FOUND
    assert len(response.content) < 1_000


def test_a_subscription_by_id_ends_when_its_document_is_removed(wire: Wire) -> None:
    with wire.socket() as socket:
        socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": {"documentId": "watch"}}))
        assert _next_change(wire, socket) == {"data": {"opportunityChanged": {"event": "OpportunityCreated"}}}
        wire.command("documents", "remove", "--client", "web", "watch")
        time.sleep(CACHE_S)
        ended = _next_change(wire, socket)
        while isinstance(ended, dict):  # what was told before
            ended = _next_change(wire, socket)
        assert code({"errors": ended}) == NOT_FOUND
    response = wire.post({"documentId": "watch"}, accept="text/event-stream")
    assert code(json.loads(response.text.split("\n")[1].removeprefix("data: "))) == NOT_FOUND


def test_a_mode_is_in_force_soon(wire: Wire) -> None:
    assert wire.command("documents", "mode", "--client", "web") == "trusted-only\n"
    assert wire.command("documents", "mode", "--client", "web", "warn") == "warn\n"
    time.sleep(CACHE_S)
    assert wire.post({"query": "{ __typename }"}).json() == {"data": {"__typename": "Query"}}
    wire.command("documents", "mode", "--client", "web", "trusted-only")
    time.sleep(CACHE_S)
    assert code(wire.post({"query": "{ __typename }"}).json()) == NOT_FOUND


def test_a_push_is_all_or_nothing_and_says_what_it_did(wire: Wire) -> None:
    text = "query Fresh { viewer { member { id } } }"
    before = wire.command("documents", "list")
    said = wire.push(documents={"fresh": text, "bad": "query Bad { nope }"}, code=1)
    assert "documents.json:1: bad: Cannot query field 'nope' on type 'Query'." in said.replace("\n", "")
    assert "nothing was written" in said
    assert wire.command("documents", "list") == before
    assert wire.push(documents={"fresh": text}) == f"added\tsha256:{sha256(text)}\tFresh\n"
    assert wire.push(documents={"fresh": text, "fresher": text}) == f"new id\tsha256:{sha256(text)}\tFresh\n"
    listed = [line.split("\t")[:4] for line in wire.command("documents", "list").splitlines()]
    assert [f"sha256:{sha256(text)}", "(all)", "Fresh", "fresh, fresher"] in listed
    assert wire.command("documents", "remove", "fresher") == f"removed\tsha256:{sha256(text)}\n"
    assert wire.command("documents", "list") == before


def test_two_pushes_at_once_wait_for_each_other(wire: Wire) -> None:
    documents = {f"many-{number}": f"query Many{number} {{ __typename }}" for number in range(100)}
    file = wire.folder / "many.json"
    file.write_text(json.dumps(documents))
    with ThreadPoolExecutor(2) as pool:
        push = ("documents", "push", str(file), "--data", str(wire.server.data))
        done = list(pool.map(lambda _: crm_graph(*push), range(2)))
    assert sorted((each.returncode, each.stdout.count("added\t")) for each in done) == [(0, 0), (0, 100)]
    wire.command("documents", "remove", *documents)


def test_what_the_commands_refuse(wire: Wire) -> None:
    assert "there are: web" in wire.command("token", "--role", "admin", "--client", "nope", code=2)
    assert "has this name already" in wire.command("client", "create", "web", code=1)
    assert "no trusted document nope" in wire.command("documents", "remove", "nope", code=1)
    assert wire.command("client", "list") == "web\ttrusted-only\n"


def _next_change(wire: Wire, socket: ClientConnection) -> Any:
    """Return the next thing that a subscription says; no protocol tells when it is live, so records are made until."""
    for _ in range(40):
        wire.post({"documentId": "create", "variables": {"input": {"name": "deal"}}})
        with suppress(TimeoutError):
            said = json.loads(socket.recv(0.25))
            if said["type"] != "ping":
                return said["payload"]
    raise AssertionError("nothing was said")


def _compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
