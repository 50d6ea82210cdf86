"""What happens to the accounts of members. No event holds a password, a token, a code, or a hash of one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A member signed in: a session started."""

    session_id: str
    method: str


@dataclass(frozen=True, slots=True)
class SessionRevoked:
    """A session was ended: its tokens stop working with the next request."""

    session_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class SessionsRevoked:
    """All sessions of a member were ended, or all but one."""

    sessions: int
    reason: str


@dataclass(frozen=True, slots=True)
class SignedOut:
    """A session was ended by its own refresh token."""

    session_id: str


@dataclass(frozen=True, slots=True)
class RefreshTokenReused:
    """A refresh token was shown a second time, so somebody has a copy: its session was ended."""

    session_id: str
    generation: int


EVENTS = (SignedIn, SignedOut, SessionRevoked, SessionsRevoked, RefreshTokenReused)
