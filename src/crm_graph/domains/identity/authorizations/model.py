"""What the authorization server keeps: codes on their way, devices that wait, and what members consented to.

Codes are random and kept as SHA-256 alone. What was used stays for a while, so that a second use is noticed.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Base, Id, Paragraph, Row, Url, indexed, refers, unique
from crm_graph.db.placement import DISTRIBUTED, LOCAL
from crm_graph.db.sizes import SizedText


class AuthorizationCode(Row):
    """A code that a browser carries from us to a client, good once, for a minute, and for that client alone."""

    __tablename__ = "authorization_code"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("client_id", "api_client", on_delete="CASCADE"),
        refers("member_id", "member", on_delete="CASCADE"),
        unique("sha256"),
        indexed("authorization_code", "client_id"),
        indexed("authorization_code", "member_id"),
        indexed("authorization_code", "expires_at"),
    )

    client_id: Mapped[Id]
    member_id: Mapped[Id]
    sha256: Mapped[str]
    redirect_uri: Mapped[Url]
    scope: Mapped[Paragraph]
    nonce: Mapped[str | None] = mapped_column(SizedText(512))
    code_challenge: Mapped[str]
    """PKCE's, of method S256: there is no other."""
    auth_time: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    session_id: Mapped[Id | None]
    """The session that was made from it, to be ended when it is shown again."""
    signed_in_id: Mapped[Id | None]
    """The browser's sign-in that it came from: it is good while that lives."""


class DeviceCode(Base):
    """A device without a browser that waits for a member to let it in (RFC 8628).

    Of no workspace, and local (undistributed) on Citus: whoever asks is nobody yet, and writes nothing into one.
    """

    __tablename__ = "device_code"
    __placement__ = LOCAL
    __table_args__ = (
        UniqueConstraint("sha256"),
        UniqueConstraint("user_code"),
        Index("ix_device_code_expires_at", "expires_at"),
        CheckConstraint("approved IS NULL OR member_id IS NOT NULL AND workspace_id IS NOT NULL", name="answered_by"),
        CheckConstraint("client_id IS NOT NULL OR asked_as IS NOT NULL", name="asked_by"),
    )

    id: Mapped[Id] = mapped_column(primary_key=True)
    workspace_id: Mapped[Id | None]
    """Of its client, or of the member who answered; None for the command line while nobody has."""
    client_id: Mapped[Id | None]
    asked_as: Mapped[str | None]
    """The command line's client id as it was sent, which names no row; None for any other client."""
    sha256: Mapped[str]
    user_code: Mapped[str]
    """What the member types, in letters without vowels; good for nothing but to be shown what asks."""
    scope: Mapped[Paragraph]
    expires_at: Mapped[datetime]
    interval_seconds: Mapped[int]
    """How long the device waits between two questions; longer each time that it does not."""
    polled_at: Mapped[datetime | None]
    member_id: Mapped[Id | None]
    approved: Mapped[bool | None]
    auth_time: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    signed_in_id: Mapped[Id | None]
    """The browser's sign-in by which it was answered: a yes is good while that lives."""
    version: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Consent(Row):
    """What a member lets a client do for them, so that they are not asked again."""

    __tablename__ = "consent"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("member_id", "member", on_delete="CASCADE"),
        refers("client_id", "api_client", on_delete="CASCADE"),
        unique("member_id", "client_id"),
        indexed("consent", "client_id"),
    )

    member_id: Mapped[Id]
    client_id: Mapped[Id]
    scope: Mapped[Paragraph]
    """The scopes, in order, separated by spaces."""
