"""API clients, and the documents that are trusted for one of them or for all."""

from __future__ import annotations

from enum import Enum

from sqlalchemy import CheckConstraint, ForeignKeyConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Base, Id, Row, indexed, refers, unique


class DocumentMode(Enum):
    """What a client may run beside trusted documents."""

    OPEN = "OPEN"
    WARN = "WARN"
    TRUSTED_ONLY = "TRUSTED_ONLY"


class ApiClient(Row):
    """A program that uses the API: a web application, a mobile one, an integration."""

    __tablename__ = "api_client"
    __table_args__ = (
        refers("workspace_id", "workspace"),
        unique("name"),
        CheckConstraint("document_mode IN ('OPEN', 'WARN', 'TRUSTED_ONLY')", name="document_mode"),
    )

    name: Mapped[str]
    document_mode: Mapped[str] = mapped_column(server_default=DocumentMode.OPEN.value)


class TrustedDocument(Row):
    """A document that may be run by its id. Without a client, every client of the workspace may run it.

    `schema_sha256` names the schema that it was found valid against: under another one it is validated anew.
    """

    __tablename__ = "trusted_document"
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
    source: Mapped[str]
    operations: Mapped[list[str]]
    schema_sha256: Mapped[str]


class TrustedDocumentAlias(Base):
    """Another id of a trusted document, that a tool made: Relay's MD5, an id of Apollo's manifest."""

    __tablename__ = "trusted_document_alias"
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
