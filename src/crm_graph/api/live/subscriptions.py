"""Subscriptions: from a request to its stream of answers.

A stream first replays the log from the client's position, by itself, and then joins the group of those who see the same
(`groups.py`). When its rights may have changed it is read anew, and does both again from where it is. A stream whose
reading is to be written down stays by itself: each who reads is named in the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

import orjson
from aiodataloader import DataLoader
from graphql import FieldNode, GraphQLError, VariableNode, Visitor, visit
from graphql.execution.collect_fields import FragmentDetails, collect_fields
from graphql.execution.values import get_argument_values

from crm_graph.api.admission.payers import Payers
from crm_graph.api.body import Answer, GraphQLRequest
from crm_graph.api.documents.trusted import TrustedDocuments
from crm_graph.api.live.groups import Groups, Key, Moved, Subscriber
from crm_graph.api.live_shares import LiveShares, patience
from crm_graph.api.metrics import Requests
from crm_graph.db.pool import Database
from crm_graph.db.session import Trust
from crm_graph.events.horizon import horizon
from crm_graph.events.hub import FeedOverflow, Hub
from crm_graph.events.log import Event
from crm_graph.executor.fields import present
from crm_graph.graph.changes.judging import ChangeKind, Told
from crm_graph.graph.changes.live import Change, Watch, make_change, moves_rights
from crm_graph.graph.changes.positions import scope_of
from crm_graph.graph.context import GraphContext
from crm_graph.graph.records.record import WatchSpec, spec_of
from crm_graph.graph.running.execution import Operation, coerce_variables
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.authenticate import Authenticator
from crm_graph.identity.origin import NOWHERE, Origin
from crm_graph.identity.tokens import Claims
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.errors import RequestError
from crm_graph.kernel.ids import new_id
from crm_graph.kernel.settings import Settings

START = LogCursor(0, 0)
STALE_S = 0.1
"""Before an answer that waited longer for its client is sent, its receiver is confirmed once more."""
Answers = AsyncGenerator[tuple[str, Answer], None]


class Executing(Protocol):
    """What subscriptions need of the engine."""

    schema: BuiltSchema
    hub: Hub
    database: Database
    authenticator: Authenticator
    settings: Settings
    requests: Requests
    trusted: TrustedDocuments
    payers: Payers
    shares: LiveShares

    def now(self) -> datetime:
        """Return the time of the engine's clock."""
        ...

    def refuse(self, errors: Sequence[GraphQLError], code: str, request_id: str | None = None, /) -> Answer:
        """Return the answer to a request that is not executed."""
        ...

    def refuse_error(self, error: RequestError, request_id: str | None = None, /) -> Answer:
        """Return the answer to a request that one of our errors stopped before execution."""
        ...

    async def context(self, claims: Claims, origin: Origin, /) -> GraphContext:
        """Return a context that outlives an operation, its viewer read anew."""
        ...

    def live_context(
        self, viewer: Viewer, trust: Trust | None = None, claims: Claims | None = None, origin: Origin = NOWHERE, /
    ) -> GraphContext:
        """Return a context of a viewer who was just read, or whom a trust guards."""
        ...

    async def answer_change(
        self, request: GraphQLRequest, operation: Operation, context: GraphContext, change: Change, /
    ) -> Answer:
        """Return the answer of a subscription's operation to a change."""
        ...


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
    place: Subscriber | None = None
    """Its place in a group, once it has come so far."""
    refreshed: LogCursor = START
    """What happened to anybody's rights up to here is in what it may see."""
    covered: LogCursor = START
    """Up to here it was told to read its list anew: nothing more need be told it."""


class Live:
    """A running subscription: yields answers with their cursors, and tells how far it has come."""

    def __init__(self, answers: Answers, subscription: Subscription | None, hub: Hub) -> None:
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
        of = self._subscription
        if of is None:
            return ""
        idle = of.place is not None and of.place.is_idle
        return (max(of.position, self._hub.position) if idle else of.position).encode(of.scope)


