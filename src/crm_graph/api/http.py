"""GraphQL over HTTP: POST and GET with JSON answers, and subscriptions as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any

import orjson
from graphql import GraphQLError, OperationType
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from crm_graph.api.body import BadRequest, GraphQLRequest, parse_json, parse_request
from crm_graph.api.documents import DocumentError
from crm_graph.api.engine import Answer, Engine
from crm_graph.api.negotiation import EVENT_STREAM, GRAPHQL_RESPONSE, JSON, choose
from crm_graph.events.hub import FeedOverflow
from crm_graph.graph.execution import Operation
from crm_graph.identity.origin import Origin
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.errors import RequestError

_STATUS = {
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "RATE_LIMITED": 429,
    "TIMEOUT": 504,
    "INTERNAL": 500,
}
"""The HTTP status of a request that was not executed; 400 for every other code."""

_PARAMETERS = ("query", "operationName", "documentId", "doc_id", "id", "onError")


class Reply:
    """A complete response: what Starlette's is, without the 5 us that it takes to assemble one."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, body: bytes, status: int, media: str, headers: Mapping[str, str] | None = None) -> None:
        self.body = body
        self.status = status
        self.headers = [
            (b"content-type", f"{media}; charset=utf-8".encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        for name, value in (headers or {}).items():
            self.headers.append((name.lower().encode(), value.encode()))


class Incoming:
    """A request that came by ASGI."""

    def __init__(
        self,
        method: str,
        headers: Iterable[tuple[bytes, bytes]],
        query: bytes,
        receive: Receive,
        peer: str | None = None,
    ) -> None:
        self.method = method
        self.peer = peer
        self.query = query
        self._headers = dict(headers)
        self._receive = receive

    def header(self, name: bytes) -> str | None:
        """Return a header by its name in small letters."""
        value = self._headers.get(name)
        return None if value is None else value.decode("latin-1")

    async def read(self, limit: int) -> bytes:
        """Return the body. Raises BadRequest 413 as soon as it is known to be too long, before it is in memory."""
        length = self._headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > limit:
            raise too_long(limit)
        chunks: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            if size > limit:
                raise too_long(limit)
            more = message.get("more_body", False)
        return b"".join(chunks)

    def watched(self) -> _Disconnect:
        """Cancel what runs within when the client goes away; then it raises ClientDisconnect."""
        return _Disconnect(self._receive)


class _Disconnect:
    """Cancels what runs within it, and its statement in Postgres, when the client goes away: raises ClientDisconnect.

    It looks after a while only: most answers are ready before, and a task that waits for the client costs 15 us.
    """

    AFTER_S = 0.02

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._gone = False
        self._watching: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._timer = asyncio.get_running_loop().call_later(self.AFTER_S, self._watch)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._timer.cancel()
        if self._watching is not None:
            self._watching.cancel()
        if self._gone and isinstance(error, asyncio.CancelledError):
            self._task.uncancel()
            raise ClientDisconnect from error

    def _watch(self) -> None:
        self._watching = asyncio.ensure_future(self._wait())

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._task.cancel()


def too_long(limit: int) -> BadRequest:
    """Return the error of a body that is longer than it may be."""
    return BadRequest(f"The body is longer than {limit} bytes.", 413)


class GraphQLEndpoint:
    """The handler of `/graphql`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.max_body_bytes = engine.settings.max_body_bytes
        self.shutting_down = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI: Starlette's router and middleware would cost it 30 us more."""
        peer = scope["client"][0] if scope.get("client") else None
        request = Incoming(scope["method"], scope["headers"], scope["query_string"], receive, peer)
        response = await self.respond(request)
        if isinstance(response, Reply):
            await send({"type": "http.response.start", "status": response.status, "headers": response.headers})
            await send({"type": "http.response.body", "body": response.body})
        else:
            await response(scope, receive, send)

    async def respond(self, request: Incoming) -> Reply | StreamingResponse:
        """Return the response: a stream for a client that prefers one. One that goes away cancels its statement."""
        media = choose(request.header(b"accept"), (JSON, GRAPHQL_RESPONSE, EVENT_STREAM))
        if media is None:
            message = f"This endpoint answers {JSON}, {GRAPHQL_RESPONSE} and {EVENT_STREAM}."
            return Reply(message.encode(), 406, "text/plain")
        try:
            return await self._run(request, await self._parse(request), media)
        except BadRequest as error:
            code = "PARSE_FAILED" if error.status == 400 else "BAD_USER_INPUT"
            answer = self._engine.refuse([GraphQLError(error.message)], code)
            return _respond(answer, media, error.status, error.headers)
        except ClientDisconnect:
            return Reply(b"", 499, "text/plain")

    async def ready(self) -> bool:
        """Return whether the database answers."""
        return await self._engine.database.answers()

    async def _run(self, request: Incoming, parsed: GraphQLRequest, media: str) -> Reply | StreamingResponse:
        engine = self._engine
        authorization = request.header(b"authorization")
        try:
            claims = await engine.authenticate(parsed, authorization)
        except RequestError as error:
            challenge = "Bearer" if authorization is None else 'Bearer error="invalid_token"'
            return _respond(engine.refuse_error(error), media, 401, {"WWW-Authenticate": challenge})
        try:
            operation = await engine.operation(parsed, claims)
        except DocumentError as error:
            return _respond(engine.refuse(error.errors, error.code), media)
        except RequestError as error:
            return _respond(engine.refuse_error(error), media)
        kind = operation.definition.operation
        if request.method != "POST" and kind is not OperationType.QUERY:
            answer = engine.refuse([GraphQLError("GET runs queries only: use POST.")], "BAD_USER_INPUT")
            return _respond(answer, media, 405, {"Allow": "POST"})
        if kind is OperationType.SUBSCRIPTION:
            if media != EVENT_STREAM:
                message = f"Subscriptions run over WebSocket, or as `Accept: {EVENT_STREAM}`."
                return _respond(engine.refuse([GraphQLError(message)], "BAD_USER_INPUT"), media, 406)
            return await self._subscribe(request, parsed, operation, claims)
        with request.watched():
            return _respond(await engine.execute(parsed, operation, claims, self._origin(request)), media)

    def _origin(self, request: Incoming) -> Origin:
        return self._engine.origin(request.peer, request.header(b"x-forwarded-for"), request.header(b"user-agent"))

    async def _parse(self, request: Incoming) -> GraphQLRequest:
        if request.method != "POST":  # GET, and the HEAD that comes with it
            return self._parse_get(request)
        media, *parameters = (request.header(b"content-type") or "").lower().split(";")
        if media.strip() != JSON:
            raise BadRequest(f"The Content-Type must be {JSON}.", 415)
        for name, _, value in (parameter.partition("=") for parameter in parameters):
            if name.strip() == "charset" and value.strip().strip('"') not in {"utf-8", "utf8"}:
                raise BadRequest("The charset must be utf-8.", 415)
        body = await request.read(self.max_body_bytes)
        return parse_request(parse_json(body, self._engine.settings.max_json_depth))

    def _parse_get(self, request: Incoming) -> GraphQLRequest:
        parameters = QueryParams(request.query)
        value: dict[str, Any] = {name: parameters.get(name) for name in _PARAMETERS}
        for name in ("variables", "extensions"):
            text = parameters.get(name)
            if text:
                try:
                    value[name] = parse_json(text, self._engine.settings.max_json_depth)
                except BadRequest:
                    raise BadRequest(f"The parameter `{name}` is not JSON.") from None
        return parse_request(value)

    async def _subscribe(
        self, request: Incoming, parsed: GraphQLRequest, operation: Operation, claims: Claims
    ) -> Reply | StreamingResponse:
        resume = request.header(b"last-event-id")
        if resume is not None and LogCursor.decode(resume) is None:
            answer = self._engine.refuse([GraphQLError("`Last-Event-ID` is not a cursor.")], "BAD_USER_INPUT")
            return _respond(answer, EVENT_STREAM)
        refusal, stream = await self._engine.subscribe(parsed, operation, claims, resume, self._origin(request))
        if refusal is not None:
            return _respond(refusal, EVENT_STREAM)
        return _stream(self._frames(stream, claims))

    async def _frames(self, stream: AsyncIterator[tuple[str, Answer]], claims: Claims) -> AsyncIterator[bytes]:
        """Yield the frames of a subscription: `next` with the cursor as id, comments as heartbeat, `complete`."""
        heartbeat = self._engine.settings.heartbeat_ms / 1000
        iterator = stream.__aiter__()
        yield b":\n\n"
        pending = asyncio.ensure_future(anext(iterator, None))
        stopping = asyncio.ensure_future(self.shutting_down.wait())
        try:
            while True:
                remaining = (claims.expires_at - self._engine.now()).total_seconds()
                if remaining <= 0:
                    yield _frame(
                        "next", self._engine.refuse([GraphQLError("The bearer token has expired.")], "UNAUTHENTICATED")
                    )
                    break
                await asyncio.wait(
                    {pending, stopping}, timeout=min(heartbeat, remaining), return_when=asyncio.FIRST_COMPLETED
                )
                if pending.done():
                    item = pending.result()
                    if item is None:
                        break
                    yield _frame("next", item[1], item[0])
                    pending = asyncio.ensure_future(anext(iterator, None))
                elif stopping.done():
                    break
                else:
                    yield b":\n\n"
        except RequestError as error:
            yield _frame("next", self._engine.refuse_error(error))
        except FeedOverflow as error:
            message = f'The connection was too slow. Resume with `after: "{error.cursor.encode()}"`.'
            yield _frame("next", self._engine.refuse([GraphQLError(message)], "RATE_LIMITED"))
        except Exception as error:  # the database is away, say
            errors = [GraphQLError(str(error), original_error=error)]
            yield _frame("next", self._engine.refuse(errors, "INTERNAL"))
        finally:
            for task in (pending, stopping):
                task.cancel()
        yield b"event: complete\ndata: \n\n"


async def _single(answer: Answer) -> AsyncIterator[bytes]:
    yield _frame("next", answer)
    yield b"event: complete\ndata: \n\n"


def _frame(event: str, answer: Answer, id_: str | None = None) -> bytes:
    head = f"id: {id_}\n" if id_ is not None else ""
    return f"{head}event: {event}\ndata: ".encode() + orjson.dumps(answer.body) + b"\n\n"


def _stream(frames: AsyncIterator[bytes]) -> StreamingResponse:
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(frames, media_type=f"{EVENT_STREAM}; charset=utf-8", headers=headers)


def _respond(
    answer: Answer, media: str, status: int | None = None, headers: Mapping[str, str] | None = None
) -> Reply | StreamingResponse:
    """Return an answer in the media type that was chosen; `status` is given when no operation was looked at.

    A refusal that has its own status is JSON even where a stream was asked for: an event stream must be 200.
    """
    if status is None:
        status = _status(answer, media)
    if media == EVENT_STREAM:
        if status == 200:
            return _stream(_single(answer))
        media = JSON
    return Reply(orjson.dumps(answer.body), status, media, headers)


def _status(answer: Answer, media: str) -> int:
    """Return the status that GraphQL over HTTP asks for.

    A well-formed request is 200 under `application/json` even when it cannot be executed, and so it is in an event
    stream, where the errors are its only `next`; under `application/graphql-response+json` it is 400.
    """
    if not answer.request_error:
        return 200
    status = _STATUS.get(answer.code or "", 400)
    return 200 if status == 400 and media != GRAPHQL_RESPONSE else status
