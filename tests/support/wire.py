"""The HTTP endpoint without a socket: for what is decided before an operation runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.types import Message

from crm_graph.api.transport.http import GraphQLEndpoint
from crm_graph.api.transport.incoming import Incoming, Reply
from tests.support.graph import Graph


async def post(graph: Graph, body: bytes, headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    """Return the status and the answer to a POST with these bytes."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    sent = {"content-type": "application/json", **(headers or {})}
    pairs = [(name.encode(), value.encode()) for name, value in sent.items()]
    reply = await GraphQLEndpoint(graph.engine).respond(Incoming("POST", pairs, b"", receive))
    assert isinstance(reply, Reply)
    return reply.status, json.loads(reply.body)


async def post_anonymously(
    graph: Graph, source: str, variables: Mapping[str, Any] | None = None
) -> tuple[int, dict[str, Any]]:
    """Return the status and the answer to a request without a token."""
    return await post(graph, json.dumps({"query": source, "variables": dict(variables or {})}).encode())
