"""What happens between members and the apps that act for them. No event holds a code, a token, or a hash of one."""

from __future__ import annotations

from crm_graph.events.effects import Mentions


class AppAuthorized(Mentions):
    """A member let an app act for them; `scope` are the scopes, separated by spaces."""

    app_id: str
    scope: str


class AppRevoked(Mentions):
    """A member takes back what they let an app do; so many of its sessions were ended."""

    app_id: str
    sessions: int


class AuthorizationCodeReused(Mentions):
    """An authorization code was shown a second time, so somebody has a copy: the session made from it was ended."""

    app_id: str
    session_id: str


class DeviceAnswered(Mentions):
    """A member answered a device that asks to act for them."""

    app_id: str
    approved: bool


EVENTS = (AppAuthorized, AppRevoked, AuthorizationCodeReused, DeviceAnswered)
