"""GraphQL over HTTP at its edge: what people send instead of a request, and the statuses that say so.

A real server over real sockets: much of this is decided before our code sees it, and has to be right all the same.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from crm_graph.api.transport.http import GraphQLEndpoint
from crm_graph.api.transport.incoming import Incoming, Reply
from tests.support import plain
from tests.support.graph import Graph
from tests.support.server import RunningServer, running_server

JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"
EVENT_STREAM = "text/event-stream"
TYPENAME = "{ __typename }"
SUBSCRIPTION = "subscription { opportunityChanged { recordId } }"
LIMIT = 256 * 1024

pytestmark = pytest.mark.xdist_group("http-bodies")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server of its own."""
    with running_server(tmp_path_factory.mktemp("http") / "data", "--no-demo") as running:
        yield running


@pytest.fixture
def client(server: RunningServer) -> Iterator[httpx.Client]:
    """A client with a good token; whatever a test sent, the server is well afterwards."""
    with plain.client(
        base_url=f"http://127.0.0.1:{server.port}", headers={**server.headers, "Content-Type": JSON}, timeout=10
    ) as made:
        yield made
        assert made.post("/graphql", content=body(TYPENAME)).json() == {"data": {"__typename": "Query"}}


def body(query: object, **more: object) -> bytes:
    """Return the bytes of a request."""
    return json.dumps({"query": query, **more}).encode()


def code(response: httpx.Response) -> Any:
    """Return the code of the only error; nothing was executed, so there is no `data`."""
    answer = response.json()
    assert set(answer) == {"errors"}
    assert len(answer["errors"]) == 1
    return answer["errors"][0]["extensions"]["code"]


def with_variables(text: str) -> bytes:
    """Return a request whose variables are spelled as given, JSON or not."""
    return b'{"query": "{ __typename }", "variables": ' + text.encode() + b"}"


NOT_A_REQUEST = {
    "nothing": b"",
    "null": b"null",
    "a number": b"42",
    "a string": b'"{ __typename }"',
    "a boolean": b"true",
    "an empty batch": b"[]",
    "a batch": b"[" + body(TYPENAME) + b"," + body(TYPENAME) + b"]",
    "half of it": b'{"query": ',
    "more behind it": body(TYPENAME) + b"x",
    "invalid UTF-8": b'{"query": "{ __typename } # \xff\xfe"}',
    "an overlong form": b'{"query": "{ __typename } # \xc0\xaf"}',
    "a byte order mark": b"\xef\xbb\xbf" + body(TYPENAME),
    "UTF-16": json.dumps({"query": TYPENAME}).encode("utf-16"),
    "a gzip": b"\x1f\x8b\x08\x00",
    "deep objects": with_variables('{"a":' * 5_000 + "1" + "}" * 5_000),
    "deep arrays": b"[" * 100_000,
    "an unclosed string of brackets": b'{"query": "' + b"[" * 100_000,
    "an integer of 5,000 digits": with_variables('{"a": ' + "9" * 5_000 + "}"),
    "a negative one": with_variables('{"a": -' + "9" * 5_000 + "}"),
    "1e999": with_variables('{"a": 1e999}'),
    "NaN": with_variables('{"a": NaN}'),
    "an unpaired surrogate": with_variables('{"a": "\\ud800"}'),
    "an unpaired surrogate in the query": b'{"query": "{ __typename } # \\udfff"}',
    "no query": b"{}",
    "a null query": body(None),
    "a query that is a number": body(7),
    "an operation name that is a list": body(TYPENAME, operationName=[]),
    "variables that are a list": body(TYPENAME, variables=[]),
    "variables that are a string": body(TYPENAME, variables="{}"),
    "extensions that are a number": body(TYPENAME, extensions=1),
}


@pytest.mark.parametrize("media", [JSON, GRAPHQL_RESPONSE, EVENT_STREAM])
@pytest.mark.parametrize("sent", NOT_A_REQUEST.values(), ids=NOT_A_REQUEST.keys())
def test_what_is_not_a_request_is_400(client: httpx.Client, sent: bytes, media: str) -> None:
    """Never 500, whatever the media type; an event stream is not begun for it."""
    response = client.post("/graphql", content=sent, headers={"Accept": media})
    assert (response.status_code, code(response)) == (400, "PARSE_FAILED")
    assert response.headers["content-type"] == f"{JSON if media == EVENT_STREAM else media}; charset=utf-8"


