"""Identity providers of a workspace, and which of their accounts is which member."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, false, text, true
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Id, LongText, RoleNames, Row, indexed, refers, unique
from crm_graph.db.placement import DISTRIBUTED
from crm_graph.db.sizes import SizedJson, SizedList, SizedText


class IdentityProvider(Row):
    """An OpenID Connect issuer that a workspace trusts, and how far.

    The issuer never changes: the accounts linked to it are known by its subjects, which are nothing at another one.
    """

    __tablename__ = "identity_provider"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("workspace_id", "workspace"),
        unique("name"),
        # Found before anybody knows the workspace: by the id in an address, by the issuer of a token.
        Index("ix_identity_provider_id", "id"),
        Index("ix_identity_provider_issuer", "issuer", postgresql_where=text("enabled AND accept_tokens")),
    )

    name: Mapped[str]
    issuer: Mapped[str]
    client_id: Mapped[str]
    """As which we are registered there; no API client of ours."""
    scopes: Mapped[list[str]] = mapped_column(SizedList(50))
    enabled: Mapped[bool] = mapped_column(server_default=true())
    accept_tokens: Mapped[bool] = mapped_column(server_default=false())
    audiences: Mapped[list[str]] = mapped_column(SizedList(50), server_default="{}")
    required: Mapped[list[dict[str, Any]]] = mapped_column(SizedJson(64 * 1024), server_default=text("'[]'"))
    """The conditions that everybody's claims must meet; see `rules.Condition`."""
    rules: Mapped[list[dict[str, Any]]] = mapped_column(SizedJson(64 * 1024), server_default=text("'[]'"))
    """See `rules.Rule`."""
    email_domains: Mapped[list[str]] = mapped_column(SizedList(50), server_default="{}")
    default_roles: Mapped[RoleNames] = mapped_column(server_default="{}")
    allow_sign_up: Mapped[bool] = mapped_column(server_default=false())
    sync_roles: Mapped[bool] = mapped_column(server_default=false())


class ProviderSecret(Row):
    """The sealed client secret of a provider, `id` being the provider's: no image of a provider's row ever holds it."""

    __tablename__ = "identity_provider_secret"
    __placement__ = DISTRIBUTED
    __table_args__ = (refers("id", "identity_provider", on_delete="CASCADE"),)

    sealed: Mapped[LongText]


class MemberIdentity(Row):
    """That a subject of a provider is a member."""

    __tablename__ = "member_identity"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("provider_id", "identity_provider"),
        refers("member_id", "member"),
        unique("provider_id", "subject"),
        unique("provider_id", "member_id"),
        indexed("member_identity", "member_id"),
        indexed("member_identity", "provider_id"),
    )

    provider_id: Mapped[Id]
    subject: Mapped[str] = mapped_column(SizedText(255))
    member_id: Mapped[Id]
    proved_at: Mapped[datetime | None]
    """When the subject first signed in by it: until then it is an administrator's word alone. Never in an event."""
