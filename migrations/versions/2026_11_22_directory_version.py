"""The version of a workspace's directory

Revision: 2026_11_22_directory_version
Follows: 2026_11_22_first_tables
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_22_directory_version"
down_revision = "2026_11_22_first_tables"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Wait for no lock longer than a client would: a migration that cannot have it fails, and is tried again."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '10min'")
    op.add_column("workspace", sa.Column("directory_version", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_column("workspace", "directory_version")
