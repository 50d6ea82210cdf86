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


def upgrade() -> None:
    """Wait for no lock longer than a client would: a migration that cannot have it fails, and is tried again."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("credential", sa.Column("email", sa.Text(), nullable=True))
    op.add_column("credential", sa.Column("email_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(
        "UPDATE credential SET email = lower(member.email), email_at = credential.password_at FROM member"
        " WHERE member.workspace_id = credential.workspace_id AND member.id = credential.member_id"
        " AND credential.password_hash IS NOT NULL"
    )


def downgrade() -> None:
    """Undo it."""
    op.drop_column("credential", "email_at")
    op.drop_column("credential", "email")
