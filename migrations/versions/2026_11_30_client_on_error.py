"""What an error does to the answers of an API client, as its default

Revision: 2026_11_30_client_on_error
Follows: 2026_11_30_tenants
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_30_client_on_error"
down_revision = "2026_11_30_tenants"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A nullable column without a default is written into the catalogue alone. The check reads the few clients."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '10min'")
    op.add_column("api_client", sa.Column("on_error", sa.Text(), nullable=True))
    op.create_check_constraint(
        op.f("ck_api_client_on_error"), "api_client", "on_error IN ('NULL', 'PROPAGATE', 'HALT')"
    )


def downgrade() -> None:
    """The way back: clients are answered as GraphQL says."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_constraint(op.f("ck_api_client_on_error"), "api_client", type_="check")
    op.drop_column("api_client", "on_error")
