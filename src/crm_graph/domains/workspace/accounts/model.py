"""How members come in: their sessions."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from sqlalchemy import CheckConstraint, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Id, Row, indexed, refers


class SignInMethod(Enum):
    """How a member proved who they are."""

    PASSWORD = "PASSWORD"  # noqa: S105 - no password
    OIDC = "OIDC"
    INVITATION = "INVITATION"
    RESET = "RESET"
    OAUTH = "OAUTH"
    DEVICE = "DEVICE"


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


class MemberSession(Row):
    """A signed-in session: what a refresh token continues, and what is revoked.

    `generation` counts the refresh tokens that were given out. Neither they nor hashes of them are kept: a token is an
    HMAC over the session, the generation and `salt`.
    """

    __tablename__ = "member_session"
    __table_args__ = (
        refers("member_id", "member", on_delete="CASCADE"),
        refers("client_id", "api_client", on_delete="CASCADE"),
        indexed("member_session", "member_id"),
        indexed("member_session", "client_id"),
        CheckConstraint(
            f"method IN ({', '.join(repr(each.value) for each in SignInMethod)})",
            name="method",
        ),
    )

    member_id: Mapped[Id]
    client_id: Mapped[Id | None]
    scope: Mapped[str | None]
    """The OAuth scopes, separated by spaces; None where it is not bound to any."""
    method: Mapped[str]
    last_used_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    address: Mapped[str | None]
    user_agent: Mapped[str | None]
    revoked_at: Mapped[datetime | None]
    revoked_reason: Mapped[str | None]
    generation: Mapped[int] = mapped_column(server_default="1")
    salt: Mapped[bytes] = mapped_column(LargeBinary)
