"""From an answer to an HTTP response: its status, its media type, and event streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from typing import Any

from anyio import CancelScope
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from crm_graph.api.body import Answer
from crm_graph.api.transport.incoming import Reply
from crm_graph.api.transport.negotiation import EVENT_STREAM, GRAPHQL_RESPONSE, JSON

STATUS = {
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "RATE_LIMITED": 429,
    "TIMEOUT": 504,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
}
"""The HTTP status of a request that was not executed; 400 for every other code."""
WHOLE = {"RATE_LIMITED": 429, "IDEMPOTENCY_IN_PROGRESS": 409, "IDEMPOTENCY_KEY_REUSED": 422, "UNAVAILABLE": 503}
"""The HTTP status of a request that was executed, and all of which was refused for one of these reasons: what stands
between us and the client, and what sends again, knows by it that nothing was done."""


async def _single(answer: Answer) -> AsyncIterator[bytes]:
    yield frame("next", answer)
    yield b"event: complete\ndata: \n\n"


def frame(event: str, answer: Answer, id_: str | None = None) -> bytes:
    """Return a frame of an event stream."""
    head = f"id: {id_}\n" if id_ is not None else ""
    return f"{head}event: {event}\ndata: ".encode() + answer.json() + b"\n\n"


class Stream(StreamingResponse):
    """An event stream; `ended` is called once, however it ends, and also where it never began.

    Its frames are closed with it. Starlette leaves them lying where sending fails or is cancelled, and what they read
    from would go on until somebody collects them.
    """

    def __init__(self, frames: AsyncIterator[bytes], ended: Callable[[], None] = lambda: None) -> None:
        headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(frames, media_type=f"{EVENT_STREAM}; charset=utf-8", headers=headers)
        self._frames = frames
        self._ended = ended

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            try:
                if isinstance(self._frames, AsyncGenerator):
                    with CancelScope(shield=True):
                        await self._frames.aclose()
            finally:
                self._ended()


def respond(
    answer: Answer, media: str, status: int | None = None, headers: Mapping[str, str] | None = None
) -> Reply | StreamingResponse:
    """Return an answer in the media type that was chosen; `status` is given when no operation was looked at.

    A refusal that has its own status is JSON even where a stream was asked for: an event stream must be 200.
    """
    if status is None:
        status = _status(answer, media)
    if status == 401 and headers is None:  # its member cannot come in any more, which only the database knew
        headers = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    wait_s = _retry_after_s(answer)
    if wait_s is not None:
        headers = {**(headers or {}), "Retry-After": str(wait_s)}
    if media == EVENT_STREAM:
        if status == 200:
            return Stream(_single(answer))
        media = JSON
    return Reply(answer.json(), status, media, headers)


def error_status(answer: Answer) -> int:
    """Return the status of a refusal where it is to be an error whatever the media type."""
    return STATUS.get(answer.code or "", 400)


def _status(answer: Answer, media: str) -> int:
    """Return the status that GraphQL over HTTP asks for.

    A well-formed request is 200 under `application/json` even when it cannot be executed, and so it is in an event
    stream, where the errors are its only `next`; under `application/graphql-response+json` it is 400.
    """
    if not answer.request_error:
        return _status_of_executed(answer.body)
    status = STATUS.get(answer.code or "", 400)
    return 200 if status == 400 and media != GRAPHQL_RESPONSE else status


def _status_of_executed(body: Mapping[str, Any]) -> int:
    if "errors" not in body or any((body["data"] or {}).values()):
        return 200
    codes = {error["extensions"]["code"] for error in body["errors"]}
    return next((status for code, status in WHOLE.items() if code in codes), 200)


def _retry_after_s(answer: Answer) -> int | None:
    """Return after how many seconds the client may try again, where an error of the answer says so."""
    if "errors" not in answer.body:
        return None
    waits = [error["extensions"].get("retryAfterSeconds") for error in answer.body["errors"]]
    return max((wait for wait in waits if wait is not None), default=None)
