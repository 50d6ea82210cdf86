"""One running subscription: what its client asked for, how far it has come, and the stream of its answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any

from crm_graph.api.body import Answer, GraphQLRequest
from crm_graph.api.live.groups import Key, Subscriber
from crm_graph.events.hub import Hub
from crm_graph.graph.changes.live import Watch
from crm_graph.graph.running.execution import Operation
from crm_graph.identity.origin import Origin
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.cursor import LogCursor

START = LogCursor(0, 0)
Stream = AsyncGenerator[tuple[str, Answer], None]
"""Answers, each with the cursor that its client then goes on from."""


@dataclass(slots=True)
class Subscription:
    """What one client asked for, and how far it has come."""

    request: GraphQLRequest
    operation: Operation
    current: Callable[[], Claims]
    """Returns the claims as of now: a socket's can be renewed while it streams."""
    watch: Watch
    change: Any
    """The type of the field: what an event becomes."""
    asked: Key
    """What decides, beside the rights of whoever asks, what is answered to an event."""
    origin: Origin
    position: LogCursor
    """What lies at or before it was answered, or is nothing to this client."""
    scope: str
    """What the client could see when it was told last; empty where that is not known."""
    cost: int
    form: Key
    """What two subscriptions of one member share a statement by."""
    place: Subscriber | None = None
    """Its place in a group, once it has come so far."""
    refreshed: LogCursor = START
    """What happened to anybody's rights up to here is in what it may see."""
    covered: LogCursor = START
    """Up to here it was told to read its list anew: nothing more need be told it."""


class Live:
    """A running subscription: yields answers with their cursors, and tells how far it has come."""

    def __init__(self, answers: Stream, subscription: Subscription | None, hub: Hub) -> None:
        self._answers = answers
        self._subscription = subscription
        self._hub = hub

    def __aiter__(self) -> Live:
        return self

    async def __anext__(self) -> tuple[str, Answer]:
        return await anext(self._answers)

    async def aclose(self) -> None:
        """End it."""
        await self._answers.aclose()

    @property
    def cursor(self) -> str:
        """Where a client that has received everything so far goes on, also where there was nothing for it."""
        subscription = self._subscription
        if subscription is None:
            return ""
        idle = subscription.place is not None and subscription.place.is_idle
        return (max(subscription.position, self._hub.position) if idle else subscription.position).encode(
            subscription.scope
        )


async def nothing() -> Stream:
    """Yield nothing: the stream of a subscription that was refused."""
    answers: tuple[tuple[str, Answer], ...] = ()
    for answer in answers:
        yield answer
