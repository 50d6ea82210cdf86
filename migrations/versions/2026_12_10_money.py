"""Exchange rates, and what amounts come to in the base currency

Within the base currency that is the amount itself, and rows are given it here. Those in other currencies are valued
when rates are set: no installation has any yet.

Revision: 2026_12_10_money
Follows: 2026_12_09_unsubscriptions
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crm_graph.db.placement import DISTRIBUTED
from crm_graph.db.placing import op_distribute

revision = "2026_12_10_money"
down_revision = "2026_12_09_unsubscriptions"
branch_labels = None
depends_on = None
adds_only = True

_ID, _TIME = sa.Uuid(as_uuid=False), sa.DateTime(timezone=True)
_AMOUNTS = (
    ("opportunity", "amount", "CASE WHEN row.status <> 'OPEN' THEN row.closed_on END"),
    ("sales_order", "total", "(row.approved_at AT TIME ZONE workspace.time_zone)::date"),
)
"""Tables with their amount, and the day that fixed its rate."""


def upgrade() -> None:
    """Adds a table and columns; amounts in the base currency are worth themselves."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "exchange_rate",
        sa.Column("workspace_id", _ID, nullable=False),
        sa.Column("id", _ID, nullable=False),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("valid_from", sa.Date(), nullable=False),
        sa.Column("rate", sa.Numeric(20, 10), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.Column("created_by_id", _ID, nullable=True),
        sa.Column("updated_by_id", _ID, nullable=True),
        sa.CheckConstraint("rate > 0", name=op.f("ck_exchange_rate_rate")),
        sa.ForeignKeyConstraint(
            ["workspace_id", "workspace_id"],
            ["workspace.workspace_id", "workspace.id"],
            name=op.f("fk_exchange_rate_workspace_id_workspace"),
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("exchange_rate_pkey")),
        sa.UniqueConstraint(
            "workspace_id", "currency", "valid_from", name=op.f("uq_exchange_rate_workspace_id_currency_valid_from")
        ),
    )
    op_distribute("exchange_rate", DISTRIBUTED)
    for column in ("valid_from", "created_at", "updated_at"):
        op.create_index(f"ix_exchange_rate_{column}_ordered", "exchange_rate", ["workspace_id", column, "id"])
    for table, amount, fixed_on in _AMOUNTS:
        for of in (table, f"{table}_version"):
            op.add_column(of, sa.Column(f"base_{amount}", sa.Numeric(28, 4), nullable=True))
            op.add_column(of, sa.Column("rate", sa.Numeric(20, 10), nullable=True))
            op.add_column(of, sa.Column("rate_on", sa.Date(), nullable=True))
            op.execute(
                f"UPDATE {of} AS row SET base_{amount} = row.{amount}, rate = 1, rate_on = coalesce({fixed_on},"  # noqa: S608 - constants
                " (row.updated_at AT TIME ZONE workspace.time_zone)::date) FROM workspace"
                " WHERE workspace.workspace_id = row.workspace_id AND workspace.base_currency = row.currency"
                f" AND row.{amount} IS NOT NULL"
            )


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table, amount, _ in _AMOUNTS:
        for of in (table, f"{table}_version"):
            for column in (f"base_{amount}", "rate", "rate_on"):
                op.drop_column(of, column)
    op.drop_table("exchange_rate")
