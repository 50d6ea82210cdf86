"""The audit trail: its entries and the heads of its chains

Revision: 2026_11_25_audit
Follows: 2026_11_25_contact_national_id
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_11_25_audit"
down_revision = "2026_11_25_contact_national_id"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Wait for no lock longer than a client would: a migration that cannot have it fails, and is tried again."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '10min'")
    op.create_table(
        "audit_entry",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("event_xid", sa.BigInteger(), nullable=False),
        sa.Column("event_seq", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("entity", sa.Text(), nullable=False),
        sa.Column("record_id", sa.Text(), nullable=False),
        sa.Column("record_ids", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("fields", sa.ARRAY(sa.Text()), nullable=False),
        sa.Column("actor_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("client_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("address", sa.Text(), nullable=True),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sealed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("previous_hash", sa.Text(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "number", name=op.f("audit_entry_pkey")),
        sa.UniqueConstraint("workspace_id", "event_seq", name=op.f("uq_audit_entry_workspace_id_event_seq")),
        sa.UniqueConstraint("workspace_id", "id", name=op.f("uq_audit_entry_workspace_id_id")),
    )
    op.create_index("ix_audit_entry_actor_id", "audit_entry", ["workspace_id", "actor_id", "id"], unique=False)
    op.create_index("ix_audit_entry_at", "audit_entry", ["workspace_id", "at", "id"], unique=False)
    op.create_index("ix_audit_entry_record_id", "audit_entry", ["workspace_id", "record_id", "id"], unique=False)
    op.create_index("ix_audit_entry_type", "audit_entry", ["workspace_id", "type", "id"], unique=False)
    op.create_table(
        "audit_head",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
        sa.Column("event_xid", sa.BigInteger(), nullable=False),
        sa.Column("event_seq", sa.BigInteger(), nullable=False),
        sa.Column("key_id", sa.Text(), nullable=False),
        sa.Column("seal", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", name=op.f("audit_head_pkey")),
    )
    op.create_index("ix_audit_head_position", "audit_head", ["event_xid", "event_seq"], unique=False)


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")

    op.drop_index("ix_audit_head_position", table_name="audit_head")
    op.drop_table("audit_head")
    op.drop_index("ix_audit_entry_type", table_name="audit_entry")
    op.drop_index("ix_audit_entry_record_id", table_name="audit_entry")
    op.drop_index("ix_audit_entry_at", table_name="audit_entry")
    op.drop_index("ix_audit_entry_actor_id", table_name="audit_entry")
    op.drop_table("audit_entry")
