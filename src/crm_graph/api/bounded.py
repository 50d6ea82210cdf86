"""A time limit around everything that Starlette routes: whatever waits inside, a client is answered in time.

A request to the graph has its own limits (`engine.py`). The authorization server, the sign-on by providers, files and
pages have none, and each reads the database in a dozen places: so the limit is here, around all of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from crm_graph.api.errors import UNAVAILABLE_MESSAGE
from crm_graph.db.outages import AWAY, OUTAGES
from crm_graph.kernel.errors import InDoubt


class Bounded:
    """An ASGI application that answers 503 where another one does not begin to answer in time. What is streamed once it
    has begun may take longer."""

    def __init__(self, app: ASGIApp, timeout_s: float) -> None:
        self._app = app
        self._timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            if not begun:
                begun = True
                limit.reschedule(None)
            await send(message)

        try:
            async with asyncio.timeout(self._timeout_s) as limit:
                await self._app(scope, receive, sending)
        except TimeoutError as error:
            if begun:
                raise
            await unavailable(error)(scope, receive, send)


def unavailable(error: Exception) -> Response:
    """Return 503, in RFC 6749's form."""
    if isinstance(error, InDoubt):
        message = error.message
    else:
        OUTAGES.tell(error)
        message = UNAVAILABLE_MESSAGE
    body = {"error": "temporarily_unavailable", "error_description": message}
    return JSONResponse(body, 503, {"Retry-After": "1", "Cache-Control": "no-store"})


async def _handle(_: Request, error: Exception) -> Response:
    return unavailable(error)


HANDLERS: dict[Any, Callable[[Request, Exception], Awaitable[Response]]] = dict.fromkeys(
    (*AWAY, asyncpg.QueryCanceledError), _handle
)
"""For Starlette: what of the exceptions that a route lets pass says that the database is away."""
