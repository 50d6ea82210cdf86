"""From a credential to the viewer of this very moment."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol, runtime_checkable

from crm_graph.db.session import Guard, ReadSession
from crm_graph.identity.tokens import Claims, TokenAuthority
from crm_graph.identity.viewer import Standing, Viewer
from crm_graph.kernel.errors import Unauthenticated


class Directory(Protocol):
    """Who is who, which lives with the members; identity knows no table."""

    async def find(self, session: ReadSession, claims: Claims, /) -> Viewer | None:
        """Return the viewer whom claims name, if they may come in, as of now, or None."""
        ...

    def guard(self, viewer: Viewer, /) -> Guard:
        """Return the condition that a viewer is still what it was."""
        ...

    def stands(self, viewer: Viewer, /) -> Guard:
        """Return the condition that nobody's rights in a viewer's workspace have moved."""
        ...

    async def unchanged(self, session: ReadSession, viewers: Sequence[Viewer], /) -> list[Viewer]:
        """Return those who are what they were: viewers of one workspace, read at one version of its directory."""
        ...


class Resolver(Protocol):
    """Knows a kind of credential that is no token of ours: an API key, a token of another issuer."""

    async def __call__(self, token: str, /) -> Claims | None:
        """Return the claims of a credential, or None if it is of another kind. Raises Unauthenticated."""
        ...


@runtime_checkable
class Remembering(Protocol):
    """A resolver that remembers the credentials it verified."""

    def known(self, token: str, /) -> Claims | None:
        """Return the claims of a credential that was verified before and is not over, without any effort, or None."""
        ...


class Authenticator:
    """Checks credentials and looks their members up.

    A viewer that was looked up is remembered, and never trusted: whoever uses a remembered one lets its guard ride on
    the first statement, and reads it anew where that is not confirmed.
    """

    def __init__(
        self,
        authority: TokenAuthority,
        directory: Directory,
        resolvers: Sequence[Resolver] = (),
        remembered: int = 10_000,
    ) -> None:
        self._authority = authority
        self._directory = directory
        self._resolvers = resolvers
        self._remembering = [authority, *(resolver for resolver in resolvers if isinstance(resolver, Remembering))]
        self._remembered = remembered
        self._viewers: OrderedDict[tuple[Any, ...], Viewer] = OrderedDict()

    def known(self, authorization: str | None) -> Claims | None:
        """Return the claims of a credential that was verified before and is not over, without any effort, or None."""
        token = _bearer(authorization) if authorization else None
        if token is not None:
            for memory in self._remembering:
                claims = memory.known(token)
                if claims is not None:
                    return claims
        return None

    async def authenticate(self, authorization: str | None) -> Claims:
        """Return the claims of an `Authorization` value. Raises Unauthenticated."""
        if not authorization:
            raise Unauthenticated("Send a bearer token: `Authorization: Bearer <token>`.")
        token = _bearer(authorization)
        if token is None:
            raise Unauthenticated("The Authorization must be `Bearer <token>`.")
        known = self._authority.known(token)
        if known is not None:
            return known
        for resolve in self._resolvers:
            claims = await resolve(token)
            if claims is not None:
                return claims
        return self._authority.check(token)

    def guard(self, viewer: Viewer) -> Guard:
        """Return the condition that a viewer is still what it was."""
        return self._directory.guard(viewer)

    def stands(self, viewer: Viewer) -> Guard:
        """Return the condition that nobody's rights in a viewer's workspace have moved."""
        return self._directory.stands(viewer)

    async def unchanged(self, session: ReadSession, viewers: Iterable[Viewer]) -> set[Standing]:
        """Return the standings that hold: of viewers of one workspace, read at one version of its directory."""
        asked = {viewer.standing: viewer for viewer in viewers}
        confirmed = await self._directory.unchanged(session, list(asked.values())) if asked else []
        return {viewer.standing for viewer in confirmed}

    def remembered(self, claims: Claims) -> Viewer | None:
        """Return the viewer as last looked up, to be confirmed, or None."""
        return self._viewers.get(claims.principal)

    async def look_up(self, workspace_id: str, session: ReadSession, member_id: str) -> Viewer | None:
        """Return a member of a workspace as a viewer, or None for one who cannot sign in."""
        return await self._directory.find(session, Claims(workspace_id, member_id, datetime.max.replace(tzinfo=UTC)))

    async def viewer(self, claims: Claims, session: ReadSession) -> Viewer:
        """Return the viewer of the claims. Raises Unauthenticated where a member is suspended or unknown, a session or
        a key revoked, or a client gone."""
        if claims.is_anonymous:
            return Viewer.anonymous()
        key = claims.principal
        viewer = await self._directory.find(session, claims)
        if viewer is None:
            self._viewers.pop(key, None)
            raise Unauthenticated("The credential was revoked, or its member cannot sign in here any more.")
        self._viewers[key] = viewer
        self._viewers.move_to_end(key)
        if len(self._viewers) > self._remembered:
            self._viewers.popitem(last=False)
        return viewer


def _bearer(authorization: str) -> str | None:
    """Return the token of an `Authorization` value; None for one that is no bearer token."""
    scheme, _, token = authorization.strip().partition(" ")
    token = token.strip()
    return token if scheme.lower() == "bearer" and token else None
