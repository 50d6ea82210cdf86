"""Identity providers, and which of their accounts is which member

Revision: 2026_11_25_identity_providers
Follows: 2026_11_25_accounts
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_25_identity_providers"
down_revision = "2026_11_25_accounts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Wait for no lock longer than a client would: a migration that cannot have it fails, and is tried again."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '10min'")
    op.create_table(
        "identity_provider",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("issuer", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("scopes", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("accept_tokens", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("audiences", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("required", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("rules", postgresql.JSONB(astext_type=sa.Text()), server_default=sa.text("'[]'"), nullable=False),
        sa.Column("email_domains", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("default_roles", sa.ARRAY(sa.Text()), server_default="{}", nullable=False),
        sa.Column("allow_sign_up", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("sync_roles", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "workspace_id"],
            ["workspace.workspace_id", "workspace.id"],
            name=op.f("fk_identity_provider_workspace_id"),
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("identity_provider_pkey")),
        sa.UniqueConstraint("workspace_id", "name", name=op.f("uq_identity_provider_workspace_id_name")),
    )
    op.create_index("ix_identity_provider_id", "identity_provider", ["id"], unique=False)
    op.create_index(
        "ix_identity_provider_issuer",
        "identity_provider",
        ["issuer"],
        unique=False,
        postgresql_where=sa.text("enabled AND accept_tokens"),
    )
    op.create_table(
        "identity_provider_secret",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("sealed", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "id"],
            ["identity_provider.workspace_id", "identity_provider.id"],
            name=op.f("fk_identity_provider_secret_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("identity_provider_secret_pkey")),
    )
    op.create_table(
        "member_identity",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("provider_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "member_id"],
            ["member.workspace_id", "member.id"],
            name=op.f("fk_member_identity_member_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "provider_id"],
            ["identity_provider.workspace_id", "identity_provider.id"],
            name=op.f("fk_member_identity_provider_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("member_identity_pkey")),
        sa.UniqueConstraint(
            "workspace_id",
            "provider_id",
            "member_id",
            name=op.f("uq_member_identity_workspace_id_provider_id_member_id"),
        ),
        sa.UniqueConstraint(
            "workspace_id", "provider_id", "subject", name=op.f("uq_member_identity_workspace_id_provider_id_subject")
        ),
    )
    op.create_index(
        "ix_member_identity_member_id", "member_identity", ["workspace_id", "member_id", "id"], unique=False
    )
    op.create_index(
        "ix_member_identity_provider_id", "member_identity", ["workspace_id", "provider_id", "id"], unique=False
    )


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")

    op.drop_index("ix_member_identity_provider_id", table_name="member_identity")
    op.drop_index("ix_member_identity_member_id", table_name="member_identity")
    op.drop_table("member_identity")
    op.drop_table("identity_provider_secret")
    op.drop_index(
        "ix_identity_provider_issuer",
        table_name="identity_provider",
        postgresql_where=sa.text("enabled AND accept_tokens"),
    )
    op.drop_index("ix_identity_provider_id", table_name="identity_provider")
    op.drop_table("identity_provider")
