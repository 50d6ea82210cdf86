"""Bounds that imports held rows to, and mutations did not: now the database does

Revision: 2026_12_01_rules
Follows: 2026_11_30_credentials
"""

from __future__ import annotations

from alembic import op

revision = "2026_12_01_rules"
down_revision = "2026_11_30_credentials"
branch_labels = None
depends_on = None

RULES = (
    ("customer", "employees", "employees >= 0"),
    ("customer", "founded_year", "founded_year BETWEEN 1 AND 2199"),
    ("opportunity", "amount", "amount >= 0"),
    ("opportunity_line", "unit_price", "unit_price >= 0"),
    ("order_line", "unit_price", "unit_price >= 0"),
    ("product", "price", "price >= 0"),
    ("stage", "position", "position >= 0"),
)


def upgrade() -> None:
    """NOT VALID: what is stored stays as it is, whatever it is, and no table is read."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table, name, condition in RULES:
        op.execute(f"ALTER TABLE {table} ADD CONSTRAINT ck_{table}_{name} CHECK ({condition}) NOT VALID")


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    for table, name, _ in RULES:
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT ck_{table}_{name}")
