"""What mutations answered under idempotency keys, for as long as it is kept

Revision: 2026_12_01_idempotent_answers
Follows: 2026_12_01_stage_positions
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_01_idempotent_answers"
down_revision = "2026_12_01_stage_positions"
branch_labels = None
depends_on = None
adds_only = True


def upgrade() -> None:
    """A new table, which nobody waits for; local on Citus, as it is made."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "idempotent_answer",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("field", sa.LargeBinary(), nullable=False),
        sa.Column("request", sa.LargeBinary(), nullable=False),
        sa.Column("answer", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "key", "field", name=op.f("idempotent_answer_pkey")),
    )
    op.create_index("ix_idempotent_answer_created_at", "idempotent_answer", ["created_at"])


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table("idempotent_answer")
