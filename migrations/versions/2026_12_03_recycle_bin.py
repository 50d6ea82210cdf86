"""Main records are archived, and deleted into a recycle bin; no row goes silently with one of another type

Revision: 2026_12_03_recycle_bin
Follows: 2026_12_04_fiscal_year
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_03_recycle_bin"
down_revision = "2026_12_04_fiscal_year"
branch_labels = None
depends_on = None

KEPT = {
    "product": ("sku",),
    "customer": ("external_id",),
    "contact": ("external_id",),
    "opportunity": ("external_id",),
    "sales_order": ("number", "external_id"),
    "campaign": ("external_id",),
    "ticket": ("number", "external_id"),
}
"""The kept tables, each after those that it points to, with the columns whose values are unique out of the bin."""
PARTS = (
    "account_team_member",
    "opportunity_line",
    "stage_move",
    "order_line",
    "order_status_change",
    "campaign_member",
    "ticket_reply",
)
CASCADES = (
    ("contact", "customer_id", "customer"),
    ("account_team_member", "member_id", "member"),
    ("member_identity", "provider_id", "identity_provider"),
    ("member_identity", "member_id", "member"),
)
"""Foreign keys along which rows went that have rights and events of their own."""


def upgrade() -> None:
    """Wait for no lock longer than a client would. A process of the version before cannot go on: it would show what is
    in the recycle bin as if it were there."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table in (*KEPT, *PARTS):
        if table in KEPT:
            op.add_column(table, sa.Column("archived_at", sa.DateTime(timezone=True), nullable=True))
        op.add_column(table, sa.Column("deleted_at", sa.DateTime(timezone=True), nullable=True))
    for table, columns in KEPT.items():
        op.execute(
            f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_in_use"
            " CHECK (deleted_at > '-infinity'::timestamptz) NOT VALID"
        )
        op.create_index(
            f"ix_{table}_deleted_at",
            table,
            ["workspace_id", "deleted_at", "id"],
            postgresql_where=sa.text("deleted_at IS NOT NULL"),
        )
        for column in columns:
            op.create_index(
                f"uq_{table}_{column}",
                table,
                ["workspace_id", column],
                unique=True,
                postgresql_where=sa.text("deleted_at IS NULL"),
            )
            op.drop_constraint(op.f(f"uq_{table}_workspace_id_{column}"), table, type_="unique")
    _cascade(None)


def downgrade() -> None:
    """The way back: what is in the recycle bin goes for good, or it would be back."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    _cascade("CASCADE")
    for table in reversed(KEPT):
        op.execute(f"DELETE FROM {table} WHERE deleted_at IS NOT NULL")  # noqa: S608 - names of ours
    for table, columns in KEPT.items():
        for column in columns:
            op.create_unique_constraint(op.f(f"uq_{table}_workspace_id_{column}"), table, ["workspace_id", column])
            op.drop_index(f"uq_{table}_{column}", table_name=table)
        op.drop_index(f"ix_{table}_deleted_at", table_name=table)
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_in_use")
    for table in (*KEPT, *PARTS):
        op.drop_column(table, "deleted_at")
        if table in KEPT:
            op.drop_column(table, "archived_at")


def _cascade(on_delete: str | None) -> None:
    for table, column, target in CASCADES:
        name = op.f(f"fk_{table}_{column}")
        op.drop_constraint(name, table, type_="foreignkey")
        op.create_foreign_key(name, table, target, ["workspace_id", column], ["workspace_id", "id"], ondelete=on_delete)
