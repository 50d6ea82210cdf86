"""Authorization codes, devices that wait, and what members consented to

Revision: 2026_11_25_authorizations
Follows: 2026_11_25_identity_providers
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_25_authorizations"
down_revision = "2026_11_25_identity_providers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Wait for no lock longer than a client would: a migration that cannot have it fails, and is tried again."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '10min'")
    op.create_table(
        "authorization_code",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("client_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("member_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("nonce", sa.Text(), nullable=True),
        sa.Column("code_challenge", sa.Text(), nullable=False),
        sa.Column("auth_time", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("session_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "client_id"],
            ["api_client.workspace_id", "api_client.id"],
            name=op.f("fk_authorization_code_client_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "member_id"],
            ["member.workspace_id", "member.id"],
            name=op.f("fk_authorization_code_member_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("authorization_code_pkey")),
        sa.UniqueConstraint("workspace_id", "sha256", name=op.f("uq_authorization_code_workspace_id_sha256")),
    )
    op.create_index(
        "ix_authorization_code_client_id", "authorization_code", ["workspace_id", "client_id", "id"], unique=False
    )
    op.create_index(
        "ix_authorization_code_expires_at", "authorization_code", ["workspace_id", "expires_at", "id"], unique=False
    )
    op.create_index(
        "ix_authorization_code_member_id", "authorization_code", ["workspace_id", "member_id", "id"], unique=False
    )
    op.create_table(
        "consent",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("member_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("client_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "client_id"],
            ["api_client.workspace_id", "api_client.id"],
            name=op.f("fk_consent_client_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "member_id"],
            ["member.workspace_id", "member.id"],
            name=op.f("fk_consent_member_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("consent_pkey")),
        sa.UniqueConstraint(
            "workspace_id", "member_id", "client_id", name=op.f("uq_consent_workspace_id_member_id_client_id")
        ),
    )
    op.create_index("ix_consent_client_id", "consent", ["workspace_id", "client_id", "id"], unique=False)
    op.create_table(
        "device_code",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("client_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("user_code", sa.Text(), nullable=False),
        sa.Column("scope", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("interval_seconds", sa.Integer(), nullable=False),
        sa.Column("polled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("member_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("approved", sa.Boolean(), nullable=True),
        sa.Column("auth_time", sa.DateTime(timezone=True), nullable=True),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("approved IS NULL OR member_id IS NOT NULL", name=op.f("ck_device_code_answered_by")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "client_id"],
            ["api_client.workspace_id", "api_client.id"],
            name=op.f("fk_device_code_client_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "member_id"],
            ["member.workspace_id", "member.id"],
            name=op.f("fk_device_code_member_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("device_code_pkey")),
        sa.UniqueConstraint("workspace_id", "sha256", name=op.f("uq_device_code_workspace_id_sha256")),
        sa.UniqueConstraint("workspace_id", "user_code", name=op.f("uq_device_code_workspace_id_user_code")),
    )
    op.create_index("ix_device_code_client_id", "device_code", ["workspace_id", "client_id", "id"], unique=False)
    op.create_index("ix_device_code_expires_at", "device_code", ["workspace_id", "expires_at", "id"], unique=False)
    op.create_index("ix_device_code_member_id", "device_code", ["workspace_id", "member_id", "id"], unique=False)
    op.create_index("ix_api_client_id", "api_client", ["id"], unique=False)


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("ix_api_client_id", table_name="api_client")
    op.drop_index("ix_device_code_member_id", table_name="device_code")
    op.drop_index("ix_device_code_expires_at", table_name="device_code")
    op.drop_index("ix_device_code_client_id", table_name="device_code")
    op.drop_table("device_code")
    op.drop_index("ix_consent_client_id", table_name="consent")
    op.drop_table("consent")
    op.drop_index("ix_authorization_code_member_id", table_name="authorization_code")
    op.drop_index("ix_authorization_code_expires_at", table_name="authorization_code")
    op.drop_index("ix_authorization_code_client_id", table_name="authorization_code")
    op.drop_table("authorization_code")
