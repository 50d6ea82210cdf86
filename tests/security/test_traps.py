"""The known traps of the stack, each at HTTP and at WebSocket: neither falls into one that the other is saved from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.security.documents import INPUT, INVALID, LIMIT, PARSE, Worst, chain, doubling, overlapping
from tests.support import plain
from tests.support.server import RunningServer, running_server

pytestmark = pytest.mark.xdist_group("traps")

TYPENAME = {"data": {"__typename": "Query"}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of its own."""
    with running_server(tmp_path_factory.mktemp("traps") / "data", "--no-demo") as running:
        yield running


@pytest.fixture
def socket(server: RunningServer) -> Iterator[ClientConnection]:
    """An initialised connection."""
    with open_socket(server) as made:
        made.send(json.dumps({"type": "connection_init", "payload": server.headers}))
        assert receive(made) == {"type": "connection_ack"}
        yield made


def open_socket(server: RunningServer) -> ClientConnection:
    """Return a connection that speaks the protocol."""
    return connect(f"ws://127.0.0.1:{server.port}/graphql", subprotocols=[Subprotocol("graphql-transport-ws")])


def receive(socket: ClientConnection) -> Any:
    """Return the next message."""
    return json.loads(socket.recv(timeout=10))


def over_http(server: RunningServer, payload: Mapping[str, Any]) -> Any:
    """Return the answer to a POST."""
    answer = plain.post(server.address, content=json.dumps(payload), headers={**server.headers, **JSON}, timeout=10)
    assert answer.status_code == 200
    return answer.json()


def over_socket(socket: ClientConnection, payload: Mapping[str, Any]) -> Any:
    """Return the answer to a `subscribe`, in the form that HTTP has; the connection lives on."""
    socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))
    message = receive(socket)
    if message["type"] == "error":
        return {"errors": message["payload"]}
    assert message["type"] == "next"
    assert receive(socket) == {"type": "complete", "id": "1"}
    return message["payload"]


JSON = {"Content-Type": "application/json"}

BLOCKING = {
    "4: fragments that double": (doubling(18), LIMIT),
    "4: a long chain": (chain(150), LIMIT),
    "4: overlapping fields": (overlapping(3, 100), LIMIT),
    "4: overlapping leaves": ("{ viewer { " + "roles " * 1_900 + "} }", LIMIT),
    "4: a source over the limit": ("{ __typename } #" + "x" * 70_000, LIMIT),
    "4: tokens over the limit": ("{" + " __typename" * 2_100 + "}", LIMIT),
    "5: two operations, no name": ("query A { __typename } query B { __typename }", INPUT),
}

_CUSTOMER = "query ($v: {type}) {{ customers(where: {{{field}: {{eq: $v}}}}) {{ totalCount }} }}"
_DEAL = "query ($v: {type}) {{ opportunities(where: {{{field}: {{eq: $v}}}}) {{ totalCount }} }}"
_AMOUNT = _DEAL.format(type="Decimal!", field="amount")
_TIME = _DEAL.format(type="DateTime!", field="createdAt")
_DATE = _DEAL.format(type="Date!", field="expectedClose")
_NAME = _CUSTOMER.format(type="String!", field="name")

SCALARS = {
    "NaN": (_AMOUNT, "NaN"),
    "Infinity": (_AMOUNT, "Infinity"),
    "a huge exponent": (_AMOUNT, "1E+999999999"),
    "a float": (_AMOUNT, 1.5),
    "another script's digits": (_AMOUNT, "١٢"),
    "a naive time": (_TIME, "2026-11-22T09:30:00"),
    "a leap second": (_TIME, "2026-12-31T23:59:60Z"),
    "a date for a time": (_TIME, "2026-11-22"),
    "an ISO week": (_DATE, "2026-W47-7"),
    "a compact date": (_DATE, "20261122"),
    "no date": (_DATE, "2026-02-30"),
    "the year 0": (_DATE, "0000-01-01"),
    "NUL": (_NAME, "a\0b"),
    "NUL in an id": ("query ($v: ID!) { node(id: $v) { id } }", "a\0b"),
}

SUGGESTIONS = {
    "a field": "{ custmers { totalCount } }",
    "a field below": "{ customers { nodes { nme } } }",
    "an argument": "{ customers(frist: 1) { totalCount } }",
    "an enum value": "{ customers(where: {kind: {eq: COMPANI}}) { totalCount } }",
    "an enum value as a string": '{ customers(where: {kind: {eq: "COMPANY"}}) { totalCount } }',
    "an input field": "{ customers(where: {nme: {eq: 1}}) { totalCount } }",
    "a required input field": "mutation { createCustomer(input: {nme: 1}) { errors { code } } }",
    "a type": "{ node(id: 1) { ... on Custmer { id } } }",
    "a type of a variable": "query ($w: CustomerFiltr) { customers(where: $w) { totalCount } }",
    "a fragment's type": "{ node(id: 1) { ...F } } fragment F on Custmer { id }",
    "a directive": "{ customers @includ(if: true) { totalCount } }",
    "a directive's argument": "{ customers @include(iff: true) { totalCount } }",
}

SUGGESTIONS_IN_VARIABLES: dict[str, Worst] = {
    "an input field": Worst(
        "query ($w: CustomerFilter) { customers(where: $w) { totalCount } }", INPUT, {"w": {"nme": {}}}
    ),
    "an enum value": Worst(
        "query ($k: CustomerKind!) { customers(where: {kind: {eq: $k}}) { totalCount } }", INPUT, {"k": "COMPANI"}
    ),
}


