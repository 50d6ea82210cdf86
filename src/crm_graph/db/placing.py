"""What migrations say of placement: a table that comes after `crm-graph distribute` is placed as it is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from alembic import op
from sqlalchemy import text

from crm_graph.db.placement import DISTRIBUTED, LOCAL, Placement
from crm_graph.db.two_phases import IS_JOINED, TRIGGER

_BESIDE = """
    SELECT relname::text FROM pg_dist_partition JOIN pg_class ON pg_class.oid = logicalrelid
    WHERE partmethod = 'h' AND relnamespace = current_schema()::regnamespace ORDER BY relname LIMIT 1
"""
_IS_KNOWN = text("SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = to_regclass(:table))")
"""A local table that refers to a reference table is one of Citus' own, and commits together with others by itself."""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key of a table that is being made: by default to another one's `(workspace_id, id)`."""

    name: str
    columns: Sequence[str]
    table: str
    to: Sequence[str] = ("workspace_id", "id")
    on_delete: str | None = None


def op_distribute(table: str, placement: Placement, *foreign_keys: ForeignKey) -> None:
    """Place a table that this migration has made without its foreign keys, and then add these: Citus refuses one
    between a table that is distributed and one that is not yet. On a database where nothing is distributed they are
    added, and that is all. A local table commits together with rows of the workers from then on (`two_phases.py`)."""
    connection = op.get_bind()
    if placement is not LOCAL and connection.scalar(text("SELECT to_regclass('pg_dist_partition') IS NOT NULL")):
        beside = connection.scalar(text(_BESIDE))
        if beside is not None and placement is DISTRIBUTED:
            connection.execute(
                text("SELECT create_distributed_table(:table, 'workspace_id', colocate_with => :beside)"),
                {"table": table, "beside": beside},
            )
        elif beside is not None:
            connection.execute(text("SELECT create_reference_table(:table)"), {"table": table})
    for key in foreign_keys:
        op.create_foreign_key(op.f(key.name), table, key.table, list(key.columns), list(key.to), ondelete=key.on_delete)
    if placement is LOCAL and connection.scalar(text(IS_JOINED)) and not connection.scalar(_IS_KNOWN, {"table": table}):
        connection.execute(text(TRIGGER.format(table=table)))
