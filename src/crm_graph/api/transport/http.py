"""GraphQL over HTTP: POST and GET with JSON answers, and subscriptions as server-sent events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from graphql import GraphQLError, OperationType
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from crm_graph.api.admission.gate import Admitted
from crm_graph.api.admission.rates import QuotaExceeded
from crm_graph.api.body import Answer, BadRequest, GraphQLRequest, parse_json, parse_request
from crm_graph.api.documents.cache import DocumentError
from crm_graph.api.engine import Engine
from crm_graph.api.errors import UNAVAILABLE
from crm_graph.api.held import Held
from crm_graph.api.live.stream import Live
from crm_graph.api.transport.answers import STATUS, Stream, error_status, frame, respond
from crm_graph.api.transport.incoming import Incoming, Reply
from crm_graph.api.transport.negotiation import EVENT_STREAM, GRAPHQL_RESPONSE, JSON, choose
from crm_graph.db.outages import AWAY
from crm_graph.events.hub import FeedOverflow
from crm_graph.graph.running.execution import Operation
from crm_graph.idempotency.keys import read_header
from crm_graph.identity.cookies import CookieJar
from crm_graph.identity.origin import Origin
from crm_graph.identity.tokens import Claims
from crm_graph.kernel import spans
from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.errors import (
    BadUserInput,
    CredentialExpired,
    Forbidden,
    RateLimited,
    RequestError,
    Unauthenticated,
)

Header = tuple[bytes, bytes]
NO_CSRF_HEADER = "A request that shows a cookie must have the header `X-CRM-CSRF: 1`."
_PARAMETERS = ("query", "operationName", "documentId", "doc_id", "id", "onError")


class GraphQLEndpoint:
    """The handler of `/graphql`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.max_body_bytes = engine.settings.max_body_bytes
        self.shutting_down = asyncio.Event()
        self._origins = engine.origins
        self._credentials = engine.credentials
        self._streams = Held(engine.settings.max_streams_per_member)

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
        origin = request.header(b"origin")
        more: list[Header] = []
        try:
            if request.method == "OPTIONS":
                return await self._metered(request, self._preflight(request))
            response = await self._respond(request, more)
        except AWAY as error:  # while a credential or a document was looked up: all else has its own limit
            failure = GraphQLError(str(error), original_error=error)
            code = "TIMEOUT" if isinstance(error, TimeoutError) else UNAVAILABLE
            response = respond(self._engine.answers.refuse([failure], code), JSON)
        if origin is not None or self._origins.vary:
            more += self._origins.headers(origin, request.header(b"host"))
        if more:
            (response.headers if isinstance(response, Reply) else response.raw_headers).extend(more)
        return response

    def _preflight(self, request: Incoming) -> Reply:
        """Return the answer to a browser that asks before it sends; who asks what else there is gets a 405."""
        if request.header(b"access-control-request-method") is None:
            return Reply(b"Method Not Allowed", 405, "text/plain", {"Allow": "GET, HEAD, POST"})
        reply = Reply(b"", 204, "text/plain")
        names = request.header(b"access-control-request-headers")
        reply.headers = self._origins.preflight(request.header(b"origin"), request.header(b"host"), names)
        return reply

    async def _metered(self, request: Incoming, response: Reply | StreamingResponse) -> Reply | StreamingResponse:
        """Return the response to a request that asked for no operation; for one too many of them, that it is."""
        try:
            await self._engine.admission.meter(request.header(b"authorization"), self._origin(request).address)
        except RequestError as error:
            return self._refuse_entry(request, error, JSON, [])
        return response

    def _origin(self, request: Incoming) -> Origin:
        forwarded, agent = request.header(b"x-forwarded-for"), request.header(b"user-agent")
        return self._engine.proxies.origin(request.peer, forwarded, agent)

    async def ready(self) -> bool:
        """Return whether the database answers."""
        return await self._engine.database.answers()

    async def _respond(self, request: Incoming, more: list[Header]) -> Reply | StreamingResponse:
        """Return the response, and put into `more` the headers that go with it."""
        media = choose(request.header(b"accept"), (JSON, GRAPHQL_RESPONSE, EVENT_STREAM))
        if media is None:
            message = f"This endpoint answers {JSON}, {GRAPHQL_RESPONSE} and {EVENT_STREAM}."
            return await self._metered(request, Reply(message.encode(), 406, "text/plain"))
        try:
            return await self._run(request, await self._parse(request), media, more)
        except BadRequest as error:
            code = "PARSE_FAILED" if error.status == 400 else "BAD_USER_INPUT"
            answer = self._engine.answers.refuse([GraphQLError(error.message)], code)
            return await self._metered(request, respond(answer, media, error.status, error.headers))
        except ClientDisconnect:
            return Reply(b"", 499, "text/plain")

    async def _run(
        self, request: Incoming, parsed: GraphQLRequest, media: str, more: list[Header]
    ) -> Reply | StreamingResponse:
        engine, began = self._engine, time.perf_counter()
        origin = self._origin(request)
        jar = page = None
        try:
            jar = self._credentials.jar(request.values)
            if jar is None and media == EVENT_STREAM and request.method == "GET":
                page = self._credentials.of_stream(request.values)
            admitted = await self._admit(request, parsed, jar, page, origin)
            more += admitted.spending.headers()
        except RequestError as error:
            return self._refuse_entry(request, error, media, more)
        claims = admitted.claims
        try:
            operation = await engine.admission.operation(parsed, claims, admitted.spending)
        except DocumentError as error:
            return _refused(request, engine.answers.refuse(error.errors, error.code, claims=claims), media)
        except QuotaExceeded as error:
            more[:] = error.headers
            return _refused(request, engine.answers.refuse_error(error, claims=claims), media)
        except RequestError as error:
            return _refused(request, engine.answers.refuse_error(error, claims=claims), media)
        kind = operation.definition.operation
        if kind is OperationType.SUBSCRIPTION and media == EVENT_STREAM and request.method in {"GET", "POST"}:
            return await self._subscribe(request, parsed, operation, claims, origin)
        if request.method != "POST" and kind is not OperationType.QUERY:
            message = f"GET runs queries, and subscriptions as `Accept: {EVENT_STREAM}`: use POST."
            refusal = engine.answers.refuse([GraphQLError(message)], "BAD_USER_INPUT", claims=claims)
            return respond(refusal, media, 405, {"Allow": "POST"})
        if kind is OperationType.SUBSCRIPTION:
            message = f"Subscriptions run over WebSocket, or as `Accept: {EVENT_STREAM}`."
            refusal = engine.answers.refuse([GraphQLError(message)], "BAD_USER_INPUT", claims=claims)
            return respond(refusal, media, 406)
        if page is not None:
            return self._refuse_entry(request, Forbidden(NO_CSRF_HEADER), media, more)
        if kind is OperationType.MUTATION and (given := request.values(b"idempotency-key")):
            try:
                parsed = replace(parsed, idempotency_key=read_header(given))
            except BadUserInput as error:
                return respond(engine.answers.refuse_error(error, claims=claims), media, 400)
        parent = None if spans.tracer is None else request.header(b"traceparent")
        with request.watched():
            answer = await engine.execute(
                parsed, operation, claims, origin=origin, cookies=jar, began=began, parent=parent
            )
        if jar is not None:
            more += ((b"set-cookie", cookie.encode()) for cookie in jar.answer)
            more.append((b"cache-control", b"private, no-store"))
        return respond(answer, media)

    async def _admit(
        self, request: Incoming, parsed: GraphQLRequest, jar: CookieJar | None, page: str | None, origin: Origin
    ) -> Admitted:
        credential = self._credentials.shown(request.values, jar) or page
        try:
            return await self._engine.admission.admit(parsed, credential, origin.address)
        except Unauthenticated:
            if credential is None and jar is None and self._credentials.wants_header(request.values):
                raise Forbidden(NO_CSRF_HEADER) from None
            raise

    def _refuse_entry(
        self, request: Incoming, error: RequestError, media: str, more: list[Header]
    ) -> Reply | StreamingResponse:
        """Return the answer to a request that was not let in."""
        answer = self._engine.answers.refuse_error(error)
        if isinstance(error, QuotaExceeded):
            more += error.headers
        if isinstance(error, Unauthenticated):
            shown = request.header(b"authorization") is not None
            challenge = 'Bearer error="invalid_token"' if shown else "Bearer"
            return respond(answer, media, 401, {"WWW-Authenticate": challenge})
        return respond(answer, media, STATUS[error.code])

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
        self, request: Incoming, parsed: GraphQLRequest, operation: Operation, claims: Claims, origin: Origin
    ) -> Reply | StreamingResponse:
        if request.method == "GET":
            try:
                self._credentials.check_stream(request.values)
            except Forbidden as foreign:
                return _refused(request, self._engine.answers.refuse_error(foreign, claims=claims), EVENT_STREAM)
        if claims.expires_at <= self._engine.now():  # in the leeway of clocks: the stream would end at once
            error = CredentialExpired("The bearer token has expired: get a new one.")
            return _refused(request, self._engine.answers.refuse_error(error, claims=claims), EVENT_STREAM)
        resume = request.header(b"last-event-id")
        if resume is not None and LogCursor.decode(resume) is None:
            answer = self._engine.answers.refuse([GraphQLError("`Last-Event-ID` is not a cursor.")], "BAD_USER_INPUT")
            return _refused(request, answer, EVENT_STREAM)
        member = claims.workspace_id, claims.member_id
        if not self._streams.take(member):
            message = f"A member has at most {self._streams.most} streams at once: end one first."
            limited = RateLimited(message, self._engine.settings.heartbeat_ms // 1000 + 1)
            return _refused(request, self._engine.answers.refuse_error(limited, claims=claims), EVENT_STREAM)
        try:
            refusal, stream = await self._engine.subscribe(
                parsed, operation, lambda: claims, resume=resume, origin=origin
            )
        except BaseException:
            self._streams.give(member)
            raise
        if refusal is not None:
            self._streams.give(member)
            return _refused(request, refusal, EVENT_STREAM)
        return Stream(self._frames(stream, claims), lambda: self._streams.give(member))

    async def _frames(self, stream: Live, claims: Claims) -> AsyncIterator[bytes]:
        """Yield the frames of a subscription: `next` with the cursor as id, `complete`, and as heartbeats how far the
        stream has come: an id alone, which moves a client's `Last-Event-ID` and tells it no event.

        A token whose time is over ends the stream without `complete`: clients take that for a connection that broke,
        and come back with the token of then.
        """
        heartbeat = self._engine.settings.heartbeat_ms / 1000
        iterator = stream.__aiter__()
        yield f"id: {stream.cursor}\n\n".encode()
        pending = asyncio.ensure_future(anext(iterator, None))
        stopping = asyncio.ensure_future(self.shutting_down.wait())
        try:
            while True:
                remaining = (claims.expires_at - self._engine.now()).total_seconds()
                if remaining <= 0:
                    yield f"id: {stream.cursor}\n\n".encode()
                    return
                await asyncio.wait(
                    {pending, stopping}, timeout=min(heartbeat, remaining), return_when=asyncio.FIRST_COMPLETED
                )
                if pending.done():
                    item = pending.result()
                    if item is None:
                        break
                    yield frame("next", item[1], item[0])
                    pending = asyncio.ensure_future(anext(iterator, None))
                elif stopping.done():
                    yield f"id: {stream.cursor}\n\n".encode()
                    break
                else:
                    await self._engine.contexts.confirm(claims)
                    if pending.done():  # meanwhile: its cursor is not told before it is
                        continue
                    yield f"id: {stream.cursor}\n\n".encode()
        except RequestError as error:
            yield frame("next", self._engine.answers.refuse_error(error, claims=claims))
        except FeedOverflow:
            message = f'The connection was too slow. Resume with `after: "{stream.cursor}"`.'
            yield frame("next", self._engine.answers.refuse([GraphQLError(message)], "RATE_LIMITED", claims=claims))
        except Exception as error:  # the database is away, say
            errors = [GraphQLError(str(error), original_error=error)]
            yield frame("next", self._engine.answers.refuse(errors, "INTERNAL", claims=claims))
        finally:
            for task in (pending, stopping):
                task.cancel()
        yield b"event: complete\ndata: \n\n"


def _refused(request: Incoming, answer: Answer, media: str) -> Reply | StreamingResponse:
    """Return the answer to what is not executed. By GET it is an error for a stream too: an EventSource comes back for
    ever after a 200 that ends, and never after another status."""
    return respond(answer, media, error_status(answer) if request.method == "GET" and media == EVENT_STREAM else None)
