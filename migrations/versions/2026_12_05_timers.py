"""Work that falls due, and tickets that are held until a time

Revision: 2026_12_05_timers
Follows: 2026_12_03_recycle_bin
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_12_05_timers"
down_revision = "2026_12_03_recycle_bin"
branch_labels = None
depends_on = None
adds_only = True

_OPEN = sa.text("given_up_at IS NULL")


def upgrade() -> None:
    """A new table, which is local everywhere, and a column that is null."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "timer",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("record_type", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("payload", postgresql.JSONB(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("given_up_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("workspace_id", "key", name=op.f("timer_pkey")),
    )
    op.create_index("ix_timer_due_at", "timer", ["due_at"], postgresql_where=_OPEN)
    op.create_index("ix_timer_workspace_id_due_at", "timer", ["workspace_id", "due_at"], postgresql_where=_OPEN)
    op.create_index("ix_timer_workspace_id_record_id", "timer", ["workspace_id", "record_id"])
    op.add_column("ticket", sa.Column("held_until", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_column("ticket", "held_until")
    op.drop_table("timer")
