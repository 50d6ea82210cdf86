"""Subscriptions by GET, as a browser's EventSource asks: from where they may come, and what ends them for good.

An EventSource comes back after a 200 that ends, and after a connection that breaks, with the last id that it was told;
any other status it takes for final (HTML, 9.2.2). A page can set none of its headers.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.support import plain
from tests.support.server import RunningServer, running_server

pytestmark = pytest.mark.xdist_group("event-source")

WATCH = "subscription { opportunityChanged { event } }"
QUERY = "{ viewer { roles } }"
MUTATION = 'mutation { deleteCustomer(input: {id: "x"}) { errors { code } } }'
APP = "https://app.example.com"
SETTINGS = {"CRM_ALLOWED_ORIGINS": APP, "CRM_COOKIES": "1"}
STREAM = "text/event-stream; charset=utf-8"
Headers = dict[str, str]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A server with cookies and one allowed origin."""
    with running_server(tmp_path_factory.mktemp("events") / "data", **SETTINGS) as running:
        yield running


def asked(
    server: RunningServer, headers: Mapping[str, str], query: str = WATCH, method: str = "GET", **more: str
) -> tuple[int, str, str]:
    """Return the status, the media type and the first bytes of an answer, over a socket of our own."""
    target = f"/graphql?{urlencode({'query': query, **more})}"
    lines = [f"{method} {target} HTTP/1.1", f"Host: 127.0.0.1:{server.port}"]
    lines += [f"{name}: {value}" for name, value in {"Accept": "text/event-stream", **headers}.items()]
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
        raw.sendall("\r\n".join([*lines, "", ""]).encode())
        received = b""
        while b"\n\n" not in received and (piece := raw.recv(1 << 16)):
            received += piece
            if b"content-length:" in received.lower() and b"\r\n\r\n" in received:
                break
    head, _, body = received.decode().partition("\r\n\r\n")
    status, *fields = head.split("\r\n")
    media = next((line.partition(": ")[2] for line in fields if line.startswith("content-type")), "")
    return int(status.split()[1]), media, body


def bearer(server: RunningServer) -> Headers:
    """Return the header of a program."""
    return dict(server.headers)


def cookie(server: RunningServer) -> Headers:
    """Return the header of a browser that has signed in."""
    return {"Cookie": f"__Host-crm_access={server.token}"}


def own(server: RunningServer) -> str:
    """Return the server's own origin."""
    return f"http://127.0.0.1:{server.port}"


SITE = "Sec-Fetch-Site"
COMES_IN: dict[str, Any] = {
    "a program": bearer,
    "a program that says where from": lambda s: {**bearer(s), "Origin": APP},
    "an old browser's own page": lambda s: {**bearer(s), "Origin": own(s)},
    "our own page, by its cookie": lambda s: {**cookie(s), SITE: "same-origin"},
    "our own page, by its cookie and origin": lambda s: {**cookie(s), "Origin": own(s), SITE: "same-origin"},
    "an allowed page, by its cookie": lambda s: {**cookie(s), "Origin": APP, SITE: "cross-site"},
    "somebody who typed it": lambda s: {**bearer(s), SITE: "none"},
}
STAYS_OUT: dict[str, tuple[Any, int]] = {
    "nobody": (lambda _: {}, 401),
    "a wrong token": (lambda _: {"Authorization": "Bearer x"}, 401),
    "a page from elsewhere": (lambda s: {**bearer(s), "Origin": "https://evil.example", SITE: "cross-site"}, 403),
    "a page that hides its origin": (lambda s: {**bearer(s), "Origin": "null", SITE: "cross-site"}, 403),
    "a page from elsewhere without an origin": (lambda s: {**bearer(s), SITE: "cross-site"}, 403),
    "a page of the same site": (lambda s: {**bearer(s), SITE: "same-site"}, 403),
    "a site that there is not": (lambda s: {**bearer(s), SITE: "friendly"}, 403),
    "a cookie without a word": (cookie, 403),
    "a cookie of who typed it": (lambda s: {**cookie(s), SITE: "none"}, 403),
    "a cookie of a page from elsewhere": (lambda s: {**cookie(s), "Origin": "https://evil.example"}, 403),
    "one that says that it is ours": (
        lambda s: {**cookie(s), "Origin": "https://evil.example", SITE: "same-origin"},
        403,
    ),
    "a cookie of another site": (lambda s: {**cookie(s), SITE: "cross-site"}, 403),
}


