"""Executes requests: document, viewer, executor, response. Transport-free; HTTP, SSE and WebSocket all come through
here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

import asyncpg
from graphql import ExecutionResult, GraphQLError, OperationType

from crm_graph.api.admission.credentials import Credentials
from crm_graph.api.admission.gate import Admission
from crm_graph.api.admission.origins import Origins
from crm_graph.api.admission.payers import Payers
from crm_graph.api.admission.rates import Spending
from crm_graph.api.body import Answer, GraphQLRequest
from crm_graph.api.documents.cache import DocumentCache, DocumentError, free
from crm_graph.api.documents.limits import LimitError, check_cost, check_values
from crm_graph.api.documents.manifests import SchemaDocuments
from crm_graph.api.documents.selections import Selections
from crm_graph.api.documents.trusted import TrustedDocuments
from crm_graph.api.encoding import AnswerTooLong, encode
from crm_graph.api.errors import format_errors
from crm_graph.api.late import late
from crm_graph.api.live.subscriptions import Live, Subscriptions
from crm_graph.api.live_shares import LiveShares
from crm_graph.api.metrics import CANCELLED, Cache, Metrics, Requests
from crm_graph.db.lending import Lease, Payer
from crm_graph.db.pool import Database
from crm_graph.db.session import ReadSession, Session, Trust, Unconfirmed
from crm_graph.domains.identity.clients.documents import DocumentCheck
from crm_graph.domains.platform.audit.events import SensitiveFieldsRead
from crm_graph.domains.platform.audit.operations import record_reading
from crm_graph.domains.platform.webhooks.rules import SelectionCheck
from crm_graph.events.hub import Hub
from crm_graph.executor.results import OnError
from crm_graph.graph.changes.live import Change
from crm_graph.graph.context import GraphContext
from crm_graph.graph.cursors import CursorSealer
from crm_graph.graph.running.execution import (
    Executor,
    Operation,
    Outcome,
    PlanCache,
    PlannedExecutor,
    make_executor,
)
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.authenticate import Authenticator
from crm_graph.identity.cookies import CookieJar
from crm_graph.identity.origin import MAX_USER_AGENT_LENGTH, NOWHERE, Origin, client_address, parse_networks
from crm_graph.identity.services import Services
from crm_graph.identity.tokens import Claims
from crm_graph.identity.viewer import Viewer
from crm_graph.jobs.worker import Outcomes
from crm_graph.kernel.errors import RequestError, Unauthenticated
from crm_graph.kernel.ids import encode_id, new_id
from crm_graph.work import Work

log = logging.getLogger(__name__)
_UNTRUSTED = (
    "a request from %s has X-Forwarded-For, and CRM_TRUSTED_PROXIES is not set: if a proxy is in front, all clients"
    " count as one address"
)
TOO_LONG = (
    "The answer to this operation has more than {:,} bytes. Ask for smaller pages, for fewer long texts, and for each"
    " of them once."
)
DONE_BUT_TOO_LONG = (
    "This mutation was carried out: what it could do is done. Its answer alone has more than {:,} bytes and is not"
    " sent. Read the records with a query that asks for less."
)


@dataclass(frozen=True, slots=True)
class _Asking:
    """Who asks, from where, under which request id."""

    claims: Claims
    origin: Origin
    request_id: str
    cookies: CookieJar | None = None


class Engine:
    """Everything that a process needs to answer requests."""

    def __init__(
        self,
        schema: BuiltSchema,
        database: Database,
        hub: Hub,
        authenticator: Authenticator,
        sealer: CursorSealer,
        services: Services,
        jobs: Outcomes | None = None,
    ) -> None:
        self.schema = schema
        self.database = database
        self.hub = hub
        self.authenticator = authenticator
        self.services = services
        self.settings = settings = services.settings
        self.access = schema.compiler()
        self._sealer = sealer
        self._clock = services.clock
        self._proxies = parse_networks(settings.trusted_proxies)
        self._warned = False
        self.executor: Executor = make_executor(settings.executor, schema, PlanCache(settings.plan_cache_bytes))
        self.documents = DocumentCache.of(schema, settings)
        self.requests = Requests()
        caches: dict[str, Cache] = {"documents": self.documents}
        if isinstance(self.executor, PlannedExecutor):
            caches["plans"] = self.executor.cache
        self.payers = Payers(settings)
        self.shares = LiveShares(settings)
        self.metrics = Metrics(self.requests, caches, database, self.payers, self.shares, jobs, services.quotas)
        self.trusted = TrustedDocuments(database, self.documents, schema, settings)
        self.admission = Admission(authenticator, self.trusted, schema.public, settings)
        self.origins = Origins(settings)
        self.credentials = Credentials(settings, self.origins)
        self.subscriptions = Subscriptions(self)
        self._ports: Mapping[type, object] = {
            DocumentCheck: SchemaDocuments(schema, self.documents),
            SelectionCheck: Selections(schema, self.documents, self.access, settings),
        }

    def origin(self, peer: str | None, forwarded: str | None, user_agent: str | None) -> Origin:
        """Return where a request comes from, by its connection and its headers."""
        address = client_address(peer, forwarded, self._proxies)
        if forwarded is not None and not self._proxies and not self._warned:
            self._warned = True
            log.warning(_UNTRUSTED, peer)
        return Origin(address, None if user_agent is None else user_agent[:MAX_USER_AGENT_LENGTH])

    def now(self) -> datetime:
        """Return the time of the engine's clock."""
        return self._clock()

    async def operation(self, request: GraphQLRequest, claims: Claims, spending: Spending | None = None) -> Operation:
        """Return the operation of a request that its client may run, and that costs no more than it may, which is
        counted. Raises DocumentError and RequestError."""
        charge = free if spending is None else spending.charge_reading
        operation = await self.trusted.operation(request, claims, charge)
        try:
            check_values(request.variables, self.settings.max_values)
            check_cost(operation.cost, request.variables, self.settings.max_cost)
        except LimitError as error:
            raise DocumentError("COST_LIMIT_EXCEEDED", [error]) from None
        if spending is not None:
            spending.take_cost(operation.cost.of(request.variables))
        return operation

    def refuse(self, errors: Sequence[GraphQLError], code: str, request_id: str | None = None) -> Answer:
        """Return the answer to a request that is not executed; one without an id was not taken up: counted here."""
        formatted = format_errors(errors, request_id or new_id(), self.settings.max_errors, code)
        if request_id is None:
            self.requests.add_answer(None, {"errors": formatted})
        return Answer({"errors": formatted}, request_error=True, code=code)

    def refuse_error(self, error: RequestError, request_id: str | None = None) -> Answer:
        """Return the answer to a request that one of our errors stopped before execution."""
        return self.refuse([GraphQLError(error.message, original_error=error)], error.code, request_id)

    async def execute(
        self,
        request: GraphQLRequest,
        operation: Operation,
        claims: Claims,
        origin: Origin = NOWHERE,
        cookies: CookieJar | None = None,
    ) -> Answer:
        """Execute a query or mutation and return its answer; what it sets of cookies is in the jar."""
        kind = operation.definition.operation
        try:
            asking = _Asking(claims, origin, new_id(), cookies)
            answer = await self._execute(request, operation, asking)
            limit = self.settings.max_answer_bytes
            answer = self._encoded(answer, request, operation, limit, asking.request_id)
        except asyncio.CancelledError:
            self.requests.add(kind, CANCELLED)
            raise
        self.requests.add_answer(kind, answer.body)
        return answer

    async def _execute(self, request: GraphQLRequest, operation: Operation, asking: _Asking) -> Answer:
        request_id = asking.request_id
        mutation = operation.definition.operation is OperationType.MUTATION
        timeout_ms = self.settings.mutation_timeout_ms if mutation else self.settings.query_timeout_ms
        payer = self.payers.of(asking.claims, asking.origin)
        lease = self.database.lease(payer, primary=mutation)
        try:
            payer.refuse_busy()
            async with asyncio.timeout(timeout_ms / 1000):
                return await self._as_viewer(request, operation, asking, lease)
        except TimeoutError as error:
            # The statement is cancelled: asyncpg sends a cancel request when its awaiting task is cancelled.
            reason, code = late(error, lease, mutation=mutation)
            return self.refuse([reason], code, request_id)
        except RequestError as error:
            return self.refuse_error(error, request_id)
        except Exception as error:
            return self.refuse([GraphQLError(str(error), original_error=error)], "INTERNAL", request_id)
        finally:
            lease.release()

    async def _as_viewer(self, request: GraphQLRequest, operation: Operation, asking: _Asking, lease: Lease) -> Answer:
        """Execute as the viewer that is remembered, confirmed by the first statement that reads; otherwise, or where
        that did not confirm it and the viewer is another one by now, as the viewer read anew.

        Nothing is committed for a viewer who is not confirmed (`Session.confirm`), so a mutation can be executed again;
        and nothing that came of such a run is told or logged, since a guard that fails leaves statements without the
        rows that they always have.
        """
        claims = asking.claims
        remembered = self.authenticator.remembered(claims)
        if remembered is not None:
            trust = Trust(self.authenticator.guard(remembered))
            context = self._lent(remembered, lease, asking, trust)
            attempt = await self._attempt(request, operation, context)
            if trust.confirmed:
                answer = self._told(attempt, request, operation, context)
                return await self._written_down(answer, operation, context, lease)
        viewer = await self.authenticator.viewer(claims, ReadSession(lease))
        if viewer != remembered:
            context = self._lent(viewer, lease, asking)
            attempt = await self._attempt(request, operation, context)
        answer = self._told(attempt, request, operation, context)
        return await self._written_down(answer, operation, context, lease)

    async def _written_down(
        self, answer: Answer, operation: Operation, context: GraphContext, lease: Lease | None = None
    ) -> Answer:
        """Return the answer once its sensitive reads, if any, are in the log: what cannot be written down is not
        answered. In a transaction of its own, on the primary also where a replica was read."""
        reads = context.reads
        if reads is None or answer.request_error:
            return answer
        name = operation.definition.name
        records = tuple(reads.records)
        event = SensitiveFieldsRead(
            tuple(sorted(reads.fields)),
            None if name is None else name.value,
            operation.document_sha256,
            records[: self.settings.audit_max_ids],
            len(records),
        )
        # A mutation holds a connection of the same pool already: waiting for another one while holding it could leave
        # all mutations waiting for each other.
        holding = lease is not None and operation.definition.operation is OperationType.MUTATION
        transaction = lease.transaction if lease is not None and holding else self.database.transaction
        async with transaction() as session:
            await record_reading(session, context.viewer, context.origin, context.request_id, self._clock(), event)
        return answer

    async def _attempt(
        self, request: GraphQLRequest, operation: Operation, context: GraphContext
    ) -> Outcome | Exception:
        try:
            return await self._outcome(request, operation, context)
        except Exception as error:
            return error

    def _told(
        self, attempt: Outcome | Exception, request: GraphQLRequest, operation: Operation, context: GraphContext
    ) -> Answer:
        """Return the answer to an attempt; its errors are logged now. Raises what ended it that is no RequestError."""
        if isinstance(attempt, RequestError):
            return self.refuse_error(attempt, context.request_id)
        if isinstance(attempt, Exception):
            raise attempt
        answer = self._answer(attempt, context.request_id)
        if request.extensions:
            self._add_cost(answer, request, operation)
        return answer

    async def _outcome(
        self, request: GraphQLRequest, operation: Operation, context: GraphContext, root_value: Change | None = None
    ) -> Outcome:
        """Execute an operation. What an error does to the answer says the request; else its client, which the edge has
        read with the client's document mode: at no statement more, and as old as that."""
        on_error = request.on_error
        if on_error is None and context.viewer.client_id is not None:
            default = (await self.trusted.client(context.viewer)).on_error
            on_error = None if default is None else OnError[default.value]
        return await self.executor.execute(
            operation, request.variables, context, root_value, on_error or OnError.PROPAGATE
        )

    def _add_cost(self, answer: Answer, request: GraphQLRequest, operation: Operation) -> None:
        """Tell the cost in `extensions.cost` when the request asks for it by `extensions: {"cost": true}`."""
        if request.extensions.get("cost") is True:
            cost = {"requested": operation.cost.of(request.variables), "limit": self.settings.max_cost}
            answer.body.setdefault("extensions", {})["cost"] = cost

    def _encoded(
        self, answer: Answer, request: GraphQLRequest, operation: Operation, limit: int, request_id: str
    ) -> Answer:
        """Return an answer with its bytes; an error in the place of one that has more of them than it may have."""
        if answer.request_error:
            return answer
        try:
            return Answer(answer.body, content=encode(answer.body, operation.cost.of(request.variables), limit))
        except AnswerTooLong:
            pass
        if operation.definition.operation is not OperationType.MUTATION:
            return self.refuse([GraphQLError(TOO_LONG.format(limit))], "COST_LIMIT_EXCEEDED", request_id)
        # What it did is committed, which no client may take for undone: it is an answer, and no refusal.
        told = self.refuse([GraphQLError(DONE_BUT_TOO_LONG.format(limit))], "COST_LIMIT_EXCEEDED", request_id)
        return Answer({"data": None, **told.body})

    def _answer(self, outcome: Outcome, request_id: str) -> Answer:
        result = outcome.result
        if outcome.request_error:
            return self.refuse(result.errors or [], "BAD_USER_INPUT", request_id)
        body: dict[str, Any] = {"data": result.data}
        if result.errors:
            body["errors"] = format_errors(result.errors, request_id, self.settings.max_errors)
        if outcome.withheld:
            body["extensions"] = {"withheld": list(outcome.withheld)}
        return Answer(body)

    async def confirm(self, claims: Claims) -> None:
        """Raise Unauthenticated when a credential is good no more: its member suspended, its session or key revoked.

        For what stays open between two events. A database that is away says nothing about anybody: then it passes.
        """
        try:
            await self.authenticator.viewer(claims, self.database.primary_reader())
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return

    async def context(self, claims: Claims, origin: Origin = NOWHERE) -> GraphContext:
        """Return a context that outlives an operation, its viewer read anew, on the primary: it reads what was just
        written. Raises Unauthenticated."""
        reader = self.database.primary_reader(self.payers.of(claims, origin))
        return self.live_context(await self.authenticator.viewer(claims, reader), None, claims, origin)

    def live_context(
        self,
        viewer: Viewer,
        trust: Trust | None = None,
        claims: Claims | None = None,
        origin: Origin = NOWHERE,
        payer: Payer | None = None,
    ) -> GraphContext:
        """Return a context of a viewer who was just read, or whom a trust guards, on the primary; the viewer pays for
        what it reads unless somebody else does."""
        payer = payer or self.payers.of_viewer(viewer)
        reader = self.database.primary_reader(payer)
        reader.trust = trust
        claims = claims or Claims(viewer.workspace_id, viewer.member_id, datetime.max.replace(tzinfo=UTC))
        transaction = partial(self.database.transaction, payer)
        return self._context(viewer, reader, transaction, _Asking(claims, origin, new_id()))

    def _lent(self, viewer: Viewer, lease: Lease, asking: _Asking, trust: Trust | None = None) -> GraphContext:
        """Return the context of one operation on the connections that are lent to it."""
        return self._context(viewer, ReadSession(lease, trust), lease.transaction, asking)

    def _context(
        self,
        viewer: Viewer,
        reader: ReadSession,
        transaction: Callable[[], AbstractAsyncContextManager[Session]],
        asking: _Asking,
    ) -> GraphContext:
        context = GraphContext(
            viewer,
            self.access.of(viewer),
            reader,
            self._sealer,
            lambda: self._begin(context, transaction, asking),
            self.services,
            self.access,
            partial(self.authenticator.look_up, viewer.workspace_id, reader),
            self.schema.registry,
            self.schema.vocabulary,
            asking.request_id,
            asking.origin,
            cookies=asking.cookies,
            ports=self._ports,
        )
        return context

    @asynccontextmanager
    async def _begin(
        self,
        context: GraphContext,
        transaction: Callable[[], AbstractAsyncContextManager[Session]],
        asking: _Asking,
    ) -> AsyncIterator[Work]:
        viewer = context.viewer
        if viewer.is_anonymous:
            raise Unauthenticated("Send a bearer token: `Authorization: Bearer <token>`.")
        async with transaction() as session:
            session.trust = context.reader.trust
            now, services = self._clock(), self.services
            work = Work(
                session,
                viewer,
                context.access,
                lambda: now,
                asking.origin,
                asking.request_id,
                services.vault,
                quotas=services.quotas,
            )
            try:
                yield work
                await session.confirm()
            except Unconfirmed:
                raise Unauthenticated("The member's roles or teams changed at this very moment.") from None
            finally:
                for type_, field, id_ in work.noted:  # of what was refused too: a message may tell what was read
                    prefix = self.schema.registry.records[type_].prefix
                    context.note_reads((f"{type_}.{field}",), (encode_id(prefix, id_),))

    async def subscribe(
        self,
        request: GraphQLRequest,
        operation: Operation,
        current: Callable[[], Claims],
        resume: str | None = None,
        origin: Origin = NOWHERE,
    ) -> tuple[Answer | None, Live]:
        """Start a subscription: returns a refusal, or the stream of `(cursor, answer)`. `resume` stands for `after`.
        `current` returns the claims as of now: a socket's can be renewed while it streams.

        The stream raises Unauthenticated when the member may not come in any more and FeedOverflow when the client is
        too slow; it ends when the process shuts down.
        """
        refusal, stream = await self.subscriptions.subscribe(request, operation, current, resume, origin)
        self.requests.add_answer(OperationType.SUBSCRIPTION, {} if refusal is None else refusal.body)
        return refusal, stream

    async def answer_change(
        self, request: GraphQLRequest, operation: Operation, context: GraphContext, change: Change
    ) -> Answer:
        """Return the answer of a subscription's operation to a change; its sensitive reads are written down."""
        return await self._answer_live(request, operation, context, change, self.settings.max_answer_bytes)

    async def answer_query(self, request: GraphQLRequest, operation: Operation, context: GraphContext) -> Answer:
        """Return the answer of a query that nobody sent, a webhook's; its sensitive reads are written down."""
        return await self._answer_live(request, operation, context, None, self.settings.webhook_max_bytes)

    async def _answer_live(
        self,
        request: GraphQLRequest,
        operation: Operation,
        context: GraphContext,
        root_value: Change | None,
        limit: int,
    ) -> Answer:
        try:
            outcome = await self._outcome(request, operation, context, root_value)
        except RequestError as error:
            outcome = Outcome(ExecutionResult(None, [GraphQLError(error.message, original_error=error)]))
        answer = self._answer(outcome, context.request_id)
        self._add_cost(answer, request, operation)
        answer = await self._written_down(answer, operation, context)
        return self._encoded(answer, request, operation, limit, context.request_id)
