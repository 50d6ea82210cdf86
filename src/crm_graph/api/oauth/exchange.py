"""One request to the authorization server: Authlib's synchronous calls over our asynchronous sessions.

Authlib calls back while it validates (`query_client`, `save_authorization_code`, ...). Each call blocks in a greenlet,
SQLAlchemy's way, while the coroutine it needs is awaited by the request's task: a switch of some microseconds. The
other way, to fetch beforehand whatever Authlib may ask for, would mean to understand the request before Authlib has
judged it.

A transaction opens with the first thing that needs one and commits when Authlib has its answer, refusals included: that
a code was used twice is written down although, and because, it is refused. Until then nothing is held, so that
operations with transactions of their own (a refresh, a key's last use) never wait for a second connection while they
hold a first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeVar

from sqlalchemy.util.concurrency import await_, greenlet_spawn

from crm_graph.api.oauth.issuer import Place
from crm_graph.api.oauth.limits import Limiter
from crm_graph.db.session import ReadSession, Session
from crm_graph.domains.identity.accounts.sessions import TokenPair
from crm_graph.domains.identity.authorizations.apps import App, command_line, find_app
from crm_graph.identity.origin import Origin
from crm_graph.identity.services import Services
from crm_graph.identity.tokens import CLIENT_PREFIX
from crm_graph.kernel.ids import decode_id

T = TypeVar("T")


class Exchange:
    """What the parts of one request share."""

    def __init__(self, services: Services, place: Place, origin: Origin, limiter: Limiter) -> None:
        self.services = services
        self.issuer = place.issuer
        self.address = place.address
        """Where this server's endpoints are."""
        self.origin = origin
        self.limiter = limiter
        self.started: TokenPair | None = None
        """The session that was started, if one was."""
        self._apps: dict[str, App | None] = {}
        self._stack: AsyncExitStack | None = None
        self._session: Session | None = None

    async def run(self, function: Callable[[], T]) -> T:
        """Run a function of Authlib's; what it writes is committed before its result is returned."""
        async with AsyncExitStack() as stack:
            self._stack = stack
            try:
                return await greenlet_spawn(function)
            finally:
                self._stack = self._session = None

    @staticmethod
    def wait(awaitable: Awaitable[T]) -> T:
        """Wait for a coroutine inside of `run`."""
        return await_(awaitable)

    def session(self) -> Session:
        """Return the session of this request's one transaction."""
        if self._session is None:
            assert self._stack is not None, "outside of `run`"
            self._session = self.wait(self._stack.enter_async_context(self.services.database.transaction()))
        return self._session

    def reader(self) -> ReadSession:
        """Return what reads on the primary: in the transaction, once there is one."""
        return self._session or self.services.database.primary_reader()

    async def app(self, client_id: str) -> App | None:
        """Return the client of a client id as requests spell it, or None. Asked once a request."""
        if client_id not in self._apps:
            self._apps[client_id] = await self._find(client_id)
        return self._apps[client_id]

    async def _find(self, client_id: str) -> App | None:
        waiting = command_line(client_id)
        if waiting is not None:
            return waiting if self.services.settings.command_line_client == "on" else None
        id_ = decode_id(CLIENT_PREFIX, client_id)
        return None if id_ is None else await find_app(self.reader(), id_)
