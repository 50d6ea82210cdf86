"""GraphQL over WebSocket: the `graphql-transport-ws` protocol, queries and mutations included.

Ours, because the stock handler dies on frames of `null` or deep JSON and has no hook for the token's expiry. The close
codes are the protocol's: 4400 invalid message, 4401 unauthorized or revoked, 4403 forbidden or expired, 4408 no init in
time, 4409 id in use, 4429 too many inits, messages or connections. An operation too many is an `error` of its id, and
the connection goes on; a client that does not take such errors is not read meanwhile, so that none of them pile up.

Clients take 4401 for final and come back after 4403, asking their application for a token again. So a token whose time
is over is 4403, in mid-stream or at the start; one that never was good, or was taken back, is 4401.

A token is renewed in place: `{"type": "ping", "payload": {"authorization": "Bearer ..."}}` with a token of the same
member, workspace and client is answered by `{"type": "pong", "payload": {"expiresAt": ...}}`, and what runs goes on
under it. Another member's is 4403, one that is no good 4401, one that is over 4403.

A heartbeat says how far each subscription has come: `{"type": "ping", "payload": {"cursors": {"<id>": "<cursor>"}}}`.
One is sent when a subscription starts and one before the server leaves, so that a client that never received an event
can go on elsewhere with `after` and miss nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import orjson
from graphql import GraphQLError, OperationType
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from crm_graph.api.admission.credentials import authorization as authorization_of
from crm_graph.api.admission.rates import network_of
from crm_graph.api.body import Answer, BadOnError, BadRequest, GraphQLRequest, parse_json, parse_request
from crm_graph.api.documents.cache import DocumentError
from crm_graph.api.engine import Engine
from crm_graph.api.held import Held
from crm_graph.api.live.stream import Live
from crm_graph.db.outages import AWAY, OUTAGES, is_away
from crm_graph.events.hub import FeedOverflow
from crm_graph.graph.running.execution import Operation
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.errors import BadUserInput, CredentialExpired, RateLimited, RequestError, Unauthenticated

PROTOCOL = "graphql-transport-ws"
MAX_REASON_BYTES = 120
MAX_ID_LENGTH = 100
EXPIRED = "The bearer token has expired"
_AWAY = "The database is away right now: try again in a moment"


class _Close(Exception):
    """Raised to end the connection with a close code of the protocol."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class WebSocketEndpoint:
    """The WebSocket side of `/graphql`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connections: set[_Connection] = set()
        self._by_address = Held(engine.settings.max_sockets_per_address)
        self._by_member = Held(engine.settings.max_sockets_per_member)

    async def __call__(self, websocket: WebSocket) -> None:
        """Serve one connection."""
        origins = websocket.headers.getlist("origin")
        origin = origins[0] if origins else None
        if len(origins) > 1 or not self._engine.origins.is_allowed(origin, websocket.headers.get("host")):
            await websocket.close(4403, "Forbidden origin")
            return
        if PROTOCOL not in websocket.scope.get("subprotocols", ()):
            await websocket.accept()
            await websocket.close(4406, "Subprotocol not acceptable: use graphql-transport-ws")
            return
        await websocket.accept(PROTOCOL)
        connection = _Connection(self._engine, websocket, self._by_member)
        holder = network_of(connection.origin.address)
        if not self._by_address.take(holder):
            await connection.close(4429, "Too many connections from this address")
            return
        self._connections.add(connection)
        try:
            await connection.serve()
        finally:
            self._by_address.give(holder)
            self._connections.discard(connection)

    async def drain(self) -> None:
        """Complete all subscriptions and close with 1001, so that clients move over to another process."""
        await asyncio.gather(*(connection.leave() for connection in list(self._connections)))


class _Connection:
    def __init__(self, engine: Engine, websocket: WebSocket, by_member: Held) -> None:
        self._engine = engine
        self._socket = websocket
        self._claims: Claims | None = None
        self._by_member = by_member
        self._holder: tuple[str, str] | None = None
        peer = websocket.client.host if websocket.client is not None else None
        headers = websocket.headers
        self.origin = engine.proxies.origin(peer, headers.get("x-forwarded-for"), headers.get("user-agent"))
        self._initialised = False
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._live: dict[str, Live] = {}
        self._send_lock = asyncio.Lock()
        self._expiry: asyncio.Task[None] | None = None
        self._heartbeat: asyncio.Task[None] | None = None

    async def serve(self) -> None:
        try:
            await self._receive()
        except _Close as close:
            await self.close(close.code, close.reason)
        except WebSocketDisconnect:
            pass
        except Exception as error:
            if is_away(error):
                OUTAGES.tell(error)
                await self.close(1013, _AWAY)
                return
            self._engine.answers.refuse([GraphQLError(str(error), original_error=error)], "INTERNAL")
            await self.close(1011, "Something went wrong here: reconnect")
        finally:
            if self._holder is not None:
                self._by_member.give(self._holder)
            tasks = [*self._tasks.values(), *(task for task in (self._expiry, self._heartbeat) if task is not None)]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def leave(self) -> None:
        """Tell the client where to go on, complete what runs, and close: it moves over to another process."""
        try:
            await self._tell_cursors()
            for id_ in list(self._live):
                await self._send({"type": "complete", "id": id_})
        except (WebSocketDisconnect, RuntimeError):  # the client has left
            return
        await self.close(1001, "Going away: reconnect")

    async def close(self, code: int, reason: str) -> None:
        if self._socket.application_state is not WebSocketState.DISCONNECTED:
            try:
                await self._socket.close(code, reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore"))
            except RuntimeError:  # closed by the other side meanwhile
                return

    async def _receive(self) -> None:
        init_timeout = self._engine.settings.connection_init_ms / 1000
        deadline = asyncio.get_running_loop().time() + init_timeout
        while True:
            timeout = None if self._initialised else max(0.0, deadline - asyncio.get_running_loop().time())
            try:
                message = await asyncio.wait_for(self._socket.receive(), timeout)
            except TimeoutError:
                raise _Close(4408, "Connection initialisation timeout") from None
            if message["type"] == "websocket.disconnect":
                return
            message = self._parse(message)  # whose text is not kept
            await self._handle(message)

    def _parse(self, message: Mapping[str, Any]) -> dict[str, Any]:
        text = message.get("text")
        if text is None:
            raise _Close(4400, "Binary messages are not part of the protocol")
        if len(text) > self._engine.settings.max_body_bytes:
            raise _Close(4400, f"The message is longer than {self._engine.settings.max_body_bytes} characters")
        try:
            value = parse_json(text, self._engine.settings.max_json_depth)
        except BadRequest:
            raise _Close(4400, "The message is not JSON, or is nested too deep") from None
        if not isinstance(value, dict) or not isinstance(value.get("type"), str):
            raise _Close(4400, "The message must be an object with a `type`")
        return value

    async def _handle(self, message: dict[str, Any]) -> None:
        match message["type"]:
            case "connection_init":
                await self._init(message.get("payload"))
            case "ping":
                await self._ping(message.get("payload"))
            case "pong":
                pass
            case "subscribe":
                await self._subscribe(message)
            case "complete":
                task = self._tasks.pop(self._id(message), None)
                if task is not None:
                    task.cancel()
            case _:
                raise _Close(4400, "The message has an unknown `type`")

    async def _init(self, payload: Any) -> None:
        """Authenticate by the payload's `Authorization`, else by the header of the handshake."""
        if self._initialised:
            raise _Close(4429, "Too many initialisation requests")
        if payload is not None and not isinstance(payload, dict):
            raise _Close(4400, "The payload of connection_init must be an object")
        given = payload or {}
        authorization = given.get("Authorization") or given.get("authorization")
        self._claims = claims = await self._authenticate(authorization or self._of_handshake())
        holder = claims.workspace_id, claims.member_id
        if not self._by_member.take(holder):
            raise _Close(4429, f"A member has at most {self._by_member.most} connections")
        self._holder = holder
        self._initialised = True
        await self._send({"type": "connection_ack"})
        self._expiry = asyncio.create_task(self._expire(claims))
        self._heartbeat = asyncio.create_task(self._beat())

    def _of_handshake(self) -> str | None:
        """Return the credential of the handshake: its header, else its cookie where there may be one."""
        headers = self._socket.headers

        def values(name: bytes) -> list[str]:
            return headers.getlist(name.decode())

        try:
            return authorization_of(values) or self._engine.credentials.of_handshake(values)
        except Unauthenticated as error:
            raise _Close(4401, error.message) from None

    async def _authenticate(self, authorization: Any) -> Claims:
        """Return the claims of a credential whose member may come in now."""
        try:
            if not isinstance(authorization, str):
                raise Unauthenticated("Send `Authorization: Bearer <token>` in the payload of connection_init.")
            claims = await self._engine.admission.authenticate(authorization, self.origin.address)
            if claims.expires_at <= self._engine.now():  # in the leeway of clocks: let in, it would be out at once
                raise CredentialExpired(EXPIRED)
            await self._engine.contexts.confirm(claims)
        except Unauthenticated as error:
            raise _Close(_code_of(error), error.message) from None
        except RateLimited as error:
            raise _Close(4429, error.message) from None
        except AWAY as error:
            OUTAGES.tell(error)
            raise _Close(1013, _AWAY) from None
        return claims

    async def _ping(self, payload: Any) -> None:
        """Answer a ping; one with an `authorization` renews the token of the connection, and of all that runs on it."""
        given = payload.get("Authorization") or payload.get("authorization") if isinstance(payload, dict) else None
        if given is None:
            await self._send({"type": "pong"})
            return
        if self._claims is None or self._expiry is None:
            raise _Close(4401, "Unauthorized")
        claims, before = await self._authenticate(given), self._claims
        if (claims.workspace_id, claims.member_id, claims.client_id) != (
            before.workspace_id,
            before.member_id,
            before.client_id,
        ):
            raise _Close(4403, "The token must be of the same member, workspace and client")
        self._claims = claims
        self._expiry.cancel()
        self._expiry = asyncio.create_task(self._expire(claims))
        await self._send({"type": "pong", "payload": {"expiresAt": claims.expires_at.isoformat()}})

    def _current(self) -> Claims:
        assert self._claims is not None
        return self._claims

    async def _expire(self, claims: Claims) -> None:
        await asyncio.sleep(max(0.0, (claims.expires_at - self._engine.now()).total_seconds()))
        await self.close(4403, EXPIRED)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._engine.settings.heartbeat_ms / 1000)
            claims = self._current()
            try:
                await self._engine.contexts.confirm(claims)
            except Unauthenticated as error:
                if claims is self._claims:  # else it was renewed meanwhile
                    await self.close(_code_of(error), error.message)
                    return
            await self._tell_cursors()

    async def _tell_cursors(self) -> None:
        """Send a ping that says where each subscription would go on, also where there was nothing for it."""
        cursors = {id_: live.cursor for id_, live in self._live.items()}
        await self._send({"type": "ping", "payload": {"cursors": cursors}} if cursors else {"type": "ping"})

    def _id(self, message: dict[str, Any]) -> str:
        id_ = message.get("id")
        if not isinstance(id_, str) or not 0 < len(id_) <= MAX_ID_LENGTH:
            raise _Close(4400, f"The message must have an `id` of 1 to {MAX_ID_LENGTH} characters")
        return id_

    async def _subscribe(self, message: dict[str, Any]) -> None:
        """Start an operation. One that is refused for how it is asked for is refused here and not in a task of its own:
        the next message is read once the client could be told."""
        if self._claims is None:
            raise _Close(4401, "Unauthorized")
        id_ = self._id(message)
        if id_ in self._tasks:
            raise _Close(4409, f"Subscriber for {id_} already exists")
        most = self._engine.settings.max_subscriptions
        asked: GraphQLRequest | RequestError
        if len(self._tasks) >= most:
            asked = RateLimited(f"At most {most} operations run on one connection: complete one first.", 1)
        else:
            asked = _asked(message.get("payload"))
        if isinstance(asked, RequestError):
            message.clear()  # not kept while its refusal waits
            await self._run(id_, asked)
        else:
            self._tasks[id_] = asyncio.create_task(self._run(id_, asked))

    async def _run(self, id_: str, request: GraphQLRequest | RequestError) -> None:
        """Run an operation to its end; one that is an error already is counted as all are, and refused."""
        claims, began = self._current(), time.perf_counter()
        try:
            try:
                spending = await self._engine.admission.spend_request(claims)
                if isinstance(request, RequestError):
                    raise request
                operation = await self._engine.admission.operation(request, claims, spending)
            except DocumentError as error:
                await self._error(id_, self._engine.answers.refuse(error.errors, error.code, claims=claims))
                return
            if operation.definition.operation is OperationType.SUBSCRIPTION:
                await self._stream(id_, request, operation)
            else:
                answer = await self._engine.execute(request, operation, claims, origin=self.origin, began=began)
                await (self._error(id_, answer) if answer.request_error else self._next(id_, answer))
                if not answer.request_error:
                    await self._send({"type": "complete", "id": id_})
        except Unauthenticated as error:
            await self.close(_code_of(error), error.message)
        except RequestError as error:
            await self._error(id_, self._engine.answers.refuse_error(error, claims=claims))
        except (WebSocketDisconnect, RuntimeError):  # the client has left
            return
        except Exception as error:  # the database is away, say: an operation never ends in silence
            errors = [GraphQLError(str(error), original_error=error)]
            answer = self._engine.answers.refuse(errors, "INTERNAL", claims=claims)
            await self._error(id_, answer)
        finally:
            if self._tasks.get(id_) is asyncio.current_task():
                del self._tasks[id_]

    async def _stream(self, id_: str, request: GraphQLRequest, operation: Operation) -> None:
        refusal, stream = await self._engine.subscribe(request, operation, self._current, origin=self.origin)
        if refusal is not None:
            await self._error(id_, refusal)
            return
        self._live[id_] = stream
        try:
            await self._tell_cursors()
            async for _, answer in stream:
                await self._next(id_, answer)
        except FeedOverflow:
            message = f'The connection was too slow. Resume with `after: "{stream.cursor}"`.'
            await self._error(
                id_, self._engine.answers.refuse([GraphQLError(message)], "RATE_LIMITED", claims=self._claims)
            )
            return
        finally:
            if self._live.get(id_) is stream:
                del self._live[id_]
        await self._send({"type": "complete", "id": id_})

    async def _next(self, id_: str, answer: Answer) -> None:
        await self._send({"type": "next", "id": id_, "payload": orjson.Fragment(answer.json())})

    async def _error(self, id_: str, answer: Answer) -> None:
        await self._send({"type": "error", "id": id_, "payload": answer.body["errors"]})

    async def _send(self, message: dict[str, Any]) -> None:
        async with self._send_lock:
            await self._socket.send_text(orjson.dumps(message).decode())


def _asked(payload: Any) -> GraphQLRequest | BadUserInput:
    """Return the request that a payload is, or what is wrong with its `onError`: that is no part of the protocol, and
    no reason to close the connection. Raises _Close for a payload that the protocol does not let pass."""
    try:
        return parse_request(payload)
    except BadOnError as error:
        return BadUserInput(error.message)
    except BadRequest as error:
        raise _Close(4400, error.message) from None


def _code_of(error: Unauthenticated) -> int:
    """Return the close code of a credential that is not accepted, or not any more."""
    return 4403 if isinstance(error, CredentialExpired) else 4401
