"""Everything that a process needs to answer requests, put together. Transport-free; HTTP, SSE and WebSocket all come
through here: `admission` lets a request in with its operation, `execute` and `subscribe` answer it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime

from graphql import OperationType

from crm_graph.api.admission.credentials import Credentials
from crm_graph.api.admission.gate import Admission
from crm_graph.api.admission.origins import Origins
from crm_graph.api.admission.payers import Payers
from crm_graph.api.admission.proxies import Proxies
from crm_graph.api.answers import Answers
from crm_graph.api.body import Answer, GraphQLRequest
from crm_graph.api.contexts import Asking, Contexts
from crm_graph.api.documents.cache import DocumentCache
from crm_graph.api.documents.manifests import SchemaDocuments
from crm_graph.api.documents.selections import Selections
from crm_graph.api.documents.trusted import TrustedDocuments
from crm_graph.api.execution import Execution
from crm_graph.api.live.stream import Live
from crm_graph.api.live.subscriptions import Subscriptions
from crm_graph.api.live_shares import LiveShares
from crm_graph.api.metrics import Cache, Metrics
from crm_graph.api.requests import CANCELLED, FAILED, MAX_NAME_LENGTH, Requests, outcome
from crm_graph.domains.identity.clients.documents import DocumentCheck
from crm_graph.domains.platform.webhooks.rules import SelectionCheck
from crm_graph.events.hub import Hub
from crm_graph.events.replica import Replica
from crm_graph.graph.cursors import CursorSealer
from crm_graph.graph.running.execution import Operation, PlanCache, PlannedExecutor, make_executor
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.idempotency.keys import Sent
from crm_graph.identity.authenticate import Authenticator
from crm_graph.identity.cookies import CookieJar
from crm_graph.identity.origin import NOWHERE, Origin
from crm_graph.identity.services import Services
from crm_graph.identity.tokens import Claims
from crm_graph.jobs.worker import Outcomes
from crm_graph.kernel import spans
from crm_graph.kernel.ids import new_id
from crm_graph.kernel.logs import REQUEST_ID
from crm_graph.kernel.spans import Span, SpanKind


class Engine:
    """The parts of a process that answer requests."""

    def __init__(
        self,
        schema: BuiltSchema,
        services: Services,
        authenticator: Authenticator,
        *,
        hub: Hub,
        sealer: CursorSealer,
        jobs: Outcomes | None = None,
    ) -> None:
        self.schema = schema
        self.services = services
        self.authenticator = authenticator
        self.hub = hub
        self.database = services.database
        self.settings = settings = services.settings
        self.access = schema.compiler()
        self.documents = DocumentCache.of(schema, settings)
        self.trusted = TrustedDocuments(self.database, self.documents, schema, settings)
        self.payers = Payers(settings)
        self.shares = LiveShares(settings)
        self.requests = Requests(settings)
        self.answers = Answers(self.requests, settings)
        self.proxies = Proxies(settings)
        self.origins = Origins(settings)
        self.credentials = Credentials(settings, self.origins)
        self.admission = Admission(authenticator, self.trusted, schema.public, settings)
        self.contexts = Contexts(
            schema=schema,
            services=services,
            authenticator=authenticator,
            access=self.access,
            payers=self.payers,
            sealer=sealer,
            ports={
                DocumentCheck: SchemaDocuments(schema, self.documents),
                SelectionCheck: Selections(schema, self.documents, self.access, settings),
            },
        )
        self.replica = Replica(self.database, settings.replica_max_lag_ms, settings.replica_poll_ms)
        self.execution = Execution(
            executor=make_executor(settings.executor, schema, PlanCache(settings.plan_cache_bytes)),
            services=services,
            authenticator=authenticator,
            trusted=self.trusted,
            payers=self.payers,
            contexts=self.contexts,
            answers=self.answers,
            replica=self.replica,
        )
        caches: dict[str, Cache] = {"documents": self.documents}
        if isinstance(self.execution.executor, PlannedExecutor):
            caches["plans"] = self.execution.executor.cache
        self.metrics = Metrics(self.requests, caches, self.database, self.payers, self.shares, jobs, services.quotas)
        self.subscriptions = Subscriptions(self)

    def now(self) -> datetime:
        """Return the time of the engine's clock."""
        return self.services.clock()

    async def execute(
        self,
        request: GraphQLRequest,
        operation: Operation,
        claims: Claims,
        *,
        origin: Origin = NOWHERE,
        cookies: CookieJar | None = None,
        began: float | None = None,
        parent: str | None = None,
        traced: bool = False,
    ) -> Answer:
        """Execute a query or mutation and return its answer; what it sets of cookies is in the jar. `began` is when the
        request was there, by `time.perf_counter`; now, where it is not said. `parent` is the client's `traceparent`."""
        if spans.tracer is not None and not traced:
            with spans.span(*_described(operation), parent) as span:
                answer = await self.execute(
                    request, operation, claims, origin=origin, cookies=cookies, began=began, traced=True
                )
                _tell(span, answer)
                return answer
        asking = Asking(claims, origin, cookies, sent=_sent(request, operation))
        began = began or time.perf_counter()
        REQUEST_ID.set(asking.request_id)  # each request runs in a task of its own
        try:
            answer = await self.execution.answer(request, operation, asking)
        except asyncio.CancelledError:
            self.requests.ended(operation, CANCELLED, began, claims, asking.request_id)
            raise
        self.requests.ended(operation, outcome(answer.body), began, claims, asking.request_id)
        return answer

    async def subscribe(
        self,
        request: GraphQLRequest,
        operation: Operation,
        current: Callable[[], Claims],
        *,
        resume: str | None = None,
        origin: Origin = NOWHERE,
    ) -> tuple[Answer | None, Live]:
        """Start a subscription: returns a refusal, or the stream of `(cursor, answer)`. `resume` stands for `after`.
        `current` returns the claims as of now: a socket's can be renewed while it streams.

        The stream raises Unauthenticated when the member may not come in any more and FeedOverflow when the client is
        too slow; it ends when the process shuts down.
        """
        began, request_id = time.perf_counter(), new_id()
        with spans.span(*_described(operation)) as span:
            refusal, stream = await self.subscriptions.subscribe(
                request, operation, current, resume, origin, request_id
            )
            if refusal is not None:
                _tell(span, refusal)
        self.requests.ended(operation, outcome({} if refusal is None else refusal.body), began, current(), request_id)
        return refusal, stream


def _described(operation: Operation) -> tuple[str, SpanKind, dict[str, str]]:
    """Return the name, the kind and the attributes of an operation's span."""
    kind = operation.definition.operation.value
    name = "" if operation.definition.name is None else operation.definition.name.value[:MAX_NAME_LENGTH]
    attributes = {"graphql.operation.type": kind, "crm_graph.document": operation.document_sha256[:16]}
    if name:
        attributes["graphql.operation.name"] = name
    return f"{kind} {name}".strip(), SpanKind.SERVER, attributes


def _tell(span: Span, answer: Answer) -> None:
    """Say in a span what came of its operation."""
    code = outcome(answer.body)
    span.tell({"crm_graph.outcome": code})
    if code in FAILED:
        span.fails(code)


def _sent(request: GraphQLRequest, operation: Operation) -> Sent | None:
    """Return by what a mutation is known again when it is sent again."""
    definition = operation.definition
    if definition.operation is not OperationType.MUTATION:
        return None
    name = None if definition.name is None else definition.name.value
    return Sent(operation.document_sha256, name, request.variables, request.idempotency_key)
