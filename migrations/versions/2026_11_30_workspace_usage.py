"""What each workspace stores, as last measured

Revision: 2026_11_30_workspace_usage
Follows: 2026_11_30_job_sights
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_workspace_usage"
down_revision = "2026_11_30_job_sights"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A new table, empty until it is measured: nobody waits for it."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '10min'")
    op.create_table(
        "workspace_usage",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("used_bytes", sa.BigInteger(), nullable=False),
        sa.Column("measured_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", name=op.f("workspace_usage_pkey")),
    )


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")

    op.drop_table("workspace_usage")
