"""Webhook endpoints: of which records they are told

Revision: 2026_11_26_webhook_filter
Follows: 2026_11_26_jobs
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "2026_11_26_webhook_filter"
down_revision = "2026_11_26_jobs"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Wait for no lock longer than a client would: a migration that cannot have it fails, and is tried again."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("webhook_endpoint", sa.Column("filter", postgresql.JSONB(), nullable=True))


def downgrade() -> None:
    """Undo it; endpoints are then told of all records."""
    op.drop_column("webhook_endpoint", "filter")
