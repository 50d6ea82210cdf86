"""Versions of the main types, and how far the projector that writes them has come

Revision: 2026_12_06_history
Follows: 2026_12_05_timers
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from crm_graph.db.placement import DISTRIBUTED, LOCAL
from crm_graph.db.placing import op_distribute

revision = "2026_12_06_history"
down_revision = "2026_12_05_timers"
branch_labels = None
depends_on = None
adds_only = True

_ID, _TIME = sa.Uuid(as_uuid=False), sa.DateTime(timezone=True)


def _versions(table: str, found_by: tuple[str, ...], *columns: sa.Column[Any]) -> None:
    """Make the table of a table's versions."""
    name = f"{table}_version"
    op.create_table(
        name,
        sa.Column("workspace_id", _ID, nullable=False),
        sa.Column("id", _ID, nullable=False),
        *columns,
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.Column("created_by_id", _ID, nullable=True),
        sa.Column("updated_by_id", _ID, nullable=True),
        sa.Column("archived_at", _TIME, nullable=True),
        sa.Column("deleted_at", _TIME, nullable=True),
        sa.Column("valid_from", _TIME, nullable=False),
        sa.Column("valid_to", _TIME, nullable=False),
        sa.Column("by_kind", sa.Text(), nullable=True),
        sa.Column("by_member_id", _ID, nullable=True),
        sa.Column("by_client_id", _ID, nullable=True),
        sa.Column("told_as", sa.Text(), nullable=True),
        sa.Column("event_xid", sa.BigInteger(), nullable=False),
        sa.Column("event_seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "id", "valid_from", name=op.f(f"{name}_pkey")),
    )
    op.create_index(f"ix_{name}_valid_to", name, ["workspace_id", "valid_to"])
    for column in found_by:
        op.create_index(f"ix_{name}_{column}_valid_to", name, ["workspace_id", column, "valid_to"])
    op_distribute(name, DISTRIBUTED)


def upgrade() -> None:
    """Empty tables: the projector begins with the rows that are there then."""
    op.create_table(
        "history_position",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("xid", sa.BigInteger(), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("history_position_pkey")),
    )
    op_distribute("history_position", LOCAL)
    op.create_table(
        "history_type",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("began_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("history_type_pkey")),
    )
    op_distribute("history_type", LOCAL)
    _versions(
        "campaign",
        ("owner_id", "team_id"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("starts_on", sa.Date(), nullable=True),
        sa.Column("ends_on", sa.Date(), nullable=True),
        sa.Column("budget", sa.Numeric(18, 4), nullable=True),
        sa.Column("cost", sa.Numeric(18, 4), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("goal", sa.Text(), nullable=True),
        sa.Column("owner_id", _ID, nullable=True),
        sa.Column("team_id", _ID, nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
    )
    _versions(
        "customer",
        ("owner_id", "parent_id"),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("lifecycle", sa.Text(), nullable=False),
        sa.Column("lifecycle_since", _TIME, nullable=False),
        sa.Column("industry", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("website", sa.Text(), nullable=True),
        sa.Column("city", sa.Text(), nullable=True),
        sa.Column("country", sa.Text(), nullable=True),
        sa.Column("employees", sa.Integer(), nullable=True),
        sa.Column("founded_year", sa.Integer(), nullable=True),
        sa.Column("annual_revenue", sa.Numeric(18, 4), nullable=True),
        sa.Column("currency", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("owner_id", _ID, nullable=True),
        sa.Column("parent_id", _ID, nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
    )
    _versions(
        "opportunity",
        ("customer_id", "owner_id"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("customer_id", _ID, nullable=True),
        sa.Column("pipeline_id", _ID, nullable=False),
        sa.Column("stage_id", _ID, nullable=False),
        sa.Column("stage_since", _TIME, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("amount", sa.Numeric(18, 4), nullable=True),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("probability", sa.Integer(), nullable=False),
        sa.Column("expected_close", sa.Date(), nullable=True),
        sa.Column("opened_on", sa.Date(), nullable=True),
        sa.Column("closed_on", sa.Date(), nullable=True),
        sa.Column("next_step", sa.Text(), nullable=True),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("lost_reason", sa.Text(), nullable=True),
        sa.Column("owner_id", _ID, nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
    )
    _versions(
        "sales_order",
        ("customer_id", "opportunity_id", "owner_id"),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("customer_id", _ID, nullable=False),
        sa.Column("opportunity_id", _ID, nullable=True),
        sa.Column("owner_id", _ID, nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("subtotal", sa.Numeric(18, 4), nullable=False),
        sa.Column("discount_percent", sa.Numeric(), nullable=False),
        sa.Column("total", sa.Numeric(18, 4), nullable=False),
        sa.Column("ordered_on", sa.Date(), nullable=False),
        sa.Column("submitted_at", _TIME, nullable=True),
        sa.Column("approved_at", _TIME, nullable=True),
        sa.Column("approved_by_id", _ID, nullable=True),
        sa.Column("rejected_reason", sa.Text(), nullable=True),
        sa.Column("cancelled_reason", sa.Text(), nullable=True),
        sa.Column("shipped_at", _TIME, nullable=True),
        sa.Column("delivered_at", _TIME, nullable=True),
        sa.Column("closed_at", _TIME, nullable=True),
        sa.Column("notes", sa.Text(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
    )
    _versions(
        "ticket",
        ("assignee_id", "customer_id", "queue_id"),
        sa.Column("number", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("priority", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("customer_id", _ID, nullable=True),
        sa.Column("contact_id", _ID, nullable=True),
        sa.Column("product_id", _ID, nullable=True),
        sa.Column("assignee_id", _ID, nullable=True),
        sa.Column("queue_id", _ID, nullable=True),
        sa.Column("held_until", _TIME, nullable=True),
        sa.Column("first_response_at", _TIME, nullable=True),
        sa.Column("resolved_at", _TIME, nullable=True),
        sa.Column("closed_at", _TIME, nullable=True),
        sa.Column("resolution", sa.Text(), nullable=True),
        sa.Column("satisfaction", sa.Integer(), nullable=True),
        sa.Column("external_id", sa.Text(), nullable=True),
    )


def downgrade() -> None:
    """The way back: history ends, and begins anew when it is kept again."""
    op.drop_table("ticket_version")
    op.drop_table("sales_order_version")
    op.drop_table("opportunity_version")
    op.drop_table("customer_version")
    op.drop_table("campaign_version")
    op.drop_table("history_type")
    op.drop_table("history_position")
