"""Trusted documents

Revision: 2026_11_22_trusted_documents
Follows: 2026_11_22_directory_version
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_trusted_documents"
down_revision = "2026_11_22_directory_version"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Wait for no lock longer than a client would: a migration that cannot have it fails, and is tried again."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '10min'")
    op.create_table(
        "api_client",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("document_mode", sa.Text(), server_default="OPEN", nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "document_mode IN ('OPEN', 'WARN', 'TRUSTED_ONLY')", name=op.f("ck_api_client_document_mode")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "workspace_id"],
            ["workspace.workspace_id", "workspace.id"],
            name=op.f("fk_api_client_workspace_id"),
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("api_client_pkey")),
        sa.UniqueConstraint("workspace_id", "name", name=op.f("uq_api_client_workspace_id_name")),
    )
    op.create_table(
        "trusted_document",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("client_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("operations", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("schema_sha256", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "client_id"],
            ["api_client.workspace_id", "api_client.id"],
            name=op.f("fk_trusted_document_client_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "workspace_id"],
            ["workspace.workspace_id", "workspace.id"],
            name=op.f("fk_trusted_document_workspace_id"),
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("trusted_document_pkey")),
    )
    op.create_index(
        "ix_trusted_document_client_id", "trusted_document", ["workspace_id", "client_id", "id"], unique=False
    )
    op.create_index(
        "uq_trusted_document_sha256",
        "trusted_document",
        ["workspace_id", "sha256", "client_id"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )
    op.create_table(
        "trusted_document_alias",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("document_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id", "document_id"],
            ["trusted_document.workspace_id", "trusted_document.id"],
            name=op.f("fk_trusted_document_alias_document_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "document_id", "name", name=op.f("trusted_document_alias_pkey")),
    )
    op.create_index(
        "uq_trusted_document_alias_name",
        "trusted_document_alias",
        ["workspace_id", "name", "client_id"],
        unique=True,
        postgresql_nulls_not_distinct=True,
    )


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("uq_trusted_document_alias_name", table_name="trusted_document_alias")
    op.drop_table("trusted_document_alias")
    op.drop_index("uq_trusted_document_sha256", table_name="trusted_document")
    op.drop_index("ix_trusted_document_client_id", table_name="trusted_document")
    op.drop_table("trusted_document")
    op.drop_table("api_client")
