"""The API process: settings to pools to engine to ASGI application. Composition only."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from crm_graph.api.admission.credentials import Credentials
from crm_graph.api.admission.hosts import MISDIRECTED, Hosts, is_near
from crm_graph.api.admission.origins import Origins
from crm_graph.api.bounded import HANDLERS, Bounded
from crm_graph.api.connections import Connections
from crm_graph.api.console import graphiql
from crm_graph.api.console.examples import EXAMPLES
from crm_graph.api.engine import Engine
from crm_graph.api.metrics import metrics_response
from crm_graph.api.oauth.routes import routes as oauth_routes
from crm_graph.api.schema import make_schema
from crm_graph.api.sign_on import account_pages
from crm_graph.api.sign_on.sso import SingleSignOn
from crm_graph.api.transport.exports import export_response
from crm_graph.api.transport.frames import SocketProtocol
from crm_graph.api.transport.http import GraphQLEndpoint
from crm_graph.api.transport.negotiation import HTML, JSON, choose
from crm_graph.api.transport.protocol import GraphQLProtocol
from crm_graph.api.transport.websocket import WebSocketEndpoint
from crm_graph.api.webhooks.deliverer import Deliverer
from crm_graph.db.pool import Database, PoolSettings
from crm_graph.db.revisions import require_current
from crm_graph.domains.identity.accounts.directory import MemberDirectory
from crm_graph.domains.identity.accounts.outbox import RESET_REQUEST, Outbox
from crm_graph.domains.identity.accounts.resets import answer_request
from crm_graph.domains.identity.clients.keys import ApiKeys
from crm_graph.domains.identity.providers.bearer import ProviderTokens
from crm_graph.domains.platform.audit.chain import seal_keys
from crm_graph.domains.platform.audit.chainer import Chainer, sealed_position
from crm_graph.domains.platform.jobs.exports import EXPORT, Exporter
from crm_graph.domains.platform.jobs.keeping import SCHEDULES, chores
from crm_graph.domains.platform.jobs.running import Runner
from crm_graph.events.hub import Hub
from crm_graph.events.metering import StorageMeter
from crm_graph.events.relay import Relay
from crm_graph.events.retention import Retention
from crm_graph.graph.cursors import CursorSealer
from crm_graph.graph.reading.pages import PageLimits
from crm_graph.graph.records.filter_limits import FilterLimits
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.authenticate import Authenticator, Resolver
from crm_graph.identity.installation import Installation, make_services
from crm_graph.identity.mailer import Mailer
from crm_graph.identity.oidc.issuers import Issuers
from crm_graph.identity.origin import is_one_of, parse_networks
from crm_graph.identity.services import Services
from crm_graph.jobs.worker import Outcomes, Worker
from crm_graph.kernel.errors import RateLimited, Unauthenticated
from crm_graph.kernel.settings import Settings

UNMETERED = frozenset({"/health", "/ready"})
"""What is asked by whoever keeps the process alive, and must be answered while others ask too much."""


@dataclass(frozen=True, slots=True)
class Nearby:
    """What `dev` does for its own machine: the only hosts that are answered, and the token that its pages are shown."""

    hosts: Hosts
    token: Callable[[], str | None] = lambda: None


def chainer(installation: Installation, settings: Settings, schema: BuiltSchema) -> Chainer:
    """Return what seals the event log of this installation."""
    return Chainer(
        installation.url,
        seal_keys(installation.secrets),
        {record.name: record.prefix for record in schema.registry.records.values()},
        retired=seal_keys(installation.retired_secrets),
        poll_ms=settings.audit_poll_ms,
        batch=settings.audit_batch_size,
    )


def retention(installation: Installation, settings: Settings) -> Retention:
    """Return what removes old events of this installation."""
    return Retention(
        installation.url,
        settings.event_retention_days,
        sealed_position,
        batch=settings.event_removal_batch_size,
        every_s=settings.event_removal_minutes * 60,
    )


def make_mailer(settings: Settings) -> Mailer | None:
    """Return what hands mails over, or None where `CRM_SMTP_URL` names no server. Raises OperatorError."""
    return Mailer.of(settings.smtp_url, settings.mail_from) if settings.smtp_url else None


def make_outbox(services: Services, mailer: Mailer) -> Outbox:
    """Return what sends the mails of an installation."""
    return Outbox(services, mailer, {RESET_REQUEST: answer_request})


def make_sealer(services: Services) -> CursorSealer:
    """Return what seals cursors, and opens those of every process of an installation."""
    return CursorSealer(services.keys("cursor sealing", 64)[0])


def make_worker(schema: BuiltSchema, services: Services, outcomes: Outcomes | None = None) -> Worker:
    """Return what runs the jobs of an installation."""
    outcomes = outcomes or Outcomes()
    runner = Runner(
        services, {EXPORT: Exporter(services, schema.registry, schema.compiler(), make_sealer(services))}, outcomes
    )
    return Worker(services.database, services.settings, runner.tasks(), chores(services), SCHEDULES, outcomes)


def make_engine(
    schema: BuiltSchema,
    services: Services,
    hub: Hub,
    resolvers: Sequence[Resolver] = (),
    outcomes: Outcomes | None = None,
) -> Engine:
    """Return what executes operations; without resolvers, for viewers who bring no credential: webhooks."""
    authenticator = Authenticator(services.authority, MemberDirectory(), resolvers)
    return Engine(schema, services.database, hub, authenticator, make_sealer(services), services, outcomes)


@asynccontextmanager
async def background_work(
    installation: Installation,
    settings: Settings,
    schema: BuiltSchema,
    services: Services,
    worker: Worker | None,
) -> AsyncIterator[None]:
    """Do the work of an installation beside requests, in API processes and workers alike, each of which may do it: the
    relay of live events, the chainer of the audit trail, webhooks, the removal of old events, the meter of storage,
    mails, jobs. Raises OperatorError for a mail server, and for networks of webhooks, that cannot be meant."""
    mailer = make_mailer(settings)
    deliverer = Deliverer(make_engine(schema, services, Hub(services.database)))
    tasks = [
        asyncio.create_task(Relay(installation.url, settings.relay_poll_ms).run()),
        asyncio.create_task(chainer(installation, settings, schema).run()),
        asyncio.create_task(deliverer.run()),
        asyncio.create_task(retention(installation, settings).run()),
        asyncio.create_task(StorageMeter(installation.url, every_s=settings.storage_measure_seconds).run()),
        asyncio.create_task(services.quotas.run(services.database)),
        asyncio.create_task(services.rsa.run()),
    ]
    if worker is not None:
        tasks.append(asyncio.create_task(worker.run()))
    if mailer is not None:
        tasks.append(asyncio.create_task(make_outbox(services, mailer).run()))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def page_limits(settings: Settings) -> PageLimits:
    """Return the bounds of pages."""
    filters = FilterLimits(pattern_letters=settings.max_pattern_letters, letters=settings.max_filter_letters)
    return PageLimits(settings.page_size, settings.nested_page_size, settings.max_page_size, filters)


def check_settings(settings: Settings) -> None:
    """Raise OperatorError for settings of the edge that cannot be meant: before anything starts."""
    Credentials(settings, Origins(settings))
    parse_networks(settings.trusted_proxies)
    parse_networks(settings.webhook_private, "CRM_WEBHOOK_PRIVATE")


@asynccontextmanager
async def running_engine(
    installation: Installation,
    settings: Settings,
    schema: BuiltSchema | None = None,
    issuers: Issuers | None = None,
) -> AsyncIterator[Engine]:
    """Open what an API process needs, and close it in reverse order: pools, hub, background work."""
    schema = schema or make_schema(page_limits(settings))
    pool = PoolSettings(
        settings.read_pool_size,
        settings.write_pool_size,
        settings.query_timeout_ms,
        settings.mutation_timeout_ms,
        member_read_size=settings.member_read_connections,
        member_write_size=settings.member_write_connections,
        member_waiting=settings.member_waiting,
    )
    database = await Database.open(installation.url, installation.read_url, pool, installation.pool_url)
    hub = Hub(database, settings.subscription_queue_size)
    services = make_services(installation, settings, database)
    keys = ApiKeys(database, services.clock)
    issuers = issuers or Issuers.of(settings)
    try:
        outcomes = Outcomes() if settings.jobs else None
        worker = None if outcomes is None else make_worker(schema, services, outcomes)
        async with background_work(installation, settings, schema, services, worker):
            await hub.start()
            # Before anybody asks: an RSA key takes a while to make, once per installation and period.
            await services.rsa.turn()
            yield make_engine(schema, services, hub, [keys, ProviderTokens(services, issuers)], outcomes)
    finally:
        await hub.stop()
        await keys.close()
        await issuers.aclose()
        await database.close()


class Application:
    """The ASGI application with its life cycle. `max_open` is how many connections the process has files for;
    `nearby` is given by `dev` alone, where who is near is shown the token, and `/metrics` without one."""

    def __init__(
        self,
        installation: Installation,
        settings: Settings,
        max_open: int | None = None,
        nearby: Nearby | None = None,
    ) -> None:
        check_settings(settings)
        self.connections = Connections(settings, max_open)
        self._installation = installation
        self._settings = settings
        self._nearby = nearby
        self._hosts = None if nearby is None else nearby.hosts
        self._engine: Engine | None = None
        self._http: GraphQLEndpoint | None = None
        self._websocket: WebSocketEndpoint | None = None
        self._sign_on: SingleSignOn | None = None
        self._starlette = Starlette(routes=self._routes(), lifespan=self._lifespan, exception_handlers=HANDLERS)
        self._bounded = Bounded(self._starlette, settings.mutation_timeout_ms / 1000)

    def protocol(self, **uvicorn: Any) -> GraphQLProtocol:
        """Return the protocol of a new connection, for uvicorn: GraphQL requests do not pass through ASGI."""
        return GraphQLProtocol(
            lambda: self._http, b"/graphql", self._body_limit, self.connections, self._hosts, **uvicorn
        )

    def socket_protocol(self, **uvicorn: Any) -> SocketProtocol:
        """Return the protocol of a connection that becomes a WebSocket, for uvicorn."""
        return SocketProtocol(self.connections, **uvicorn)

    def _body_limit(self, url: bytes) -> int:
        """Return how many bytes the body of a request to an address may have: none is longer than our forms but
        GraphQL's."""
        settings = self._settings
        return settings.max_body_bytes if url.startswith(b"/graphql") else settings.oauth_max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as ASGI: GraphQL requests directly, all else through Starlette's router."""
        hosts = self._hosts
        if hosts is not None and scope["type"] != "lifespan" and not hosts.allow(scope["headers"]):
            await Response(MISDIRECTED, 421, media_type="text/plain")(scope, receive, send)
            return
        if self._http is not None and scope["type"] == "http" and scope["path"] == "/graphql":
            method = scope["method"]
            if method in {"POST", "OPTIONS"} or (method in {"GET", "HEAD"} and not _wants_page(scope)):
                await self._http(scope, receive, send)
                return
        if scope["type"] != "lifespan" and scope["path"] not in UNMETERED:
            refusal = await self._too_many(scope)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._bounded(scope, receive, send)

    async def _too_many(self, scope: Scope) -> Response | None:
        """Count a request, or the handshake of a WebSocket, and return the answer to one too many."""
        engine = self._running()
        headers = Headers(scope=scope)
        peer = scope["client"][0] if scope.get("client") else None
        address = engine.origin(peer, headers.get("x-forwarded-for"), None).address
        try:
            await engine.admission.meter(headers.get("authorization"), address)
        except RateLimited as error:
            body = {"error": {"code": error.code, "message": error.message}}
            return JSONResponse(
                body, 429, {"Retry-After": str(error.retry_after_s), "Access-Control-Allow-Origin": "*"}
            )
        except Unauthenticated:  # of a client that is gone: its endpoint says so
            return None
        return None

    def _routes(self) -> list[BaseRoute]:
        return [
            Route("/", self._start, methods=["GET"]),
            Route("/graphql", self._page, methods=["GET", "POST"]),
            WebSocketRoute("/graphql", self._socket),
            *account_pages.routes("/graphql"),
            Route("/health", self._health),
            Route("/ready", self._ready),
            Route("/metrics", self._metrics),
            Route("/exports/{job}", self._export, methods=["GET", "OPTIONS"]),
            Route("/sso/{provider}/start", self._sso_start),
            Route("/sso/{provider}/callback", self._sso_callback),
            *oauth_routes(self._running),
            *graphiql.routes(self._page),
        ]

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        await require_current(self._installation.url)
        issuers = Issuers.of(self._settings)
        async with running_engine(self._installation, self._settings, issuers=issuers) as engine:
            self._engine = engine
            engine.metrics.connections = self.connections
            self._sign_on = SingleSignOn(engine.services, issuers)
            self._http = GraphQLEndpoint(engine)
            self._websocket = WebSocketEndpoint(engine)
            # What start-up made lives as long as the process: keep the collector from walking it again and again.
            gc.collect()
            gc.freeze()
            gc.set_threshold(10_000, 50, 50)
            sweep = asyncio.create_task(self.connections.watch())
            try:
                yield
            finally:
                sweep.cancel()
                await self.drain()

    def _running(self) -> Engine:
        assert self._engine is not None, "requests come after start-up"
        return self._engine

    async def drain(self) -> None:
        """End streams so that clients move over to another process; called when SIGTERM arrives."""
        if self._http is not None and self._websocket is not None:
            self._http.shutting_down.set()
            await self._websocket.drain()

    async def _start(self, _: Request) -> Response:
        return RedirectResponse("/graphql", 307)

    async def _page(self, request: Request) -> Response:
        token = self._nearby.token() if self._nearby is not None and self._is_near(request) else None
        return graphiql.response(endpoint="/graphql", subscription_url="/graphql", token=token, examples=EXAMPLES)

    def _is_near(self, request: Request) -> bool:
        """Return whether a request to `dev` comes from this very machine."""
        peer = request.client.host if request.client is not None else None
        return self._hosts is not None and is_near(request.headers.get("host"), peer)

    async def _socket(self, websocket: object) -> None:
        assert self._websocket is not None
        await self._websocket(websocket)  # type: ignore[arg-type] # Starlette types endpoints loosely

    async def _health(self, request: Request) -> Response:
        """Say that the process lives, and to who came through a proxy whether it is trusted: `doctor` asks so."""
        told = {"status": "ok"}
        if "x-forwarded-for" in request.headers and request.client is not None:
            trusted = is_one_of(request.client.host, parse_networks(self._settings.trusted_proxies))
            told["forwarded"] = "used" if trusted else "ignored"
        return JSONResponse(told)

    async def _ready(self, _: Request) -> Response:
        assert self._http is not None
        ready = await self._http.ready()
        return JSONResponse({"status": "ok" if ready else "unavailable"}, 200 if ready else 503)

    async def _sso_start(self, request: Request) -> Response:
        assert self._sign_on is not None
        return await self._sign_on.start(request)

    async def _sso_callback(self, request: Request) -> Response:
        assert self._sign_on is not None
        return await self._sign_on.callback(request)

    async def _export(self, request: Request) -> Response:
        return await export_response(request, self._running())

    async def _metrics(self, request: Request) -> Response:
        assert self._engine is not None
        is_open = self._is_near(request)
        return metrics_response(request, self._engine.metrics, self._settings.metrics_token, is_open=is_open)


def _wants_page(scope: Scope) -> bool:
    """Return whether a GET comes from a browser that is to see GraphiQL."""
    request = Request(scope)
    return choose(request.headers.get("accept"), (JSON, HTML)) == HTML and "query" not in request.query_params