NOT_EXECUTABLE = {
    "an empty document": (body(""), "PARSE_FAILED"),
    "a syntax error": (body("{"), "PARSE_FAILED"),
    "deep selections": (body("{" + "a{" * 900 + "b" + "}" * 901), "PARSE_FAILED"),
    "deep lists": (body("{ nodes(ids: " + "[" * 900 + "]" * 900 + ") { id } }"), "PARSE_FAILED"),
    "a surrogate spelled in the document": (body('{ node(id: "\\ud800") { id } }'), "PARSE_FAILED"),
    "3,000 tokens": (body("{" + " a" * 3_000 + "}"), "COST_LIMIT_EXCEEDED"),
    "a source of 70,000 bytes": (body(TYPENAME + "#" * 70_000), "COST_LIMIT_EXCEEDED"),
    "an unknown field": (body("{ nope }"), "VALIDATION_FAILED"),
    "an Int of 5,000 digits": (body("{ customers(first: " + "9" * 5_000 + ") { totalCount } }"), "VALIDATION_FAILED"),
    "two operations and no name": (body("query A {__typename} query B {__typename}"), "BAD_USER_INPUT"),
    "the name of no operation": (body("query A {__typename}", operationName="B"), "BAD_USER_INPUT"),
    "a variable of another type": (
        body("query ($id: ID!) { node(id: $id) { id } }", variables={"id": {}}),
        "BAD_USER_INPUT",
    ),
    "a missing variable": (body("query ($id: ID!) { node(id: $id) { id } }"), "BAD_USER_INPUT"),
    "NUL": (body("query ($id: ID!) { node(id: $id) { id } }", variables={"id": "a\0b"}), "BAD_USER_INPUT"),
    "a huge integer": (
        body("query ($n: Int!) { customers(first: $n) { totalCount } }", variables={"n": 10**18}),
        "BAD_USER_INPUT",
    ),
}


@pytest.mark.parametrize(("sent", "wanted"), NOT_EXECUTABLE.values(), ids=NOT_EXECUTABLE.keys())
def test_a_request_that_cannot_be_executed(client: httpx.Client, sent: bytes, wanted: str) -> None:
    """It is 200 as `application/json`, 400 as `application/graphql-response+json`, and one `next` of a stream."""
    plain = client.post("/graphql", content=sent, headers={"Accept": JSON})
    assert (plain.status_code, code(plain)) == (200, wanted)
    strict = client.post("/graphql", content=sent, headers={"Accept": GRAPHQL_RESPONSE})
    assert (strict.status_code, code(strict)) == (400, wanted)
    stream = client.post("/graphql", content=sent, headers={"Accept": EVENT_STREAM})
    assert (stream.status_code, stream.headers["content-type"]) == (200, f"{EVENT_STREAM}; charset=utf-8")
    event, data, *end = stream.text.removesuffix("\n\n").split("\n")
    assert (event, end) == ("event: next", ["", "event: complete", "data: "])
    assert json.loads(data.removeprefix("data: "))["errors"][0]["extensions"]["code"] == wanted


def test_messages_do_not_repeat_what_was_sent_without_end(client: httpx.Client) -> None:
    """Twenty errors that each quote a name of 60,000 letters would answer 64 KiB with megabytes."""
    response = client.post("/graphql", content=body("{ " + "x" * 60_000 + " }"))
    message = response.json()["errors"][0]["message"]
    assert (len(message), message[-1]) == (501, "…")


def over_a_socket(server: RunningServer, headers: str, sent: bytes = b"") -> bytes:
    """Return the status line and what else comes at once. For what no client library would send."""
    lines = (
        "POST /graphql HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {server.token}",
        f"Content-Type: {JSON}",
    )
    head = "\r\n".join((*lines, headers, "", ""))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(head.encode() + sent)
        return raw.recv(65_536)


