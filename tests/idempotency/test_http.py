"""The header over HTTP: where it is read, what it is refused with, and where it is nobody's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from starlette.types import Message

from crm_graph.api.body import Answer
from crm_graph.api.transport.answers import respond
from crm_graph.api.transport.http import GraphQLEndpoint
from crm_graph.api.transport.incoming import Incoming, Reply
from crm_graph.api.transport.negotiation import GRAPHQL_RESPONSE, JSON
from tests.idempotency.test_replays import CREATE, NEW, code_of
from tests.support.graph import Graph

BOTH = pytest.mark.parametrize("media", [JSON, GRAPHQL_RESPONSE])


async def post(
    graph: Graph, source: str, keys: Sequence[bytes], variables: Any = None, media: str = JSON
) -> tuple[int, Mapping[bytes, bytes], Any]:
    """Return status, headers and answer of an administrator's POST with these values of the header."""
    claims = await graph.claims("admin")
    token = graph.authority.issue(claims.workspace_id, claims.member_id, timedelta(minutes=5))
    body = json.dumps({"query": source, "variables": variables or {}}).encode()

    bodies = [body]

    async def receive() -> Message:
        if not bodies:
            await asyncio.Event().wait()  # the client stays
        return {"type": "http.request", "body": bodies.pop(), "more_body": False}

    pairs = [(b"content-type", b"application/json"), (b"authorization", f"Bearer {token}".encode())]
    pairs += [(b"accept", media.encode()), *((b"idempotency-key", key) for key in keys)]
    reply = await GraphQLEndpoint(graph.engine).respond(Incoming("POST", pairs, b"", receive))
    assert isinstance(reply, Reply)
    return reply.status, dict(reply.headers), json.loads(reply.body)


@BOTH
async def test_the_header_is_the_key(graph: Graph, media: str) -> None:
    """Quoted or bare, it is the same one."""
    status, _, first = await post(graph, CREATE, [b'"8e03978e"'], {"v": NEW}, media)
    assert (status, first["data"]["createCustomer"]["errors"]) == (200, [])
    status, _, again = await post(graph, CREATE, [b"8e03978e"], {"v": NEW}, media)
    assert (status, again) == (200, first)
    assert await graph.value("SELECT count(*) FROM customer WHERE name = 'New'") == 1


@BOTH
async def test_reuse_is_422(graph: Graph, media: str) -> None:
    """So the draft says; the answer is whole, as of what was executed."""
    await post(graph, CREATE, [b"k"], {"v": NEW}, media)
    status, headers, body = await post(graph, CREATE, [b"k"], {"v": {"name": "Other"}}, media)
    assert (status, code_of(body), body["data"]) == (422, "IDEMPOTENCY_KEY_REUSED", {"createCustomer": None})
    assert b"retry-after" not in headers
    assert media.encode() in headers[b"content-type"]


BAD = {
    "300 letters": ([b"x" * 300], "has 300 letters: 255 is the most"),
    "empty": ([b""], "is empty"),
    "twice": ([b"a", b"b"], "came 2 times: send one key"),
    "no ASCII": ([b"\xff"], "is no string: write it as"),
    "a control character": ([b"a\x01"], "is no string: write it as"),
}


@BOTH
@pytest.mark.parametrize(("keys", "says"), BAD.values(), ids=BAD.keys())
async def test_what_is_no_key_is_400(graph: Graph, keys: list[bytes], says: str, media: str) -> None:
    """Nothing was done; and the status says so whatever is asked for."""
    status, _, body = await post(graph, CREATE, keys, {"v": NEW}, media)
    assert (status, code_of(body)) == (400, "BAD_USER_INPUT")
    assert says in body["errors"][0]["message"]
    assert "data" not in body
    assert await graph.value("SELECT count(*) FROM customer WHERE name = 'New'") == 0


@pytest.mark.parametrize("keys", [[b"k"], [b""], [b"x" * 300], [b"a", b"b"]], ids=["good", "empty", "long", "twice"])
async def test_a_query_does_not_look_at_it(graph: Graph, keys: list[bytes]) -> None:
    status, _, body = await post(graph, "{ customers { totalCount } }", keys)
    assert (status, list(body)) == (200, ["data"])


@BOTH
async def test_no_header_no_key(graph: Graph, media: str) -> None:
    for _ in range(2):
        await post(graph, CREATE, [], {"v": NEW}, media)
    assert await graph.value("SELECT count(*) FROM customer WHERE name = 'New'") == 2


REFUSED = {"extensions": {"code": "IDEMPOTENCY_IN_PROGRESS", "retryAfterSeconds": 1}}
STATUS: Mapping[str, tuple[dict[str, Any], int]] = {
    "all of it": ({"data": {"a": None}, "errors": [REFUSED]}, 409),
    "all of it, halted": ({"data": None, "errors": [REFUSED]}, 409),
    "a part": ({"data": {"a": None, "b": {"errors": []}}, "errors": [REFUSED]}, 200),
    "another reason": ({"data": {"a": None}, "errors": [{"extensions": {"code": "FORBIDDEN"}}]}, 200),
    "the rate": (
        {"data": {"a": None}, "errors": [{"extensions": {"code": "RATE_LIMITED", "retryAfterSeconds": 5}}, REFUSED]},
        429,
    ),
}


@BOTH
@pytest.mark.parametrize(("body", "status"), STATUS.values(), ids=STATUS.keys())
def test_only_what_was_refused_as_a_whole_has_another_status(body: dict[str, Any], status: int, media: str) -> None:
    reply = respond(Answer(body), media)
    assert isinstance(reply, Reply)
    assert reply.status == status
    waits = [error["extensions"].get("retryAfterSeconds", 0) for error in body["errors"]]
    assert dict(reply.headers).get(b"retry-after") == (str(max(waits)).encode() if max(waits) else None)
