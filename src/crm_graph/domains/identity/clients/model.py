"""API clients, and the documents that are trusted for one of them or for all."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index, false
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Base, Id, RoleNames, Row, indexed, refers, unique
from crm_graph.db.placement import DISTRIBUTED
from crm_graph.db.rules import between
from crm_graph.db.sizes import SizedList, SizedText
from crm_graph.domains.identity.clients.enums import ClientKind, DocumentMode


class ApiClient(Row):
    """A program that uses the API: a web application, a mobile one, an integration.

    It acts for the members who signed in with it, and by itself as `member_id`, a member of kind SERVICE.
    """

    __tablename__ = "api_client"
    __placement__ = DISTRIBUTED
    __few__ = True
    __table_args__ = (
        refers("workspace_id", "workspace"),
        refers("member_id", "member"),
        unique("name"),
        indexed("api_client", "member_id"),
        Index("ix_api_client_id", "id"),  # OAuth names a client by its id alone
        CheckConstraint("document_mode IN ('OPEN', 'WARN', 'TRUSTED_ONLY')", name="document_mode"),
        CheckConstraint("kind IN ('CONFIDENTIAL', 'PUBLIC')", name="kind"),
        CheckConstraint("on_error IN ('NULL', 'PROPAGATE', 'HALT')", name="on_error"),
        between("requests_per_minute", above=0),
        between("cost_per_minute", above=0),
    )

    name: Mapped[str]
    document_mode: Mapped[str] = mapped_column(server_default=DocumentMode.OPEN.value)
    kind: Mapped[str] = mapped_column(server_default=ClientKind.CONFIDENTIAL.value)
    member_id: Mapped[Id | None]
    """Whom it acts as by itself, with an API key or by client credentials; None: only for members."""
    roles: Mapped[RoleNames | None]
    """The roles that it may use, of those that whom it acts for has; None: all of them."""
    redirect_uris: Mapped[list[str]] = mapped_column(SizedList(20, 1_000), server_default="{}")
    first_party: Mapped[bool] = mapped_column(server_default=false())
    """Whether it is the workspace's own: then members are not asked for their consent."""
    requests_per_minute: Mapped[int | None]
    cost_per_minute: Mapped[int | None]
    on_error: Mapped[str | None]
    """Null is PROPAGATE, which is GraphQL's own."""


class ApiKey(Row):
    """A key of a client, of which only a hash is kept; `prefix` is what people tell keys apart by."""

    __tablename__ = "api_key"
    __placement__ = DISTRIBUTED
    __few__ = True
    __table_args__ = (
        refers("client_id", "api_client", on_delete="CASCADE"),
        unique("sha256"),
        indexed("api_key", "client_id"),
    )

    client_id: Mapped[Id]
    name: Mapped[str]
    prefix: Mapped[str]
    sha256: Mapped[str]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]


class TrustedDocument(Row):
    """A document that may be run by its id. Without a client, every client of the workspace may run it.

    `schema_sha256` names the schema that it was found valid against: under another one it is validated anew.
    """

    __tablename__ = "trusted_document"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("workspace_id", "workspace"),
        refers("client_id", "api_client", on_delete="CASCADE"),
        Index(
            "uq_trusted_document_sha256",
            "workspace_id",
            "sha256",
            "client_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
        indexed("trusted_document", "client_id"),
    )

    client_id: Mapped[Id | None]
    sha256: Mapped[str]
    source: Mapped[str] = mapped_column(SizedText(80_000))
    operations: Mapped[list[str]] = mapped_column(SizedList(1_000))
    schema_sha256: Mapped[str]


class TrustedDocumentAlias(Base):
    """Another id of a trusted document, that a tool made: Relay's MD5, an id of Apollo's manifest."""

    __tablename__ = "trusted_document_alias"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        ForeignKeyConstraint(
            ["workspace_id", "document_id"],
            ["trusted_document.workspace_id", "trusted_document.id"],
            ondelete="CASCADE",
        ),
        Index(
            "uq_trusted_document_alias_name",
            "workspace_id",
            "name",
            "client_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
    )

    workspace_id: Mapped[Id] = mapped_column(primary_key=True)
    document_id: Mapped[Id] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    client_id: Mapped[Id | None]
    """The document's own client, repeated so that an id names one document of a client."""
