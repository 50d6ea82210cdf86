"""Subscriptions: from a request to its stream of answers.

A stream first replays the log from the client's position, by itself, and then joins the group of those who see the same
(`groups.py`). When its rights can have changed it is read anew, and does both again from where it is. A stream whose
reading is to be written down stays by itself: each who reads is named in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from aiodataloader import DataLoader

from crm_graph.api.admission.payers import Payers
from crm_graph.api.answers import Answers
from crm_graph.api.body import Answer, GraphQLRequest
from crm_graph.api.contexts import Asking
from crm_graph.api.documents.cache import DocumentError
from crm_graph.api.documents.trusted import TrustedDocuments
from crm_graph.api.execution import Execution
from crm_graph.api.live.beginning import Beginning, begin
from crm_graph.api.live.groups import Groups, Moved
from crm_graph.api.live.stream import Live, Stream, Subscription, nothing
from crm_graph.api.live_shares import patience
from crm_graph.api.requests import Requests
from crm_graph.events.hub import FeedOverflow
from crm_graph.events.log import Event
from crm_graph.graph.changes.judging import ChangeKind, Told
from crm_graph.graph.changes.live import make_change, moves_rights
from crm_graph.graph.context import GraphContext
from crm_graph.graph.running.execution import Operation
from crm_graph.identity.authenticate import Authenticator
from crm_graph.identity.origin import Origin
from crm_graph.identity.tokens import Claims
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.errors import RequestError
from crm_graph.kernel.settings import Settings

STALE_S = 0.1
"""Before an answer that waited longer for its client is sent, its receiver is confirmed once more."""


class Executing(Beginning, Protocol):
    """What subscriptions need of the engine."""

    authenticator: Authenticator
    settings: Settings
    requests: Requests
    trusted: TrustedDocuments
    payers: Payers
    execution: Execution
    answers: Answers

    def now(self) -> datetime:
        """Return the time of the engine's clock."""
        ...


