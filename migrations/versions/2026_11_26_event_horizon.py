"""How far the event log was removed, and an index to read it by workspace

Revision: 2026_11_26_event_horizon
Follows: 2026_11_25_authorizations
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_26_event_horizon"
down_revision = "2026_11_26_webhooks"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Wait for no lock longer than a client would: a migration that cannot have it fails, and is tried again."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '10min'")
    op.create_table(
        "event_horizon",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("xid", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("event_horizon_pkey")),
    )
    op.create_index("ix_event_workspace", "event", ["workspace_id", "xid", "seq"], unique=False)


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("ix_event_workspace", table_name="event")
    op.drop_table("event_horizon")