def test_a_body_over_the_limit_is_413(client: httpx.Client, server: RunningServer) -> None:
    """By its length before it is read, and by what arrives when it has none."""
    response = client.post("/graphql", content=body(TYPENAME + " " * LIMIT))
    assert (response.status_code, code(response)) == (413, "BAD_USER_INPUT")
    assert over_a_socket(server, "Content-Length: 10000000000").startswith(b"HTTP/1.1 413 ")
    chunk = b"10000\r\n" + b" " * 65_536 + b"\r\n"
    sent = chunk * (LIMIT // 65_536) + b"1\r\n \r\n"
    assert over_a_socket(server, "Transfer-Encoding: chunked", sent).startswith(b"HTTP/1.1 413 ")


def test_a_body_at_the_limit_is_read(client: httpx.Client) -> None:
    """The limit is the last length that is taken."""
    short = body(TYPENAME)
    response = client.post("/graphql", content=short + b" " * (LIMIT - len(short)))
    assert response.json() == {"data": {"__typename": "Query"}}


@pytest.mark.parametrize("length", ["x", "-1", "9" * 5_000, "1, 2"])
def test_a_length_that_is_none_is_400(server: RunningServer, client: httpx.Client, length: str) -> None:
    """Refused before our code, and not with a 500."""
    assert over_a_socket(server, f"Content-Length: {length}").startswith(b"HTTP/1.1 400 ")


CONTENT_TYPES = {
    JSON: 200,
    "application/json; charset=utf-8": 200,
    'Application/JSON;charset="UTF-8"': 200,
    "application/json; profile=x; charset = utf8;": 200,
    "application/json; charset=latin1": 415,
    "application/json; charset=utf-16": 415,
    "application/jsonp": 415,
    "text/plain": 415,
    "application/graphql": 415,
    "application/x-www-form-urlencoded": 415,
    "multipart/form-data; boundary=x": 415,
    "": 415,
}


@pytest.mark.parametrize(("content_type", "status"), CONTENT_TYPES.items())
def test_content_types(client: httpx.Client, content_type: str, status: int) -> None:
    """Only JSON in UTF-8: what a form on another site can send is none of it."""
    response = client.post("/graphql", content=body(TYPENAME), headers={"Content-Type": content_type})
    assert response.status_code == status


ACCEPTED = {
    "": JSON,
    "*/*": JSON,
    "application/*": JSON,
    "application/json; charset=utf-8": JSON,
    "application/graphql-response+json": GRAPHQL_RESPONSE,
    "application/graphql-response+json, application/json;q=0.9": GRAPHQL_RESPONSE,
    "application/graphql-response+json;q=0.5, application/json": JSON,
    "application/graphql-response+json, application/json, text/event-stream, multipart/mixed": GRAPHQL_RESPONSE,
    "application/json, text/event-stream": JSON,
    "text/event-stream": EVENT_STREAM,
    "text/event-stream;q=0.1, */*;q=0.5": JSON,
    "application/json;q=0, */*": GRAPHQL_RESPONSE,
    "application/json;q=many, text/event-stream": EVENT_STREAM,
    "text/html": None,
    "application/xml, application/json;q=0": None,
}


@pytest.mark.parametrize(("accept", "media"), ACCEPTED.items())
def test_what_is_accepted(client: httpx.Client, accept: str, media: str | None) -> None:
    """By quality, then by order; 406 when there is nothing that we have."""
    response = client.post("/graphql", content=body(TYPENAME), headers={"Accept": accept})
    if media is None:
        assert response.status_code == 406
    else:
        assert (response.status_code, response.headers["content-type"]) == (200, f"{media}; charset=utf-8")


def test_no_accept_is_json(server: RunningServer) -> None:
    """A request need not say what it takes."""
    sent = body(TYPENAME)
    answer = over_a_socket(server, f"Content-Length: {len(sent)}", sent)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"content-type: application/json; charset=utf-8\r\n" in answer


def test_get_and_head(client: httpx.Client) -> None:
    """GET runs queries and HEAD is GET without its body; neither ever changes anything."""
    found = client.get("/graphql", params={"query": TYPENAME, "variables": "null", "operationName": ""})
    assert (found.status_code, found.json()) == (200, {"data": {"__typename": "Query"}})
    assert client.head("/graphql", params={"query": TYPENAME}).status_code == 200
    for document in ("mutation { __typename }", SUBSCRIPTION):
        for method in ("GET", "HEAD"):
            refused = client.request(method, "/graphql", params={"query": document})
            assert (refused.status_code, refused.headers["allow"]) == (405, "POST")
    for variables in ("[[", "\ud800".encode("utf-8", "surrogatepass"), "7", '{"a":' * 100 + "1" + "}" * 100):
        broken = client.get("/graphql", params={"query": TYPENAME, "variables": variables})
        assert (broken.status_code, code(broken)) == (400, "PARSE_FAILED")
    empty = client.get("/graphql", headers={"Accept": JSON})
    assert (empty.status_code, code(empty)) == (400, "PARSE_FAILED")
    # The body of a HEAD is not a request, so a mutation cannot hide there.
    assert client.request("HEAD", "/graphql", content=body("mutation { __typename }")).status_code == 400


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_other_methods_are_405(client: httpx.Client, method: str) -> None:
    """With the methods that are allowed."""
    response = client.request(method, "/graphql", content=body(TYPENAME))
    assert response.status_code == 405
    assert {each.strip() for each in response.headers["allow"].split(",")} == {"GET", "HEAD", "POST"}


def test_a_subscription_needs_a_stream(client: httpx.Client) -> None:
    """JSON cannot carry it: 406 says what can."""
    response = client.post("/graphql", content=body(SUBSCRIPTION), headers={"Accept": JSON})
    assert (response.status_code, code(response)) == (406, "BAD_USER_INPUT")
    assert EVENT_STREAM in response.json()["errors"][0]["message"]


TOKENS = [
    "",
    "Bearer",
    "Bearer x.y.z",
    "Bearer ..",
    "Bearer bnVsbA.bnVsbA.bnVsbA",
    "Basic eDp5",
    "Bearer " + "a" * 20_000,
]


@pytest.mark.parametrize("media", [JSON, GRAPHQL_RESPONSE, EVENT_STREAM])
@pytest.mark.parametrize("token", TOKENS, ids=[each[:12] for each in TOKENS])
def test_a_bad_token_is_401(client: httpx.Client, token: str, media: str) -> None:
    """Whatever the media type, and before the document is looked at."""
    headers = {"Authorization": token, "Accept": media}
    response = client.post("/graphql", content=body("{ nope }"), headers=headers)
    assert (response.status_code, code(response)) == (401, "UNAUTHENTICATED")
    assert response.headers["www-authenticate"] == 'Bearer error="invalid_token"'


def test_no_token_is_401(server: RunningServer) -> None:
    """The challenge names no error when nothing was given (RFC 6750, 3.1)."""
    response = plain.post(server.address, json={"query": TYPENAME})
    assert (response.status_code, code(response)) == (401, "UNAUTHENTICATED")
    assert response.headers["www-authenticate"] == "Bearer"


async def test_a_client_that_leaves_is_no_error(graph: Graph) -> None:
    """Its statement is cancelled and the request ends quietly: nobody is there to be answered, and nothing to log."""
    claims = await graph.claims("admin")
    token = graph.authority.issue(claims.workspace_id, claims.member_id, timedelta(hours=1))
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": body("{ customers { totalCount } }")},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    headers = [(b"authorization", f"Bearer {token}".encode()), (b"content-type", JSON.encode())]
    async with graph.database.one.busy():
        response = await GraphQLEndpoint(graph.engine).respond(Incoming("POST", headers, b"", receive))
    assert isinstance(response, Reply)
    assert (response.status, response.body) == (499, b"")


def test_a_head_without_an_end(server: RunningServer) -> None:
    """The parser would keep all of it: the connection ends soon after a quarter of a megabyte."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall(b"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Long: ")
        sent = 0
        answer = b""
        try:
            while sent < 64 * 1024 * 1024:
                sent += raw.send(b"a" * 65_536)
            answer = raw.recv(100)
        except OSError:  # it was closed while we were still sending
            pass
    assert sent < 16 * 1024 * 1024
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431 ")
