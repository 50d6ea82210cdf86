"""Passwords, second factors, links, attempts and the queue of mails

Revision: 2026_11_25_accounts
Follows: 2026_11_25_identity
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_25_accounts"
down_revision = "2026_11_25_identity"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Wait for no lock longer than a client would: a migration that cannot have it fails, and is tried again."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '10min'")
    op.create_table(
        "attempt",
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "ends_at", name=op.f("attempt_pkey")),
    )
    op.create_index("ix_attempt_ends_at", "attempt", ["ends_at"], unique=False)
    op.create_table(
        "mail",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("mail_pkey")),
    )
    op.create_index("ix_mail_next_at", "mail", ["next_at"], unique=False)
    op.create_table(
        "credential",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("member_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("generation", sa.Integer(), server_default="0", nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=True),
        sa.Column("password_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("totp_secret", sa.Text(), nullable=True),
        sa.Column("totp_pending", sa.Text(), nullable=True),
        sa.Column("totp_step", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["workspace_id", "member_id"],
            ["member.workspace_id", "member.id"],
            name=op.f("fk_credential_member_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "member_id", name=op.f("credential_pkey")),
    )
    op.create_table(
        "member_link",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("member_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("purpose IN ('INVITATION', 'RESET')", name=op.f("ck_member_link_purpose")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "member_id"],
            ["member.workspace_id", "member.id"],
            name=op.f("fk_member_link_member_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("member_link_pkey")),
    )
    op.create_index("ix_member_link_member_id", "member_link", ["workspace_id", "member_id", "id"], unique=False)
    op.create_table(
        "recovery_code",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("member_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "member_id"],
            ["member.workspace_id", "member.id"],
            name=op.f("fk_recovery_code_member_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "member_id", "sha256", name=op.f("recovery_code_pkey")),
    )
    op.create_index("ix_member_email", "member", [sa.literal_column("lower(email)")], unique=False)


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("ix_member_email", table_name="member")
    op.drop_table("recovery_code")
    op.drop_index("ix_member_link_member_id", table_name="member_link")
    op.drop_table("member_link")
    op.drop_table("credential")
    op.drop_index("ix_mail_next_at", table_name="mail")
    op.drop_table("mail")
    op.drop_index("ix_attempt_ends_at", table_name="attempt")
    op.drop_table("attempt")
