"""An engine whose subscriptions are watched, on a database of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from crm_graph.api.body import Answer, GraphQLRequest
from crm_graph.api.engine import Engine
from crm_graph.identity.tokens import Claims

SELECTION = "{ cursor kind event changedFields recordId opportunity { id name owner { name } } }"


class Live:
    """An engine with relay and hub on a database of its own."""

    def __init__(self, engine: Engine, connection: asyncpg.Connection[Any]) -> None:
        self.engine = engine
        self.connection = connection

    async def member(self, role: str, skip: int = 0) -> Claims:
        """Return the claims of a member with a role."""
        row = await self.connection.fetchrow(
            "SELECT replace(workspace_id::text, '-', ''), replace(member_id::text, '-', '') FROM member_role"
            " WHERE role = $1 AND workspace_id = (SELECT id FROM workspace WHERE slug = 'demo')"
            " ORDER BY member_id OFFSET $2 LIMIT 1",
            role,
            skip,
        )
        assert row is not None
        return Claims(row[0], row[1], datetime.now(UTC) + timedelta(hours=1))

    async def mutate(self, claims: Claims, field: str, input_: dict[str, Any], selection: str) -> Any:
        """Run one mutation that must succeed and return its payload."""
        type_ = field[0].upper() + field[1:] + "Input!"
        request = GraphQLRequest(
            f"mutation ($input: {type_}) {{ {field}(input: $input) {{ {selection} errors {{ code message }} }} }}",
            None,
            {"input": input_},
        )
        answer = await self.engine.execute(request, await self.engine.operation(request, claims), claims)
        payload = answer.body["data"][field]
        assert payload["errors"] == [], payload
        return payload

    async def create(self, claims: Claims, name: str, **more: Any) -> str:
        """Open an opportunity and return its id."""
        made = await self.mutate(claims, "createOpportunity", {"name": name, **more}, "opportunity { id }")
        return str(made["opportunity"]["id"])

    async def rename(self, claims: Claims, id_: str, name: str) -> None:
        """Rename an opportunity."""
        await self.mutate(claims, "updateOpportunity", {"id": id_, "name": name}, "opportunity { id }")

    @asynccontextmanager
    async def watching(
        self, claims: Claims, arguments: str = "", variables: dict[str, Any] | None = None
    ) -> AsyncIterator[Stream]:
        """Subscribe; the stream collects what comes."""
        request = GraphQLRequest(f"subscription {{ opportunityChanged{arguments} {SELECTION} }}", None, variables or {})
        refusal, stream = await self.engine.subscribe(
            request, await self.engine.operation(request, claims), lambda: claims
        )
        assert refusal is None, refusal
        watching = Stream(stream)
        try:
            await asyncio.sleep(0.05)
            yield watching
        finally:
            watching.task.cancel()
            await asyncio.gather(watching.task, return_exceptions=True)


class Stream:
    """What a subscriber received."""

    def __init__(self, stream: AsyncIterator[tuple[str, Answer]]) -> None:
        self.received: list[dict[str, Any]] = []
        self.answers: list[Answer] = []
        self.task = asyncio.create_task(self._collect(stream))

    async def _collect(self, stream: AsyncIterator[tuple[str, Answer]]) -> None:
        async for cursor, answer in stream:
            assert "errors" not in answer.body, answer.body
            change = answer.body["data"]["opportunityChanged"]
            assert change["cursor"] == cursor
            self.answers.append(answer)
            self.received.append(change)

    async def wait_for(self, count: int) -> list[dict[str, Any]]:
        """Return what was received once it is this many."""
        async with asyncio.timeout(60):
            while len(self.received) < count and not self.task.done():  # noqa: ASYNC110 - polls what others append
                await asyncio.sleep(0.01)
        return self.received

    async def settle(self) -> list[dict[str, Any]]:
        """Return what was received, after a time in which more would have come."""
        await asyncio.sleep(0.4)
        return self.received
