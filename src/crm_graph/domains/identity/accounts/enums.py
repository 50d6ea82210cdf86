"""How members come in, what a session is held by, why it ended, and what a link is for."""

from __future__ import annotations

from enum import Enum


class SignInMethod(Enum):
    """How a member proved who they are."""

    PASSWORD = "PASSWORD"  # noqa: S105 - no password
    OIDC = "OIDC"
    INVITATION = "INVITATION"
    RESET = "RESET"
    OAUTH = "OAUTH"
    DEVICE = "DEVICE"
    OPERATOR = "OPERATOR"
    """Who runs the installation made it, on the command line."""


class SessionKind(Enum):
    """What a session is held by."""

    TOKENS = "TOKENS"
    """Access tokens, and mostly refresh tokens, of the API."""
    BROWSER = "BROWSER"
    """The cookie of the authorization server's own pages, which lets apps in without asking again."""


class RevokedReason(Enum):
    """Why a session ended before its time."""

    SIGNED_OUT = "SIGNED_OUT"
    BY_MEMBER = "BY_MEMBER"
    BY_ADMINISTRATOR = "BY_ADMINISTRATOR"
    REUSED = "REUSED"
    PASSWORD_CHANGED = "PASSWORD_CHANGED"  # noqa: S105 - no password
    PASSWORD_RESET = "PASSWORD_RESET"  # noqa: S105 - no password
    TOO_MANY = "TOO_MANY"
    CLIENT = "CLIENT"
    """The OAuth client, or what the member granted to it, was withdrawn."""
    SECOND_FACTOR = "SECOND_FACTOR"
    """A second factor was set or removed."""
    SUSPENDED = "SUSPENDED"
    PROVIDER = "PROVIDER"
    """The provider of identities by which the member came is not trusted any more, or not for this member."""


class LinkPurpose(Enum):
    """What a mailed link is for."""

    INVITATION = "INVITATION"
    RESET = "RESET"
