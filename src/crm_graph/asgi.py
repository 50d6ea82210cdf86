"""The ASGI application and its life cycle: which address is answered by what, and what comes past ASGI."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from crm_graph.api.admission.hosts import MISDIRECTED, is_near
from crm_graph.api.admission.proxies import Proxies
from crm_graph.api.bounded import HANDLERS, Bounded, unavailable
from crm_graph.api.connections import Connections
from crm_graph.api.console import graphiql
from crm_graph.api.console.examples import EXAMPLES
from crm_graph.api.engine import Engine
from crm_graph.api.metrics import Metrics, metrics_response
from crm_graph.api.oauth.routes import routes as oauth_routes
from crm_graph.api.sign_on import account_pages
from crm_graph.api.sign_on.sso import SingleSignOn
from crm_graph.api.transport.exports import export_response
from crm_graph.api.transport.frames import SocketProtocol
from crm_graph.api.transport.http import GraphQLEndpoint
from crm_graph.api.transport.negotiation import HTML, JSON, choose
from crm_graph.api.transport.protocol import GraphQLProtocol
from crm_graph.api.transport.websocket import WebSocketEndpoint
from crm_graph.app import Nearby, check_settings, running_engine
from crm_graph.db.outages import AWAY
from crm_graph.db.revisions import require_current
from crm_graph.events.epoch import require_own_log, require_same_log
from crm_graph.identity.installation import Installation
from crm_graph.identity.oidc.issuers import Issuers
from crm_graph.kernel.errors import RateLimited, Unauthenticated, Unreachable
from crm_graph.kernel.settings import Settings

UNMETERED = frozenset({"/health", "/ready"})
"""What is asked by whoever keeps the process alive, and must be answered while others ask too much."""


@dataclass(frozen=True, slots=True)
class _Open:
    """What answers once the process has started."""

    engine: Engine
    http: GraphQLEndpoint
    websocket: WebSocketEndpoint
    sign_on: SingleSignOn


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
        self._proxies = Proxies(settings)
        self._open: _Open | None = None
        self._leaving = False
        self._starlette = Starlette(routes=self._routes(), lifespan=self._lifespan, exception_handlers=HANDLERS)
        self._bounded = Bounded(self._starlette, settings.mutation_timeout_ms / 1000)

    def protocol(self, **uvicorn: Any) -> GraphQLProtocol:
        """Return the protocol of a new connection, for uvicorn: GraphQL requests do not pass through ASGI."""
        return GraphQLProtocol(self._endpoint, b"/graphql", self._body_limit, self.connections, self._hosts, **uvicorn)

    def _endpoint(self) -> GraphQLEndpoint | None:
        return None if self._open is None else self._open.http

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
        if self._open is not None and scope["type"] == "http" and scope["path"] == "/graphql":
            method = scope["method"]
            if method in {"POST", "OPTIONS"} or (method in {"GET", "HEAD"} and not _wants_page(scope)):
                await self._open.http(scope, receive, send)
                return
        if scope["type"] != "lifespan" and scope["path"] not in UNMETERED:
            refusal = await self._too_many(scope)
            if refusal is not None:
                await refusal(scope, receive, send)
                return
        await self._bounded(scope, receive, send)

    async def _too_many(self, scope: Scope) -> Response | None:
        """Count a request, or the handshake of a WebSocket, and return the answer to one too many."""
        engine = self._running().engine
        headers = Headers(scope=scope)
        peer = scope["client"][0] if scope.get("client") else None
        address = self._proxies.origin(peer, headers.get("x-forwarded-for"), None).address
        try:
            await engine.admission.meter(headers.get("authorization"), address)
        except RateLimited as error:
            body = {"error": {"code": error.code, "message": error.message}}
            return JSONResponse(
                body, 429, {"Retry-After": str(error.retry_after_s), "Access-Control-Allow-Origin": "*"}
            )
        except Unauthenticated:  # of a client that is gone: its endpoint says so
            return None
        except AWAY as error:  # while the limits of a client were looked up
            return unavailable(error)
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
            *oauth_routes(lambda: self._running().engine),
            *graphiql.routes(self._page),
        ]

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        await require_current(self._installation.url)
        await require_own_log(self._installation.url, failover=self._settings.continue_after_failover)
        if self._installation.read_url is not None:
            with suppress(Unreachable):  # one that is away is not needed
                await require_same_log(self._installation.url, self._installation.read_url)
        issuers = Issuers.of(self._settings)
        async with running_engine(self._installation, self._settings, issuers=issuers) as engine:
            engine.metrics.connections = self.connections
            sign_on = SingleSignOn(engine.services, issuers)
            self._open = _Open(engine, GraphQLEndpoint(engine), WebSocketEndpoint(engine), sign_on)
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

    def _running(self) -> _Open:
        assert self._open is not None, "requests come after start-up"
        return self._open

    @property
    def metrics(self) -> Metrics | None:
        """The metrics of the process; None until it has started."""
        return None if self._open is None else self._open.engine.metrics

    def leave(self) -> None:
        """Answer `/ready` with 503 from now on, and all else as before, each connection for the last time: balancers
        send new requests elsewhere."""
        self._leaving = self.connections.leaving = True

    async def drain(self) -> None:
        """End streams so that clients move over to another process; called when SIGTERM arrives."""
        if self._open is not None:
            self._open.http.shutting_down.set()
            await self._open.websocket.drain()

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
        await self._running().websocket(websocket)  # type: ignore[arg-type] # Starlette types endpoints loosely

    async def _health(self, request: Request) -> Response:
        """Say that the process lives, and to who came through a proxy whether it is trusted: `doctor` asks so."""
        told = {"status": "ok"}
        if "x-forwarded-for" in request.headers and request.client is not None:
            trusted = self._proxies.are_at(request.client.host)
            told["forwarded"] = "used" if trusted else "ignored"
        return JSONResponse(told)

    async def _ready(self, _: Request) -> Response:
        if self._leaving:
            return JSONResponse({"status": "leaving"}, 503)
        ready = await self._running().http.ready()
        status = {"status": "ok" if ready else "unavailable"}
        return JSONResponse(status | self._running().engine.database.nodes.tell(), 200 if ready else 503)

    async def _sso_start(self, request: Request) -> Response:
        return await self._running().sign_on.start(request)

    async def _sso_callback(self, request: Request) -> Response:
        return await self._running().sign_on.callback(request)

    async def _export(self, request: Request) -> Response:
        return await export_response(request, self._running().engine)

    async def _metrics(self, request: Request) -> Response:
        is_open, metrics = self._is_near(request), self._running().engine.metrics
        return await metrics_response(request, metrics, self._settings.metrics_token, is_open=is_open)


def _wants_page(scope: Scope) -> bool:
    """Return whether a GET comes from a browser that is to see GraphiQL."""
    request = Request(scope)
    return choose(request.headers.get("accept"), (JSON, HTML)) == HTML and "query" not in request.query_params
