"""What processes answer to those who watch them, on ports of their own: a worker `/health` and `/ready`, as an API
process does, and both `/metrics`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from crm_graph.api.metrics import Metrics, metrics_response
from crm_graph.cli.operating.listening import listen
from crm_graph.db.pool import Database
from crm_graph.kernel.settings import Settings

_KEEP_ALIVE_S = 5
_MAX_REQUESTS = 20


class _Probes(uvicorn.Server):
    """uvicorn that leaves signals to the worker."""

    @contextmanager
    def capture_signals(self) -> Any:
        """Take none."""
        yield


def probes(database: Database) -> list[Route]:
    """Return what a worker answers on its port."""

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        answers = await database.answers()
        status = {"status": "ok" if answers else "unavailable"}
        return JSONResponse(status | database.nodes.tell(), 200 if answers else 503)

    return [Route("/health", health), Route("/ready", ready)]


def metrics_page(metrics: Callable[[], Metrics | None], token: str) -> list[Route]:
    """Return what a process answers on the port of its metrics: to all who reach it, unless there is a token."""

    async def page(request: Request) -> Response:
        current = metrics()
        if current is None:
            return PlainTextResponse("The process has not started yet", 503)
        return await metrics_response(request, current, token, is_open=True)

    return [Route("/metrics", page)]


@contextmanager
def metrics_listener(settings: Settings, process: int = 0) -> Iterator[socket.socket | None]:
    """Lend the listening socket of a process's metrics; None where they have no port. Raises OperatorError."""
    if not settings.metrics_port:
        yield None
        return
    port = settings.metrics_port + process
    with listen(settings.metrics_host, port, settings.tcp_keepalive_seconds, option="CRM_METRICS_PORT=") as listener:
        yield listener


@asynccontextmanager
async def answering(listener: socket.socket | None, routes: Sequence[Route]) -> AsyncIterator[None]:
    """Answer on a listening socket, where there is one, until the block ends."""
    if listener is None:
        yield
        return
    config = uvicorn.Config(
        Starlette(routes=list(routes)),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        limit_concurrency=_MAX_REQUESTS,
        timeout_keep_alive=_KEEP_ALIVE_S,
        proxy_headers=False,
        server_header=False,
    )
    server = _Probes(config)
    serving = asyncio.create_task(server.serve([listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await serving
