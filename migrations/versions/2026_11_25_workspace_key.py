"""The wrapped keys of each workspace

Revision: 2026_11_25_workspace_key
Follows: 2026_11_25_team_scopes
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_25_workspace_key"
down_revision = "2026_11_25_team_scopes"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Wait for no lock longer than a client would: a migration that cannot have it fails, and is tried again."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '10min'")
    op.create_table(
        "workspace_key",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("purpose", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("wrapped_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("retired_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("workspace_id", "purpose", "version", name=op.f("workspace_key_pkey")),
    )


def downgrade() -> None:
    """The way back, which makes everything that is encrypted unreadable."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_table("workspace_key")
