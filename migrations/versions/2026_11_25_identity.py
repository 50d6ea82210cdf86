"""Sessions, API keys, roles of the workspace; by which client, from where and under which request, in the log

Revision: 2026_11_25_identity
Follows: 2026_11_22_deals_by_owner
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_25_identity"
down_revision = "2026_11_22_deals_by_owner"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Wait for no lock longer than a client would: a migration that cannot have it fails, and is tried again."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '10min'")
    op.create_table(
        "role",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("grants", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "workspace_id"],
            ["workspace.workspace_id", "workspace.id"],
            name=op.f("fk_role_workspace_id"),
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("role_pkey")),
        sa.UniqueConstraint("workspace_id", "name", name=op.f("uq_role_workspace_id_name")),
    )
    op.create_table(
        "api_key",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("client_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "client_id"],
            ["api_client.workspace_id", "api_client.id"],
            name=op.f("fk_api_key_client_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("api_key_pkey")),
        sa.UniqueConstraint("workspace_id", "sha256", name=op.f("uq_api_key_workspace_id_sha256")),
    )
    op.create_index("ix_api_key_client_id", "api_key", ["workspace_id", "client_id", "id"], unique=False)
    op.create_table(
        "member_session",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("member_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("client_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("scope", sa.Text(), nullable=True),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("user_agent", sa.Text(), nullable=True),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("revoked_reason", sa.Text(), nullable=True),
        sa.Column("generation", sa.Integer(), server_default="1", nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "method IN ('PASSWORD', 'OIDC', 'INVITATION', 'RESET', 'OAUTH', 'DEVICE')",
            name=op.f("ck_member_session_method"),
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "client_id"],
            ["api_client.workspace_id", "api_client.id"],
            name=op.f("fk_member_session_client_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "member_id"],
            ["member.workspace_id", "member.id"],
            name=op.f("fk_member_session_member_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("member_session_pkey")),
    )
    op.create_index("ix_member_session_client_id", "member_session", ["workspace_id", "client_id", "id"], unique=False)
    op.create_index("ix_member_session_member_id", "member_session", ["workspace_id", "member_id", "id"], unique=False)
    op.add_column("api_client", sa.Column("kind", sa.Text(), server_default="CONFIDENTIAL", nullable=False))
    op.add_column("api_client", sa.Column("member_id", sa.Uuid(as_uuid=False), nullable=True))
    op.add_column("api_client", sa.Column("roles", sa.ARRAY(sa.Text()), nullable=True))
    op.add_column("api_client", sa.Column("redirect_uris", sa.ARRAY(sa.Text()), server_default="{}", nullable=False))
    op.add_column("api_client", sa.Column("first_party", sa.Boolean(), server_default=sa.text("false"), nullable=False))
    op.add_column("api_client", sa.Column("requests_per_minute", sa.Integer(), nullable=True))
    op.add_column("api_client", sa.Column("cost_per_minute", sa.Integer(), nullable=True))
    op.create_index("ix_api_client_member_id", "api_client", ["workspace_id", "member_id", "id"], unique=False)
    op.create_foreign_key(
        op.f("fk_api_client_member_id"), "api_client", "member", ["workspace_id", "member_id"], ["workspace_id", "id"]
    )
    op.add_column("event", sa.Column("client_id", sa.Uuid(as_uuid=False), nullable=True))
    op.add_column("event", sa.Column("address", sa.Text(), nullable=True))
    op.add_column("event", sa.Column("request_id", sa.Uuid(as_uuid=False), nullable=True))
    op.add_column("member", sa.Column("kind", sa.Text(), server_default="PERSON", nullable=False))
    op.create_check_constraint(op.f("ck_api_client_kind"), "api_client", "kind IN ('CONFIDENTIAL', 'PUBLIC')")
    op.create_check_constraint(op.f("ck_api_client_requests_per_minute"), "api_client", "requests_per_minute > 0")
    op.create_check_constraint(op.f("ck_api_client_cost_per_minute"), "api_client", "cost_per_minute > 0")
    op.create_check_constraint(op.f("ck_member_kind"), "member", "kind IN ('PERSON', 'SERVICE')")


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_column("member", "kind")
    op.drop_column("event", "request_id")
    op.drop_column("event", "address")
    op.drop_column("event", "client_id")
    op.drop_constraint(op.f("fk_api_client_member_id"), "api_client", type_="foreignkey")
    op.drop_index("ix_api_client_member_id", table_name="api_client")
    op.drop_column("api_client", "cost_per_minute")
    op.drop_column("api_client", "requests_per_minute")
    op.drop_column("api_client", "first_party")
    op.drop_column("api_client", "redirect_uris")
    op.drop_column("api_client", "roles")
    op.drop_column("api_client", "member_id")
    op.drop_column("api_client", "kind")
    op.drop_index("ix_member_session_member_id", table_name="member_session")
    op.drop_index("ix_member_session_client_id", table_name="member_session")
    op.drop_table("member_session")
    op.drop_index("ix_api_key_client_id", table_name="api_key")
    op.drop_table("api_key")
    op.drop_table("role")
