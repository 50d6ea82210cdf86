"""How much each workspace stores: measured now and then over the tables themselves, by one process for all.

Nothing counts while it is written: a row of counters that every writer of a workspace updates would make them wait for
each other. What is measured is what the rows take, with their index entries; of a large table a part of its pages is
read and the whole is taken to be alike. Space that deleted rows leave behind is nobody's.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import asyncpg
from sqlalchemy import ARRAY, BigInteger, LargeBinary, String, Table
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Base, Id
from crm_graph.db.connecting import unit
from crm_graph.db.outages import is_away
from crm_graph.db.placement import LOCAL

ROW_BYTES, ENTRY_BYTES = 120, 60
"""What a row takes beside its texts and JSON: its header, its ids and times; and its entry in an index."""
SAMPLE_BYTES = 64 * 1024 * 1024
"""So much of a table is read, beside the long values that lie apart and are not."""
_log = logging.getLogger(__name__)


class WorkspaceUsage(Base):
    """What a workspace stores, as last measured. Local (undistributed) on Citus: one process writes it for all
    workspaces in one statement, and nothing joins it. No foreign key: a row of a workspace that is gone does no harm
    until the next measurement."""

    __tablename__ = "workspace_usage"
    __placement__ = LOCAL

    workspace_id: Mapped[Id] = mapped_column(primary_key=True)
    used_bytes: Mapped[int] = mapped_column(BigInteger)
    measured_at: Mapped[datetime]


_WRITE = """
    INSERT INTO workspace_usage (workspace_id, used_bytes, measured_at)
    SELECT one.id, one.bytes, $3 FROM unnest($1::uuid[], $2::bigint[]) AS one (id, bytes)
    ON CONFLICT (workspace_id) DO UPDATE SET used_bytes = excluded.used_bytes, measured_at = excluded.measured_at
"""
_SIZE = "SELECT pg_table_size($1::text::regclass)"
_CLUSTERED = "SELECT EXISTS (SELECT 1 FROM pg_extension WHERE extname = 'citus')"
_SIZE_OF_SHARDS = "SELECT coalesce(sum(shard_size), 0)::bigint FROM citus_shards WHERE table_name = $1::text::regclass"
_FORGET = "DELETE FROM workspace_usage WHERE measured_at < $1"


async def measure(connection: asyncpg.Connection[Any], tables: Iterable[Table]) -> Mapping[str, int]:
    """Return how many bytes each workspace stores in these tables, by its id. A table that cannot be read is left out,
    and the log says so: what all the others say is still worth having. Raises what says that the database is away."""
    used: Counter[str] = Counter()
    for table in tables:
        if "workspace_id" not in table.c or table.name == WorkspaceUsage.__tablename__:
            continue
        try:
            async with unit(connection):
                used.update(await _measure_table(connection, table))
        except asyncpg.PostgresError as error:
            if is_away(error):
                raise
            _log.warning("the table %s is not measured", table.name, exc_info=True)
    return used


async def _measure_table(connection: asyncpg.Connection[Any], table: Table) -> dict[str, int]:
    size = int(await connection.fetchval(_SIZE, table.name))
    if await connection.fetchval(_CLUSTERED):  # then what lies here is a shell
        size += int(await connection.fetchval(_SIZE_OF_SHARDS, table.name))
    percent = 100.0 if size <= SAMPLE_BYTES else max(0.01, 100.0 * SAMPLE_BYTES / size)
    rows = await connection.fetch(_statement(table, percent))
    return {row["workspace_id"]: round(row["bytes"] * 100 / percent) for row in rows}


def _statement(table: Table, percent: float) -> str:
    """Return the statement that adds up a table by workspace. `pg_column_size` is of what is stored, compressed, and
    reads nothing that lies apart. Rows of no workspace, a device that waits say, are charged to none."""
    long = [each.name for each in table.columns if isinstance(each.type, String | ARRAY | JSONB | LargeBinary)]
    fixed = ROW_BYTES + ENTRY_BYTES * (len(table.indexes) + 1)
    summed = "".join(f' + coalesce(sum(pg_column_size("{name}")), 0)' for name in long)
    sample = "" if percent >= 100 else f" TABLESAMPLE SYSTEM ({percent:.4f})"
    return (
        f'SELECT workspace_id, (count(*) * {fixed}{summed})::bigint AS bytes FROM "{table.name}"{sample}'  # noqa: S608
        " WHERE workspace_id IS NOT NULL GROUP BY workspace_id"
    )


async def write_usage(connection: asyncpg.Connection[Any], used: Mapping[str, int], at: datetime) -> None:
    """Keep a measurement in the place of the one before."""
    async with unit(connection):
        await connection.execute(_WRITE, list(used), list(used.values()), at)
        await connection.execute(_FORGET, at)
