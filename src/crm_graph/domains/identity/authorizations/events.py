"""What happens between members and the apps that act for them. No event holds a code, a token, or a hash of one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AppAuthorized:
    """A member let an app act for them; `scope` are the scopes, separated by spaces."""

    app_id: str
    scope: str


@dataclass(frozen=True, slots=True)
class AppRevoked:
    """A member takes back what they let an app do; so many of its sessions were ended."""

    app_id: str
    sessions: int


@dataclass(frozen=True, slots=True)
class AuthorizationCodeReused:
    """An authorization code was shown a second time, so somebody has a copy: the session made from it was ended."""

    app_id: str
    session_id: str


@dataclass(frozen=True, slots=True)
class DeviceAnswered:
    """A member answered a device that asks to act for them."""

    app_id: str
    approved: bool


EVENTS = (AppAuthorized, AppRevoked, AuthorizationCodeReused, DeviceAnswered)
