"""The version of a workspace's directory has a table of its own, and so have the addresses of members

Revision: 2026_12_02_workspace_directory
Follows: 2026_12_01_stage_history
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from crm_graph.db.placement import DISTRIBUTED
from crm_graph.db.placing import ForeignKey, op_distribute

revision = "2026_12_02_workspace_directory"
down_revision = "2026_12_01_stage_history"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Wait for no lock longer than a client would. A process of the version before cannot go on: it would neither see
    nor tell of a change of roles."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "workspace_directory",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("directory_version", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", name=op.f("workspace_directory_pkey")),
    )
    op.execute("INSERT INTO workspace_directory SELECT id, directory_version FROM workspace")
    op_distribute(
        "workspace_directory",
        DISTRIBUTED,
        ForeignKey("fk_workspace_directory_workspace_id", ["workspace_id"] * 2, "workspace", on_delete="CASCADE"),
    )
    op.drop_column("workspace", "directory_version")
    op.create_table(
        "member_address",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "email", name=op.f("member_address_pkey")),
    )
    op.execute("INSERT INTO member_address SELECT DISTINCT workspace_id, lower(email) FROM member")
    op.create_index("ix_member_address_email", "member_address", ["email"])
    op.drop_index("ix_member_email", table_name="member")


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_index("ix_member_email", "member", [sa.literal_column("lower(email)")])
    op.drop_table("member_address")
    op.add_column("workspace", sa.Column("directory_version", sa.BigInteger(), server_default="0", nullable=False))
    connection = op.get_bind()
    for row in connection.execute(sa.text("SELECT workspace_id, directory_version FROM workspace_directory")).all():
        connection.execute(  # one by one: a cluster joins no distributed table to a write to every node
            sa.text("UPDATE workspace SET directory_version = :directory_version WHERE workspace_id = :workspace_id"),
            dict(row._mapping),
        )
    op.drop_table("workspace_directory")
