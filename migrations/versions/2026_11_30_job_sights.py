"""What those who read for a job could see: the file is for whoever sees as much when they ask for it

Revision: 2026_11_30_job_sights
Follows: 2026_11_30_client_on_error

Files that were made before have no sight, and are refused: they are exported again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_30_job_sights"
down_revision = "2026_11_30_client_on_error"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Wait for no lock longer than a client would: a migration that cannot have it fails, and is tried again."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "job_sight",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("job_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("run", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sight", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "job_id"],
            ["job.workspace_id", "job.id"],
            name=op.f("fk_job_sight_job_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "job_id", "run", name=op.f("job_sight_pkey")),
    )


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")

    op.drop_table("job_sight")
