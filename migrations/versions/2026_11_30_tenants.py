"""Accounts know under which address their password stands; devices wait outside of all workspaces

Revision: 2026_11_30_tenants
Follows: 2026_11_26_webhook_filter
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_tenants"
down_revision = "2026_11_26_webhook_filter"
branch_labels = None
depends_on = None
_ANSWERED = "approved IS NULL OR member_id IS NOT NULL AND workspace_id IS NOT NULL"
_ASKED = "client_id IS NOT NULL OR asked_as IS NOT NULL"


def upgrade() -> None:
    """Wait for no lock longer than a client would: a migration that cannot have it fails, and is tried again.

    On Citus `SELECT undistribute_table('device_code')` comes before it: the table becomes a local one.
    """
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("credential", sa.Column("email", sa.Text(), nullable=True))
    op.add_column("credential", sa.Column("email_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE credential SET email = lower(member.email), email_at = credential.password_at FROM member"
        " WHERE member.workspace_id = credential.workspace_id AND member.id = credential.member_id"
        " AND credential.password_hash IS NOT NULL"
    )
    op.add_column("member_identity", sa.Column("proved_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("DELETE FROM device_code WHERE expires_at < now()")
    for name in ("fk_device_code_client_id", "fk_device_code_member_id"):
        op.drop_constraint(op.f(name), "device_code", type_="foreignkey")
    for name in ("uq_device_code_workspace_id_sha256", "uq_device_code_workspace_id_user_code"):
        op.drop_constraint(op.f(name), "device_code", type_="unique")
    for name in ("client_id", "expires_at", "member_id"):
        op.drop_index(f"ix_device_code_{name}", table_name="device_code")
    op.drop_constraint(op.f("ck_device_code_answered_by"), "device_code", type_="check")
    op.drop_constraint(op.f("device_code_pkey"), "device_code", type_="primary")
    op.add_column("device_code", sa.Column("asked_as", sa.Text(), nullable=True))
    for name in ("workspace_id", "client_id"):
        op.alter_column("device_code", name, nullable=True)
    op.create_primary_key(op.f("device_code_pkey"), "device_code", ["id"])
    op.create_unique_constraint(op.f("uq_device_code_sha256"), "device_code", ["sha256"])
    op.create_unique_constraint(op.f("uq_device_code_user_code"), "device_code", ["user_code"])
    op.create_index("ix_device_code_expires_at", "device_code", ["expires_at"])
    op.create_check_constraint(op.f("ck_device_code_answered_by"), "device_code", _ANSWERED)
    op.create_check_constraint(op.f("ck_device_code_asked_by"), "device_code", _ASKED)


def downgrade() -> None:
    """Undo it; devices of the command line that wait have to ask again."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DELETE FROM device_code WHERE asked_as IS NOT NULL")
    for name in ("ck_device_code_asked_by", "ck_device_code_answered_by"):
        op.drop_constraint(op.f(name), "device_code", type_="check")
    op.drop_index("ix_device_code_expires_at", table_name="device_code")
    for name in ("uq_device_code_user_code", "uq_device_code_sha256"):
        op.drop_constraint(op.f(name), "device_code", type_="unique")
    op.drop_constraint(op.f("device_code_pkey"), "device_code", type_="primary")
    for name in ("workspace_id", "client_id"):
        op.alter_column("device_code", name, nullable=False)
    op.drop_column("device_code", "asked_as")
    op.create_primary_key(op.f("device_code_pkey"), "device_code", ["workspace_id", "id"])
    op.create_check_constraint(
        op.f("ck_device_code_answered_by"), "device_code", "approved IS NULL OR member_id IS NOT NULL"
    )
    for name in ("client_id", "expires_at", "member_id"):
        op.create_index(f"ix_device_code_{name}", "device_code", ["workspace_id", name, "id"])
    for name in ("sha256", "user_code"):
        op.create_unique_constraint(op.f(f"uq_device_code_workspace_id_{name}"), "device_code", ["workspace_id", name])
    for name, table in (("client_id", "api_client"), ("member_id", "member")):
        op.create_foreign_key(
            op.f(f"fk_device_code_{name}"),
            "device_code",
            table,
            ["workspace_id", name],
            ["workspace_id", "id"],
            ondelete="CASCADE",
        )
    op.drop_column("member_identity", "proved_at")
    op.drop_column("credential", "email_at")
    op.drop_column("credential", "email")
