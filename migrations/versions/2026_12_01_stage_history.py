"""Histories keep the names of stages that are retired

Revision: 2026_12_01_stage_history
Follows: 2026_12_01_idempotent_answers
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_01_stage_history"
down_revision = "2026_12_01_idempotent_answers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No table is read or written anew."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    for end in ("from", "to"):
        op.add_column("stage_move", sa.Column(f"retired_{end}", sa.Text(), nullable=True))
    op.alter_column("stage_move", "to_stage_id", nullable=True)


def downgrade() -> None:
    """The way back; entries of histories that led into a stage which is retired go."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("DELETE FROM stage_move WHERE to_stage_id IS NULL")
    op.alter_column("stage_move", "to_stage_id", nullable=False)
    for end in ("from", "to"):
        op.drop_column("stage_move", f"retired_{end}")
