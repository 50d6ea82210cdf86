"""Jobs: their records, the parts of their files, and the queue in a schema of its own

Revision: 2026_11_26_jobs
Follows: 2026_11_25_authorizations
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from crm_graph.jobs.queue import install_statements

revision = "2026_11_26_jobs"
down_revision = "2026_11_26_event_horizon"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Wait for no lock longer than a client would: a migration that cannot have it fails, and is tried again."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("SET LOCAL statement_timeout = '10min'")
    op.create_table(
        "job",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("done", sa.BigInteger(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("created_by_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("client_id", sa.Uuid(as_uuid=False), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("arguments", postgresql.JSONB(), nullable=False),
        sa.Column("result", postgresql.JSONB(), nullable=True),
        sa.Column("queue_id", sa.BigInteger(), nullable=True),
        sa.Column("run", sa.Integer(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('QUEUED', 'RUNNING', 'DONE', 'FAILED', 'CANCELLED')", name=op.f("ck_job_status")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "created_by_id"], ["member.workspace_id", "member.id"], name=op.f("fk_job_created_by_id")
        ),
        sa.ForeignKeyConstraint(
            ["workspace_id", "workspace_id"],
            ["workspace.workspace_id", "workspace.id"],
            name=op.f("fk_job_workspace_id"),
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name=op.f("job_pkey")),
    )
    op.create_index("ix_job_created_by_id", "job", ["workspace_id", "created_by_id", "id"], unique=False)
    op.create_index("ix_job_ended_at", "job", ["workspace_id", "ended_at"], unique=False)
    op.create_index("ix_job_status", "job", ["workspace_id", "status", "id"], unique=False)
    op.create_table(
        "job_part",
        sa.Column("workspace_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("job_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("run", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["workspace_id", "job_id"],
            ["job.workspace_id", "job.id"],
            name=op.f("fk_job_part_job_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "job_id", "run", "number", name=op.f("job_part_pkey")),
    )
    for statement in install_statements():
        op.execute(statement)


def downgrade() -> None:
    """The way back."""
    op.execute("SET LOCAL lock_timeout = '5s'")

    op.execute("DROP SCHEMA crm_jobs CASCADE")
    op.drop_table("job_part")
    op.drop_index("ix_job_status", table_name="job")
    op.drop_index("ix_job_ended_at", table_name="job")
    op.drop_index("ix_job_created_by_id", table_name="job")
    op.drop_table("job")
