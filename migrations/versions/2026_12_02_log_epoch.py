"""The log has an epoch, tied to the cluster whose transactions its positions are of

Revision: 2026_12_02_log_epoch
Follows: 2026_12_02_workspace_directory
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "2026_12_02_log_epoch"
down_revision = "2026_12_02_workspace_directory"
branch_labels = None
depends_on = None
adds_only = False
# Code of before reads by its own horizon: it would see nothing of a log that was restored meanwhile.

FUNCTIONS = (
    "CREATE FUNCTION crm_log_position() RETURNS xid8 STABLE PARALLEL SAFE LANGUAGE sql AS"
    " 'SELECT pg_current_xact_id()'",
    "CREATE FUNCTION crm_log_horizon() RETURNS xid8 STABLE PARALLEL SAFE LANGUAGE sql AS"
    " 'SELECT pg_snapshot_xmin(pg_current_snapshot())'",
)
STAMP = """
DO $$
DECLARE
    label text;
    foreign_log boolean;
BEGIN
    BEGIN
        label := md5(coalesce(pg_read_file('backup_label.old', 0, 65536, true), ''));
    EXCEPTION WHEN insufficient_privilege THEN
        label := NULL;
    END;
    foreign_log := EXISTS (SELECT FROM event WHERE xid > pg_current_xact_id())
        OR EXISTS (SELECT FROM audit_head WHERE event_xid > pg_current_xact_id()::text::bigint);
    INSERT INTO log_epoch (number, known_xid, system_identifier, timeline, relation, backup_label, began_at)
    SELECT 0, 0, CASE WHEN NOT foreign_log THEN system_identifier END,
        ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::bigint,
        'log_epoch'::regclass::oid::bigint, label, now()
    FROM pg_control_system();
END
$$
"""
"""A log that came from another cluster before there were epochs has positions that this one has not given out yet: it
belongs to no cluster then, and whoever starts on it is told so."""


def upgrade() -> None:
    """A new table and two functions; the default of the log's positions says the same as before, by the first one."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.create_table(
        "log_epoch",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("known_xid", sa.BigInteger(), nullable=False),
        sa.Column("system_identifier", sa.BigInteger(), nullable=True),
        sa.Column("timeline", sa.BigInteger(), nullable=True),
        sa.Column("relation", sa.BigInteger(), nullable=True),
        sa.Column("backup_label", sa.Text(), nullable=True),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("log_epoch_pkey")),
    )
    for function in FUNCTIONS:
        op.execute(function)
    op.execute("ALTER TABLE event ALTER COLUMN xid SET DEFAULT crm_log_position()")
    op.execute(STAMP)


def downgrade() -> None:
    """The way back, in the first epoch alone: without epochs, what later ones wrote would never be seen."""
    op.execute("SET LOCAL lock_timeout = '5s'")
    if op.get_bind().execute(sa.text("SELECT count(*) FROM log_epoch WHERE number > 0")).scalar_one():
        raise RuntimeError("this log was restored: versions from before `crm-graph restore` would not see its events")
    op.execute("ALTER TABLE event ALTER COLUMN xid SET DEFAULT pg_current_xact_id()")
    op.execute("DROP FUNCTION crm_log_position(), crm_log_horizon()")
    op.drop_table("log_epoch")
