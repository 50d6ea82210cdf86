"""Keys of persons, and where events keep what is under them

Revision: 2026_12_09_personal
Follows: 2026_12_08_lists
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crm_graph.db.placement import LOCAL
from crm_graph.db.placing import op_distribute

revision = "2026_12_09_personal"
down_revision = "2026_12_08_lists"
branch_labels = None
depends_on = None
adds_only = True


def upgrade() -> None:
    """No event is written anew: those from before are sealed as they are, and go when they are no longer kept."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "person_key",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("subject_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("wrapped", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("person_key_pkey")),
    )
    op.create_index("ix_person_key_subject_id", "person_key", ["workspace_id", "subject_id"])
    op_distribute("person_key", LOCAL)
    op.add_column("event", sa.Column("personal", sa.Text(), nullable=True))


def downgrade() -> None:
    """The way back. What the log kept of persons is gone with it, and the entries of those events do not verify."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_column("event", "personal")
    op.drop_table("person_key")
