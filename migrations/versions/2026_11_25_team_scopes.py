"""Account teams, queues and the teams of campaigns: what row scopes of their own go by

Revision: 2026_11_25_team_scopes
Follows: 2026_11_25_identity
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_25_team_scopes"
down_revision = "2026_11_25_identity"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Wait for no lock longer than a client would: a migration that cannot have it fails, and is tried again."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '10min'")
    op.create_table(
        "account_team_member",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("customer_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("member_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("duty", sa.Text(), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "customer_id"],
            ["customer.workspace_id", "customer.id"],
            name=op.f("fk_account_team_member_customer_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "member_id"],
            ["member.workspace_id", "member.id"],
            name=op.f("fk_account_team_member_member_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("account_team_member_pkey")),
        sa.UniqueConstraint(
            "workspace_id",
            "customer_id",
            "member_id",
            name=op.f("uq_account_team_member_workspace_id_customer_id_member_id"),
        ),
    )
    op.create_index(
        "ix_account_team_member_member_id", "account_team_member", ["workspace_id", "member_id", "id"], unique=False
    )
    op.add_column("campaign", sa.Column("team_id", sa.Uuid(as_uuid=False), nullable=True))
    op.create_index("ix_campaign_team_id", "campaign", ["workspace_id", "team_id", "id"], unique=False)
    op.create_foreign_key(
        op.f("fk_campaign_team_id"), "campaign", "team", ["workspace_id", "team_id"], ["workspace_id", "id"]
    )
    op.add_column("ticket", sa.Column("queue_id", sa.Uuid(as_uuid=False), nullable=True))
    op.create_index("ix_ticket_queue_id", "ticket", ["workspace_id", "queue_id", "id"], unique=False)
    op.create_foreign_key(
        op.f("fk_ticket_queue_id"), "ticket", "team", ["workspace_id", "queue_id"], ["workspace_id", "id"]
    )


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_constraint(op.f("fk_ticket_queue_id"), "ticket", type_="foreignkey")
    op.drop_index("ix_ticket_queue_id", table_name="ticket")
    op.drop_column("ticket", "queue_id")
    op.drop_constraint(op.f("fk_campaign_team_id"), "campaign", type_="foreignkey")
    op.drop_index("ix_campaign_team_id", table_name="campaign")
    op.drop_column("campaign", "team_id")
    op.drop_index("ix_account_team_member_member_id", table_name="account_team_member")
    op.drop_table("account_team_member")
