"""A heartbeat never tells a cursor whose event has not been told: a client cut off in between would lose it."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import asyncpg
import pytest
from starlette.responses import StreamingResponse
from starlette.types import Message

from crm_graph.api.contexts import Contexts
from crm_graph.api.engine import Engine
from crm_graph.api.transport.http import GraphQLEndpoint
from crm_graph.api.transport.incoming import Incoming
from crm_graph.app import running_engine
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.installation import Installation
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.settings import Settings
from tests.events.live import Live
from tests.support.database import clone

SECRET = b"s" * 32


async def test_an_event_that_comes_while_a_heartbeat_is_made(
    postgres: str, database_url: str, schema: BuiltSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = await clone(postgres, f"beat_{abs(hash(database_url)) % 10**6}")
    async with running_engine(Installation(url, [SECRET]), Settings(heartbeat_ms=100), schema) as engine:
        connection = await asyncpg.connect(url)
        live = Live(engine, connection)
        admin = await live.member("admin")
        confirm, confirmed = engine.contexts.confirm, 0

        async def confirm_slowly(_: Contexts, claims: Claims) -> None:
            nonlocal confirmed
            await confirm(claims)
            confirmed += 1
            if confirmed == 1:  # a database that takes its time, while something happens
                await live.create(admin, "Meanwhile")
                await asyncio.sleep(0.5)

        monkeypatch.setattr(Contexts, "confirm", confirm_slowly)
        lines = await _lines_until_event(engine, admin)
        await connection.close()
    ids = [line for line in lines if line.startswith("id: ")]
    told = next(line for line in lines if line.startswith("data: {"))
    cursor = json.loads(told.removeprefix("data: "))["data"]["opportunityChanged"]["cursor"]
    assert ids.count(f"id: {cursor}") == 1, lines


async def _lines_until_event(engine: Engine, member: Claims) -> list[str]:
    """Return the lines of a stream up to its first event."""
    token = engine.services.authority.issue(member.workspace_id, member.member_id, timedelta(hours=1))

    async def receive() -> Message:
        body = json.dumps({"query": "subscription { opportunityChanged { cursor } }"}).encode()
        return {"type": "http.request", "body": body, "more_body": False}

    headers = {
        b"content-type": b"application/json",
        b"accept": b"text/event-stream",
        b"authorization": f"Bearer {token}".encode(),
    }
    response = await GraphQLEndpoint(engine).respond(Incoming("POST", list(headers.items()), b"", receive))
    assert isinstance(response, StreamingResponse)
    lines: list[str] = []
    async with asyncio.timeout(60):
        async for frame in response.body_iterator:
            lines += (frame if isinstance(frame, str) else bytes(frame).decode()).splitlines()
            if any(line.startswith("data: {") for line in lines):
                break
    await response.body_iterator.aclose()  # type: ignore[attr-defined] # an async generator
    return lines
