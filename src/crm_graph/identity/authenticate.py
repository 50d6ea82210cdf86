"""From a bearer token to the viewer of this very moment."""

from __future__ import annotations

from collections import OrderedDict
from typing import Protocol

from crm_graph.db.session import Guard, ReadSession
from crm_graph.identity.tokens import Claims, TokenAuthority
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.errors import Unauthenticated


class FindViewer(Protocol):
    """The directory, which lives with the members; identity knows no table."""

    async def __call__(self, session: ReadSession, workspace_id: str, member_id: str, /) -> Viewer | None:
        """Return the viewer for a member who may come in, as of now, or None."""
        ...


class ViewerGuard(Protocol):
    """The directory's condition that a viewer is still what it was."""

    def __call__(self, viewer: Viewer, /) -> Guard:
        """Return the condition."""
        ...


class Authenticator:
    """Checks tokens and looks their members up.

    A viewer that was looked up is remembered, and never trusted: whoever uses a remembered one lets its guard ride on
    the first statement, and reads it anew where that is not confirmed.
    """

    def __init__(
        self, authority: TokenAuthority, find_viewer: FindViewer, viewer_guard: ViewerGuard, remembered: int = 10_000
    ) -> None:
        self._authority = authority
        self._find_viewer = find_viewer
        self._remembered = remembered
        self._viewers: OrderedDict[tuple[str, str], Viewer] = OrderedDict()
        self.guard = viewer_guard

    def claims(self, authorization: str | None) -> Claims:
        """Return the claims of an `Authorization` value. Raises Unauthenticated."""
        if not authorization:
            raise Unauthenticated("Send a bearer token: `Authorization: Bearer <token>`.")
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("The Authorization must be `Bearer <token>`.")
        return self._authority.check(token.strip())

    def remembered(self, claims: Claims) -> Viewer | None:
        """Return the viewer as last looked up, to be confirmed, or None."""
        return self._viewers.get((claims.workspace_id, claims.member_id))

    async def confirm(self, viewer: Viewer, session: ReadSession) -> bool:
        """Return whether a viewer is, as of now, what it was."""
        return await self._find_viewer(session, viewer.workspace_id, viewer.member_id) == viewer

    async def viewer(self, claims: Claims, session: ReadSession) -> Viewer:
        """Return the member of the claims as a viewer. Raises Unauthenticated for a suspended or unknown member."""
        key = claims.workspace_id, claims.member_id
        viewer = await self._find_viewer(session, *key)
        if viewer is None:
            self._viewers.pop(key, None)
            raise Unauthenticated("The bearer token's member cannot sign in here.")
        self._viewers[key] = viewer
        self._viewers.move_to_end(key)
        if len(self._viewers) > self._remembered:
            self._viewers.popitem(last=False)
        return viewer