@pytest.mark.parametrize("who", COMES_IN.values(), ids=COMES_IN.keys())
def test_who_comes_in(server: RunningServer, who: Any) -> None:
    status, media, body = asked(server, who(server))
    assert (status, media) == (200, STREAM), body
    assert "id: " in body


@pytest.mark.parametrize(("who", "status"), STAYS_OUT.values(), ids=STAYS_OUT.keys())
def test_who_stays_out_for_good(server: RunningServer, who: Any, status: int) -> None:
    found, media, body = asked(server, who(server))
    assert (found, media) == (status, "application/json; charset=utf-8"), body


REFUSED: dict[str, tuple[str, Headers, int]] = {
    "a document that is not valid": ("subscription { nope }", {}, 400),
    "a document that is none": ("subscription {", {}, 400),
    "a cursor that is none": (WATCH, {"Last-Event-ID": "nonsense"}, 400),
    "an argument that is none": ('subscription { opportunityChanged(after: "x") { event } }', {}, 400),
    "two fields": ("subscription { a: opportunityChanged { event } b: opportunityChanged { event } }", {}, 400),
    "a mutation": (MUTATION, {}, 405),
    "a subscription as JSON": (WATCH, {"Accept": "application/json"}, 405),
}


@pytest.mark.parametrize(("query", "headers", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_refused_for_good(server: RunningServer, query: str, headers: Headers, status: int) -> None:
    found, media, body = asked(server, {**bearer(server), **headers}, query)
    assert (found, media) == (status, "application/json; charset=utf-8"), body


def test_a_head_opens_no_stream(server: RunningServer) -> None:
    assert asked(server, bearer(server), method="HEAD")[0] == 405


def test_a_query_is_answered_as_before(server: RunningServer) -> None:
    """One `next`; and a cookie without the header counts for nothing, wherever it comes from."""
    status, media, body = asked(server, bearer(server), QUERY)
    assert (status, media) == (200, STREAM)
    assert "event: next" in body
    for headers in ({SITE: "same-origin"}, {"Origin": APP}, {}):
        assert asked(server, {**cookie(server), **headers}, QUERY)[0] == 403


def test_it_goes_on_after_the_last_id(server: RunningServer) -> None:
    """What it missed comes first, once."""
    rename = (
        "mutation ($id: ID!, $name: String!) { updateOpportunity(input: {id: $id, name: $name}) { errors { code } } }"
    )
    named = "subscription { opportunityChanged { opportunity { name } } }"
    with plain.client(headers=server.headers) as client:
        find = {"query": "{ opportunities(first: 1) { nodes { id } } }"}
        (node,) = client.post(server.address, json=find).json()["data"]["opportunities"]["nodes"]
        _, _, body = asked(server, bearer(server), named)
        last = body[body.index("id: ") + 4 :].partition("\n")[0]
        for name in ("First", "Second"):
            client.post(server.address, json={"query": rename, "variables": {**node, "name": name}}).raise_for_status()
        asks = {"Accept": "text/event-stream", "Last-Event-ID": last}
        told: list[str] = []
        with client.stream("GET", server.address, params={"query": named}, headers=asks) as stream:
            for line in stream.iter_lines():
                if line.startswith("data: {"):
                    told.append(json.loads(line[6:])["data"]["opportunityChanged"]["opportunity"]["name"])
                if len(told) == 2:
                    break
    assert told == ["Second", "Second"], "a change shows the record as it is now"