class Subscriptions:
    """The subscriptions of a process."""

    def __init__(self, engine: Executing) -> None:
        self._engine = engine
        self.groups = Groups(
            engine.hub,
            engine.contexts,
            engine.authenticator,
            engine.payers,
            engine.shares,
            engine.settings.subscription_queue_size,
        )
        self._viewers: DataLoader[Claims, Viewer] = DataLoader(self._read_viewers, cache=False)

    async def subscribe(
        self,
        request: GraphQLRequest,
        operation: Operation,
        current: Callable[[], Claims],
        resume: str | None,
        origin: Origin,
        request_id: str,
    ) -> tuple[Answer | None, Live]:
        """See `Engine.subscribe`."""
        engine = self._engine
        try:
            subscription = await begin(engine, request, operation, current, resume=resume, origin=origin)
        except RequestError as error:
            refusal = engine.answers.refuse_error(error, request_id)
        except DocumentError as error:
            refusal = engine.answers.refuse(error.errors, error.code, request_id)
        else:
            return None, Live(self._counted(subscription), subscription, engine.hub)
        return refusal, Live(nothing(), None, engine.hub)

    async def _counted(self, subscription: Subscription) -> Stream:
        claims, form = subscription.current(), subscription.form
        with self._engine.shares.held(claims.workspace_id, claims.member_id, form, subscription.cost):
            self._engine.requests.open_subscriptions += 1
            try:
                async for cursor, answer in self._stream(subscription):
                    yield cursor, answer
            finally:
                self._engine.requests.open_subscriptions -= 1

    async def _stream(self, subscription: Subscription) -> AsyncIterator[tuple[str, Answer]]:
        while True:
            try:
                async for answer in self._go_on(subscription):
                    yield subscription.position.encode(subscription.scope), answer
            except Moved:
                continue
            except FeedOverflow:
                raise FeedOverflow(subscription.position) from None
            return

    async def _go_on(self, subscription: Subscription) -> AsyncIterator[Answer]:
        """Yield what comes after the position, which moves on. Raises Moved when the subscriber is to be read anew,
        FeedOverflow when it does not keep up, and RequestError when it may not go on."""
        context = await self._refreshed(subscription)
        async for answer in self._rescoped(subscription, context):
            yield answer
        hub, workspace_id, read = self._engine.hub, context.viewer.workspace_id, subscription.watch.read(context.access)
        if context.access.audits:
            async for answer in self._alone(
                subscription, context, hub.events(workspace_id, read, subscription.position)
            ):
                yield answer
            return
        scope = subscription.scope

        async def execute(event: Event, context: GraphContext, told: Sequence[Told]) -> Sequence[Answer] | None:
            try:
                await self._engine.trusted.check(subscription.request, subscription.current())
            except RequestError:
                return None
            return await self._answers(subscription, event, context, told, scope)

        with self.groups.joined(context, subscription.watch, subscription.asked, execute) as subscriber:
            missed = hub.replay(workspace_id, read, subscription.position, subscriber.start)
            async for answer in self._alone(subscription, context, missed):
                yield answer
            subscription.place = subscriber
            subscriber.covered = max(subscriber.covered, subscription.covered)
            try:
                async for cursor, since, answers in subscriber.answers():
                    if cursor <= subscription.position:
                        continue
                    if asyncio.get_running_loop().time() - since > STALE_S:
                        context = await self._refreshed(subscription)
                        if context.viewer != subscriber.viewer:
                            raise Moved
                    for position, answer in _placed(cursor, answers):
                        subscription.position = position
                        yield answer
            finally:
                subscription.place = None
                if subscriber.passed is not None:
                    subscription.position = max(subscription.position, subscriber.passed)

    async def _alone(
        self, subscription: Subscription, context: GraphContext, events: AsyncIterator[Event]
    ) -> AsyncIterator[Answer]:
        """Yield answers to events, which were chosen by the rights of a context; Moved where they are others by now."""
        rights = context.access.fingerprint
        async for event in events:
            moved = moves_rights(event, context.access) and event.cursor > subscription.refreshed
            concerned = event.cursor > subscription.covered and subscription.watch.concerned(event, context.access)
            if moved or concerned:
                context = await self._refreshed(subscription)
                await patience(self._engine.payers.of_viewer(context.viewer))
                if context.access.fingerprint != rights or subscription.watch.scope_of(context) != subscription.scope:
                    raise Moved
            if concerned:
                asking = {
                    name: [await subscription.watch.judges[name].asking(context, context.viewer)] for name in concerned
                }
                verdict = await subscription.watch.verdict(context, event, asking)
                assert verdict is not None, "nothing guards this context"
                told = subscription.watch.heard(event, verdict.told[0])
                answers = await self._answers(subscription, event, context, told, subscription.scope)
                subscription.covered = verdict.covered or subscription.covered
                for position, answer in _placed(event.cursor, answers):
                    subscription.position = position
                    yield answer
            subscription.position = event.cursor

    async def _rescoped(self, subscription: Subscription, context: GraphContext) -> AsyncIterator[Answer]:
        """Yield a RESYNC where the client may see other rows or fields than when it was told last."""
        scope = subscription.watch.scope_of(context)
        was, subscription.scope = subscription.scope, scope
        if was in {"", scope}:
            return
        now = self._engine.now().isoformat()
        viewer = context.viewer
        event = Event(
            subscription.position, viewer.workspace_id, "Resync", subscription.watch.record.name, "", None, now, {}, {}
        )
        told = [Told(ChangeKind.RESYNC, subscription.watch.record.name, None)]
        for answer in await self._answers(subscription, event, context, told, scope):
            yield answer

    async def _answers(
        self, subscription: Subscription, event: Event, context: GraphContext, told: Sequence[Told], scope: str
    ) -> Sequence[Answer]:
        """Return an answer to each thing that is told of an event."""
        return await asyncio.gather(
            *(
                self._engine.execution.answer_live(
                    subscription.request,
                    subscription.operation,
                    context,
                    make_change(subscription.change, subscription.watch, event, context, one, position.encode(scope)),
                )
                for position, one in _placed(event.cursor, told)
            )
        )

    async def _refreshed(self, subscription: Subscription) -> GraphContext:
        """Return the context as of now. Raises Unauthenticated when the member may not come in any more, another
        RequestError when the client may not ask so."""
        claims = subscription.current()
        await self._engine.trusted.check(subscription.request, claims)
        subscription.refreshed = self._engine.hub.position
        viewer = await self._viewers.load(claims)
        return self._engine.contexts.live(viewer, asking=Asking(claims, subscription.origin))

    async def _read_viewers(self, asked: list[Claims]) -> list[Viewer]:
        """Read the viewers of many streams that go on at once, each of them once."""
        reader = self._engine.database.primary_reader()
        principals = {subscriber.principal: subscriber for subscriber in asked}
        results = await asyncio.gather(
            *(self._engine.authenticator.viewer(principal, reader) for principal in principals.values()),
            return_exceptions=True,
        )
        viewers = dict(zip(principals, results, strict=True))
        return [viewers[subscriber.principal] for subscriber in asked]  # type: ignore[misc] # the loader raises what is an error


T = TypeVar("T")


def _placed(cursor: LogCursor, told: Sequence[T]) -> Iterator[tuple[LogCursor, T]]:
    """Yield the things told of one event, each with the position that a client has then reached: only behind the last
    one that of the event, so that whoever is cut off in the middle is told all of them again."""
    for one in told[:-1]:
        yield LogCursor(cursor.xid, cursor.seq - 1), one
    if told:
        yield cursor, told[-1]
