"""What a stage can require is held to by the database too

Revision: 2026_12_01_stage_fields
Follows: 2026_12_01_rules
"""

from __future__ import annotations

from alembic import op

revision = "2026_12_01_stage_fields"
down_revision = "2026_12_01_rules"
branch_labels = None
depends_on = None

NAMES = "'amount', 'expectedClose', 'customer', 'lostReason', 'nextStep'"


def upgrade() -> None:
    """NOT VALID: what is stored stays as it is, whatever it is, and no table is read."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        "ALTER TABLE stage ADD CONSTRAINT ck_stage_required_fields"
        f" CHECK (required_fields <@ ARRAY[{NAMES}]::text[]) NOT VALID"
    )


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE stage DROP CONSTRAINT ck_stage_required_fields")