class Subscriptions:
    """The subscriptions of a process."""

    def __init__(self, engine: Executing) -> None:
        self._engine = engine
        self.groups = Groups(
            engine.hub,
            engine.live_context,
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
    ) -> tuple[Answer | None, Live]:
        """See `Engine.subscribe`."""
        engine = self._engine
        empty = Live(_nothing(), None, engine.hub)
        request_id = new_id()
        coerced = coerce_variables(engine.schema, operation, request.variables)
        if isinstance(coerced, list):
            return engine.refuse(coerced, "BAD_USER_INPUT", request_id), empty
        root = engine.schema.core.subscription_type
        assert root is not None
        fragments = {name: FragmentDetails(node) for name, node in operation.fragments.items()}
        selected = collect_fields(engine.schema.core, fragments, coerced, root, operation.definition).grouped_field_set
        if len(selected) != 1:
            errors = [GraphQLError("A subscription selects exactly one field.")]
            return engine.refuse(errors, "BAD_USER_INPUT", request_id), empty
        (details,) = selected.values()
        node = details[0].node
        if node.name.value.startswith("__"):
            errors = [GraphQLError("A subscription cannot select `__typename` alone.")]
            return engine.refuse(errors, "BAD_USER_INPUT", request_id), empty
        definition = root.fields[node.name.value]
        field = definition.extensions["strawberry-definition"]
        spec = spec_of(field)
        assert isinstance(spec, WatchSpec)
        try:
            arguments = present(get_argument_values(definition, node, coerced))
            if resume is not None:
                arguments = {**arguments, "after": resume}
            context = await engine.context(current(), origin)
            newest, removed = await engine.hub.newest(), LogCursor(0, 0)
            if arguments.get("after") is not None:
                removed = await horizon(engine.database.primary_reader())
            watch = Watch.of(spec, context, arguments, newest, removed)
            watch.read(context.access)
            cost = operation.cost.of(request.variables)
            engine.shares.check(context.viewer.workspace_id, context.viewer.member_id, _form(watch), cost)
        except RequestError as error:
            return engine.refuse_error(error, request_id), empty
        except GraphQLError as error:
            return engine.refuse([error], "BAD_USER_INPUT", request_id), empty
        asked = _asked(request, operation, node, current().client_id)
        found = Subscription(
            request, operation, current, watch, field.type, asked, origin, watch.after, watch.scope, cost
        )
        return None, Live(self._counted(found), found, engine.hub)

    async def _counted(self, subscription: Subscription) -> Answers:
        claims = subscription.current()
        form = _form(subscription.watch)
        with self._engine.shares.held(claims.workspace_id, claims.member_id, form, subscription.cost):
            self._engine.requests.open_subscriptions += 1
            try:
                async for cursor, answer in self._stream(subscription):
                    yield cursor, answer
            finally:
                self._engine.requests.open_subscriptions -= 1

    async def _stream(self, of: Subscription) -> AsyncIterator[tuple[str, Answer]]:
        while True:
            try:
                async for answer in self._go_on(of):
                    yield of.position.encode(of.scope), answer
            except Moved:
                continue
            except FeedOverflow:
                raise FeedOverflow(of.position) from None
            return

    async def _go_on(self, of: Subscription) -> AsyncIterator[Answer]:
        """Yield what comes after the position, which moves on. Raises Moved when the subscriber is to be read anew,
        FeedOverflow when it does not keep up, and RequestError when it may not go on."""
        context = await self._refreshed(of)
        async for answer in self._rescoped(of, context):
            yield answer
        hub, workspace_id, read = self._engine.hub, context.viewer.workspace_id, of.watch.read(context.access)
        if context.access.audits:
            async for answer in self._alone(of, context, hub.events(workspace_id, read, of.position)):
                yield answer
            return
        scope = of.scope

        async def execute(event: Event, context: GraphContext, told: Sequence[Told]) -> Sequence[Answer] | None:
            try:
                await self._engine.trusted.check(of.request, of.current())
            except RequestError:
                return None
            return await self._answers(of, event, context, told, scope)

        with self.groups.joined(context, of.watch, of.asked, execute) as subscriber:
            missed = hub.replay(workspace_id, read, of.position, subscriber.start)
            async for answer in self._alone(of, context, missed):
                yield answer
            of.place = subscriber
            subscriber.covered = max(subscriber.covered, of.covered)
            try:
                async for cursor, since, answers in subscriber.answers():
                    if cursor <= of.position:
                        continue
                    if asyncio.get_running_loop().time() - since > STALE_S:
                        context = await self._refreshed(of)
                        if context.viewer != subscriber.viewer:
                            raise Moved
                    for position, answer in _placed(cursor, answers):
                        of.position = position
                        yield answer
            finally:
                of.place = None
                if subscriber.passed is not None:
                    of.position = max(of.position, subscriber.passed)

    async def _alone(
        self, of: Subscription, context: GraphContext, events: AsyncIterator[Event]
    ) -> AsyncIterator[Answer]:
        """Yield answers to events, which were chosen by the rights of a context; Moved where they are others by now."""
        rights = context.access.fingerprint
        async for event in events:
            moved = moves_rights(event, context.access) and event.cursor > of.refreshed
            concerned = event.cursor > of.covered and of.watch.concerned(event, context.access)
            if moved or concerned:
                context = await self._refreshed(of)
                await patience(self._engine.payers.of_viewer(context.viewer))
                if context.access.fingerprint != rights or scope_of(context.access, context.viewer) != of.scope:
                    raise Moved
            if concerned:
                asking = {name: [await of.watch.judges[name].asking(context, context.viewer)] for name in concerned}
                verdict = await of.watch.verdict(context, event, asking)
                assert verdict is not None, "nothing guards this context"
                answers = await self._answers(of, event, context, verdict.told[0], of.scope)
                of.covered = verdict.covered or of.covered
                for position, answer in _placed(event.cursor, answers):
                    of.position = position
                    yield answer
            of.position = event.cursor

    async def _rescoped(self, of: Subscription, context: GraphContext) -> AsyncIterator[Answer]:
        """Yield a RESYNC where the client may see other rows or fields than when it was told last."""
        scope = scope_of(context.access, context.viewer)
        was, of.scope = of.scope, scope
        if was in {"", scope}:
            return
        now = self._engine.now().isoformat()
        viewer = context.viewer
        event = Event(of.position, viewer.workspace_id, "Resync", of.watch.record.name, "", None, now, {}, {})
        told = [Told(ChangeKind.RESYNC, of.watch.record.name, None)]
        for answer in await self._answers(of, event, context, told, scope):
            yield answer

    async def _answers(
        self, of: Subscription, event: Event, context: GraphContext, told: Sequence[Told], scope: str
    ) -> Sequence[Answer]:
        """Return an answer to each thing that is told of an event."""
        return await asyncio.gather(
            *(
                self._engine.answer_change(
                    of.request,
                    of.operation,
                    context,
                    make_change(of.change, of.watch, event, context, one, position.encode(scope)),
                )
                for position, one in _placed(event.cursor, told)
            )
        )

    async def _refreshed(self, of: Subscription) -> GraphContext:
        """Return the context as of now. Raises Unauthenticated when the member may not come in any more, another
        RequestError when the client may not ask so."""
        claims = of.current()
        await self._engine.trusted.check(of.request, claims)
        of.refreshed = self._engine.hub.position
        viewer = await self._viewers.load(claims)
        return self._engine.live_context(viewer, None, claims, of.origin)

    async def _read_viewers(self, asked: list[Claims]) -> list[Viewer]:
        """Read the viewers of many streams that go on at once, each of them once."""
        reader = self._engine.database.primary_reader()
        principals = {each.principal: each for each in asked}
        found = await asyncio.gather(
            *(self._engine.authenticator.viewer(each, reader) for each in principals.values()), return_exceptions=True
        )
        viewers = dict(zip(principals, found, strict=True))
        return [viewers[each.principal] for each in asked]  # type: ignore[misc] # the loader raises what is an error


