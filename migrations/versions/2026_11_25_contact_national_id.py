"""Contacts have the number of an identity document, encrypted

Revision: 2026_11_25_contact_national_id
Follows: 2026_11_25_workspace_key
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_25_contact_national_id"
down_revision = "2026_11_25_workspace_key"
branch_labels = None
depends_on = None

CIPHERTEXT = r"national_id ~ '^e1\.[0-9]+\.[A-Za-z0-9_-]+$' AND (national_id IS NULL) = (national_id_blind IS NULL)"


def upgrade() -> None:
    """Wait for no lock longer than a client would: a migration that cannot have it fails, and is tried again."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '10min'")
    op.add_column("contact", sa.Column("national_id", sa.Text(), nullable=True))
    op.add_column("contact", sa.Column("national_id_blind", sa.Text(), nullable=True))
    op.create_check_constraint(op.f("ck_contact_national_id"), "contact", CIPHERTEXT)
    op.create_index(
        "ix_contact_national_id_blind", "contact", ["workspace_id", "national_id_blind", "id"], unique=False
    )


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.drop_index("ix_contact_national_id_blind", table_name="contact")
    op.drop_constraint(op.f("ck_contact_national_id"), "contact")
    op.drop_column("contact", "national_id_blind")
    op.drop_column("contact", "national_id")
