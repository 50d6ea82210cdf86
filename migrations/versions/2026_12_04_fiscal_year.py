"""A workspace has a fiscal year

Revision: 2026_12_04_fiscal_year
Follows: 2026_12_03_actors
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_04_fiscal_year"
down_revision = "2026_12_03_actors"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """It begins in January until somebody says otherwise."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("workspace", sa.Column("fiscal_year_start", sa.Integer(), server_default="1", nullable=False))
    op.create_check_constraint(
        op.f("ck_workspace_fiscal_year_start"), "workspace", "fiscal_year_start BETWEEN 1 AND 12"
    )


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_column("workspace", "fiscal_year_start")
