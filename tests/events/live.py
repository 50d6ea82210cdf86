"""An engine whose subscriptions are watched, on a database of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from crm_graph.api.body import Answer, GraphQLRequest
from crm_graph.identity.tokens import Claims
from tests.support.live import Running

SELECTION = "{ cursor kind event changedFields recordId opportunity { id name owner { name } } }"


class Live(Running):
    """An engine with relay and hub on a database of its own, and whoever watches."""

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
        operation = await self.engine.admission.operation(request, claims)
        refusal, stream = await self.engine.subscribe(request, operation, lambda: claims)
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
