"""Who did it: rows keep who made and changed them, the log and the audit trail who acts, and because of what

Revision: 2026_12_03_actors
Follows: 2026_12_03_audit_deferral
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_03_actors"
down_revision = "2026_12_03_audit_deferral"
branch_labels = None
depends_on = None
adds_only = True

ROWS = (
    *("account_team_member", "api_client", "api_key", "authorization_code", "campaign", "campaign_member", "consent"),
    *("contact", "customer", "identity_provider", "identity_provider_secret", "member", "member_identity"),
    *("member_link", "member_session", "opportunity", "opportunity_line", "order_line", "order_status_change"),
    *("pipeline", "product", "role", "sales_order", "stage", "stage_move", "team", "ticket", "ticket_reply"),
    *("trusted_document", "webhook_delivery", "webhook_endpoint", "webhook_secret", "workspace"),
)
"""And `job`, which has the first of the two columns: whoever asked for a job made it."""


def upgrade() -> None:
    """No table is read or written anew. What was written before says nothing: the log may tell."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in ROWS:
        op.add_column(table, sa.Column("created_by_id", sa.Uuid(as_uuid=False), nullable=True))
    for table in (*ROWS, "job"):
        op.add_column(table, sa.Column("updated_by_id", sa.Uuid(as_uuid=False), nullable=True))
    op.add_column("event", sa.Column("actor_kind", sa.Text(), nullable=True))
    op.add_column("event", sa.Column("cause_seq", sa.BigInteger(), nullable=True))
    op.add_column("event", sa.Column("depth", sa.SmallInteger(), nullable=True))
    op.add_column("audit_entry", sa.Column("actor_kind", sa.Text(), nullable=True))
    op.add_column("webhook_endpoint", sa.Column("without_client", sa.Text(), nullable=True))


def downgrade() -> None:
    """The way back. Entries of the audit trail that say who acts cannot be verified by the code of before."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_column("webhook_endpoint", "without_client")
    op.drop_column("audit_entry", "actor_kind")
    for column in ("depth", "cause_seq", "actor_kind"):
        op.drop_column("event", column)
    for table in (*ROWS, "job"):
        op.drop_column(table, "updated_by_id")
    for table in ROWS:
        op.drop_column(table, "created_by_id")
