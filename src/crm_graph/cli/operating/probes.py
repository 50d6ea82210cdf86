"""What a worker answers to those who watch it: `/health` and `/ready`, as an API process does, on a port of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from crm_graph.db.pool import Database

_KEEP_ALIVE_S = 5
_MAX_REQUESTS = 20


class _Probes(uvicorn.Server):
    """uvicorn that leaves signals to the worker."""

    @contextmanager
    def capture_signals(self) -> Any:
        """Take none."""
        yield


@asynccontextmanager
async def answering(database: Database, listener: socket.socket | None) -> AsyncIterator[None]:
    """Answer on a listening socket, where there is one, until the block ends."""
    if listener is None:
        yield
        return

    async def health(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(_: Request) -> Response:
        answers = await database.answers()
        status = {"status": "ok" if answers else "unavailable"}
        return JSONResponse(status | database.nodes.tell(), 200 if answers else 503)

    application = Starlette(routes=[Route("/health", health), Route("/ready", ready)])
    config = uvicorn.Config(
        application,
        log_level="warning",
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
