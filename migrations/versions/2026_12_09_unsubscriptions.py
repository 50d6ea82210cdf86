"""Who wants to hear no more of campaigns, whichever of them they are taken off or put on

Revision: 2026_12_09_unsubscriptions
Follows: 2026_12_09_personal
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crm_graph.db.placement import DISTRIBUTED
from crm_graph.db.placing import op_distribute

revision = "2026_12_09_unsubscriptions"
down_revision = "2026_12_09_personal"
branch_labels = None
depends_on = None
adds_only = True


def upgrade() -> None:
    """A new table, with those who are known to have unsubscribed."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "unsubscription",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("party_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "workspace_id"],
            ["workspace.workspace_id", "workspace.id"],
            name=op.f("fk_unsubscription_workspace_id"),
        ),
        sa.PrimaryKeyConstraint("workspace_id", "party_id", name=op.f("unsubscription_pkey")),
    )
    op_distribute("unsubscription", DISTRIBUTED)
    op.execute(
        "INSERT INTO unsubscription (workspace_id, party_id, since)"
        " SELECT workspace_id, coalesce(contact_id, customer_id), min(updated_at) FROM campaign_member"
        " WHERE status = 'UNSUBSCRIBED' GROUP BY 1, 2"
    )


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table("unsubscription")
