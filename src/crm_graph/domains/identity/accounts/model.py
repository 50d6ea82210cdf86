"""How members come in: their sessions, and what proves who they are."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Base, Id, LongText, Paragraph, Row, indexed, refers
from crm_graph.db.placement import DISTRIBUTED, LOCAL
from crm_graph.domains.identity.accounts.enums import LinkPurpose, SessionKind, SignInMethod


class MemberSession(Row):
    """A signed-in session: what a refresh token or a browser's cookie continues, and what is revoked.

    `generation` counts the refresh tokens that were given out. Neither they nor hashes of them are kept: a token is an
    HMAC over the session, the generation and `salt`; a browser's cookie is one over the session and `salt`.
    """

    __tablename__ = "member_session"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("member_id", "member", on_delete="CASCADE"),
        refers("client_id", "api_client", on_delete="CASCADE"),
        indexed("member_session", "member_id"),
        indexed("member_session", "client_id"),
        CheckConstraint(
            f"method IN ({', '.join(repr(each.value) for each in SignInMethod)})",
            name="method",
        ),
        CheckConstraint(f"kind IN ({', '.join(repr(each.value) for each in SessionKind)})", name="kind"),
    )

    member_id: Mapped[Id]
    kind: Mapped[str] = mapped_column(server_default=SessionKind.TOKENS.value)
    client_id: Mapped[Id | None]
    signed_in_id: Mapped[Id | None]
    """The browser's sign-in that an app's session was made through: revoking that ends this one too."""
    identity_id: Mapped[Id | None]
    """The link of the provider's account by which the member came, where they came so."""
    scope: Mapped[Paragraph | None]
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


class Credential(Base):
    """How a member proves who they are without anybody else: a password, and a second factor.

    `generation` counts the changes of the password and of the second factor: links that were mailed under an older one
    are dead, and so is a sign-in that was checked against it.
    """

    __tablename__ = "credential"
    __placement__ = DISTRIBUTED
    __table_args__ = (refers("member_id", "member", on_delete="CASCADE"),)

    workspace_id: Mapped[Id] = mapped_column(primary_key=True)
    member_id: Mapped[Id] = mapped_column(primary_key=True)
    generation: Mapped[int] = mapped_column(server_default="0")
    password_hash: Mapped[str | None]
    """Argon2id in its own notation, parameters and salt included."""
    password_at: Mapped[datetime | None]
    email: Mapped[str | None]
    """The address under which the password was chosen, or last worked; who signs in without naming a workspace is
    looked for among those first whose address is still that one."""
    email_at: Mapped[datetime | None]
    """Since when there has been a password under that address, whichever: the oldest account comes first."""
    totp_secret: Mapped[str | None]
    """Sealed; set once a code has confirmed it."""
    totp_pending: Mapped[str | None]
    """Sealed; shown to the member and not confirmed yet."""
    totp_step: Mapped[int | None] = mapped_column(BigInteger)
    """The last time step whose code was used: neither it nor an older one is taken again."""


class RecoveryCode(Base):
    """A code that stands in for the second factor once. It is random, so a plain hash of it tells nothing."""

    __tablename__ = "recovery_code"
    __placement__ = DISTRIBUTED
    __table_args__ = (refers("member_id", "member", on_delete="CASCADE"),)

    workspace_id: Mapped[Id] = mapped_column(primary_key=True)
    member_id: Mapped[Id] = mapped_column(primary_key=True)
    sha256: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)


class MemberLink(Row):
    """A link that was mailed to a member, or given to who invited them: good once, for a while."""

    __tablename__ = "member_link"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("member_id", "member", on_delete="CASCADE"),
        indexed("member_link", "member_id"),
        CheckConstraint(f"purpose IN ({', '.join(repr(each.value) for each in LinkPurpose)})", name="purpose"),
    )

    member_id: Mapped[Id]
    purpose: Mapped[str]
    sha256: Mapped[bytes] = mapped_column(LargeBinary)
    generation: Mapped[int]
    """Of the credential when the link was made."""
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class Attempt(Base):
    """How often something was tried within a window of time, by whoever it was: before anybody is known, so it belongs
    to no workspace. Local (undistributed) on Citus. Written ahead like any table: after a crash, counters that start
    again from nothing would be what an attacker waits for."""

    __tablename__ = "attempt"
    __placement__ = LOCAL
    __table_args__ = (Index("ix_attempt_ends_at", "ends_at"),)

    subject: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    """A keyed hash of what is counted: the kind, and the account or the network of the address."""
    ends_at: Mapped[datetime] = mapped_column(primary_key=True)
    attempts: Mapped[int]


class Mail(Base):
    """A mail to be sent, or a request whose answer is a mail; gone once it is done. Local (undistributed) on Citus.

    `content` is sealed: it holds addresses, and links that let in.
    """

    __tablename__ = "mail"
    __placement__ = LOCAL
    __table_args__ = (Index("ix_mail_next_at", "next_at"),)

    workspace_id: Mapped[Id] = mapped_column(primary_key=True)
    """The nil id for a request that names no workspace."""
    id: Mapped[Id] = mapped_column(primary_key=True)
    kind: Mapped[str]
    content: Mapped[LongText]
    created_at: Mapped[datetime]
    next_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(server_default="0")
