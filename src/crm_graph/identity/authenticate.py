"""From a bearer token to the viewer of this very moment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from crm_graph.db.session import ReadSession
from crm_graph.identity.tokens import Claims, TokenAuthority
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.errors import Unauthenticated

FindViewer = Callable[[ReadSession, str, str], Awaitable[Viewer | None]]
"""The directory, which lives with the members; identity knows no table."""


class Authenticator:
    """Checks tokens and looks their members up, every time anew."""

    def __init__(self, authority: TokenAuthority, find_viewer: FindViewer) -> None:
        self._authority = authority
        self._find_viewer = find_viewer

    def claims(self, authorization: str | None) -> Claims:
        """Return the claims of an `Authorization` value. Raises Unauthenticated."""
        if not authorization:
            raise Unauthenticated("Send a bearer token: `Authorization: Bearer <token>`.")
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("The Authorization must be `Bearer <token>`.")
        return self._authority.check(token.strip())

    async def viewer(self, claims: Claims, session: ReadSession) -> Viewer:
        """Return the member of the claims as a viewer. Raises Unauthenticated for a suspended or unknown member."""
        viewer = await self._find_viewer(session, claims.workspace_id, claims.member_id)
        if viewer is None:
            raise Unauthenticated("The bearer token's member cannot sign in here.")
        return viewer
