"""Whose sealing waits for a worker of a cluster

Revision: 2026_12_03_audit_deferral
Follows: 2026_12_02_log_epoch
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crm_graph.db.placement import LOCAL
from crm_graph.db.placing import op_distribute

revision = "2026_12_03_audit_deferral"
down_revision = "2026_12_02_log_epoch"
branch_labels = None
depends_on = None
adds_only = True


def upgrade() -> None:
    """An empty table."""
    op.create_table(
        "audit_deferral",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("event_xid", sa.BigInteger(), nullable=False),
        sa.Column("event_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", name=op.f("audit_deferral_pkey")),
    )
    op_distribute("audit_deferral", LOCAL)


def downgrade() -> None:
    """The way back, where nothing waits: the version before would never seal it."""
    if op.get_bind().execute(sa.text("SELECT count(*) FROM audit_deferral")).scalar_one():
        raise RuntimeError("the audit trail of a workspace waits for its worker: start that worker, and then go back")
    op.drop_table("audit_deferral")