def _form(watch: Watch) -> Key:
    """Return what two subscriptions of one member share a statement by."""
    return watch.record.name, watch.form


T = TypeVar("T")


def _placed(cursor: LogCursor, told: Sequence[T]) -> Iterator[tuple[LogCursor, T]]:
    """Yield the things told of one event, each with the position that a client has then reached: only behind the last
    one that of the event, so that whoever is cut off in the middle is told all of them again."""
    for one in told[:-1]:
        yield LogCursor(cursor.xid, cursor.seq - 1), one
    if told:
        yield cursor, told[-1]


def _asked(request: GraphQLRequest, operation: Operation, node: FieldNode, client_id: str | None) -> Key:
    """Return what makes two requests the same: all but the position that a client resumes from."""
    variables = dict(request.variables)
    after = next((each.value for each in node.arguments or () if each.name.value == "after"), None)
    if isinstance(after, VariableNode) and _Uses.count(operation, after.name.value) == 1:
        variables.pop(after.name.value, None)
    return (
        operation.key,
        orjson.dumps(variables, option=orjson.OPT_SORT_KEYS, default=str),
        request.on_error,
        request.extensions.get("cost") is True,
        request.document_id,
        client_id,
    )


class _Uses(Visitor):
    """Counts the uses of a variable, apart from its definition."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name
        self._found = 0

    @classmethod
    def count(cls, operation: Operation, name: str) -> int:
        """Return how often an operation's document uses a variable."""
        uses = cls(name)
        visit(operation.document, uses)
        return uses._found

    def enter_variable_definition(self, *_: Any) -> Any:
        """Do not look into definitions."""
        return self.SKIP

    def enter_variable(self, node: Any, *_: Any) -> None:
        """Count one."""
        self._found += node.name.value == self._name


async def _nothing() -> Answers:
    return
    yield  # makes this an async generator