def code(answer: Any) -> str:
    """Return the code of the first error."""
    found: str = answer["errors"][0]["extensions"]["code"]
    return found


@pytest.mark.parametrize(("source", "wanted"), BLOCKING.values(), ids=BLOCKING.keys())
def test_documents(server: RunningServer, socket: ClientConnection, source: str, wanted: str) -> None:
    """What blocks validation is refused before, and no operation is chosen for the client."""
    for answer in (over_http(server, {"query": source}), over_socket(socket, {"query": source})):
        assert (code(answer), "data" in answer) == (wanted, False)
    assert over_socket(socket, {"query": "{ __typename }"}) == TYPENAME


def test_a_name_chooses(server: RunningServer, socket: ClientConnection) -> None:
    """The other half of trap 5."""
    chosen = {"query": "query A { a: __typename } query B { b: __typename }", "operationName": "B"}
    for answer in (over_http(server, chosen), over_socket(socket, chosen)):
        assert answer == {"data": {"b": "Query"}}


FRAMES = {
    "null": "null",
    "a number": "42",
    "a list": "[]",
    "a list of messages": '[{"type": "ping"}]',
    "nothing": "",
    "half of it": '{"type": ',
    "deep objects": '{"type": "ping", "payload": ' + '{"a":' * 5_000 + "1" + "}" * 5_000 + "}",
    "deep arrays": "[" * 100_000,
    "an integer of 5,000 digits": '{"type": "ping", "payload": {"a": ' + "9" * 5_000 + "}}",
    "NaN": '{"type": "ping", "payload": NaN}',
    "an unpaired surrogate": '{"type": "ping", "payload": "\\ud800"}',
    "no type": "{}",
    "a type that is none": '{"type": 7}',
    "an unknown type": '{"type": "start"}',
    "a payload that is null": '{"id": "1", "type": "subscribe", "payload": null}',
    "a payload that is a list": '{"id": "1", "type": "subscribe", "payload": []}',
    "a query that is a number": '{"id": "1", "type": "subscribe", "payload": {"query": 1}}',
    "variables that are a list": '{"id": "1", "type": "subscribe", "payload": {"query": "{ a }", "variables": []}}',
    "an id that is a number": '{"id": 1, "type": "subscribe", "payload": {"query": "{ __typename }"}}',
    "bytes": b"\xff\xfe",
}


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES.keys())
def test_frames(server: RunningServer, socket: ClientConnection, frame: str | bytes) -> None:
    """Trap 6: closed with 4400 and a reason, never with 1011 or 1006; HTTP's half is `test_http_bodies`."""
    socket.send(frame)
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, bool(closed.value.rcvd.reason)) == (4400, True)
    assert over_http(server, {"query": "{ __typename }"}) == TYPENAME


@pytest.mark.parametrize("frame", ["null", "[" * 100_000, '{"type": "connection_init", "payload": 7}'])
def test_frames_before_the_init(server: RunningServer, frame: str) -> None:
    """The same for a connection that nobody has shown a token on."""
    with open_socket(server) as socket:
        socket.send(frame)
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(timeout=10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4400


@pytest.mark.parametrize(("source", "value"), SCALARS.values(), ids=SCALARS.keys())
def test_scalars(server: RunningServer, socket: ClientConnection, source: str, value: Any) -> None:
    """Trap 7: as a variable, and as a literal where one can be spelled; nothing reaches Postgres."""
    payload = {"query": source, "variables": {"v": value}}
    for answer in (over_http(server, payload), over_socket(socket, payload)):
        assert (code(answer), "data" in answer) == (INPUT, False)
    literal = re.sub(r"query \(\$v: \w+!\) ", "", source).replace("$v", json.dumps(value, ensure_ascii=False))
    for answer in (over_http(server, {"query": literal}), over_socket(socket, {"query": literal})):
        assert (code(answer), "data" in answer) == (INVALID, False)


def test_an_unpaired_surrogate(server: RunningServer, socket: ClientConnection) -> None:
    """Trap 7: in a body it is no JSON; spelled in a document it is no string."""
    spelled = {"query": '{ node(id: "\\ud800") { id } }'}
    for answer in (over_http(server, spelled), over_socket(socket, spelled)):
        assert code(answer) == PARSE
    raw = '{"query": "query ($v: ID!) { node(id: $v) { id } }", "variables": {"v": "\\ud800"}}'
    assert plain.post(server.address, content=raw, headers={**server.headers, **JSON}).status_code == 400


@pytest.mark.parametrize("source", SUGGESTIONS.values(), ids=SUGGESTIONS.keys())
def test_suggestions(server: RunningServer, socket: ClientConnection, source: str) -> None:
    """Trap 8: no message says what there is instead."""
    for answer in (over_http(server, {"query": source}), over_socket(socket, {"query": source})):
        assert code(answer) == INVALID
        assert "Did you mean" not in json.dumps(answer)


@pytest.mark.parametrize("worst", SUGGESTIONS_IN_VARIABLES.values(), ids=SUGGESTIONS_IN_VARIABLES.keys())
def test_suggestions_in_variables(server: RunningServer, socket: ClientConnection, worst: Worst) -> None:
    """Trap 8: coercion has its own messages."""
    payload = {"query": worst.source, "variables": dict(worst.variables)}
    for answer in (over_http(server, payload), over_socket(socket, payload)):
        assert code(answer) == worst.code
        assert "Did you mean" not in json.dumps(answer)
