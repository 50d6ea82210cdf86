"""The kept history of a graph in a savepoint: what a projector behind the log would have made of it."""

from __future__ import annotations

import asyncpg

from crm_graph.events.projector import Projector
from tests.support.graph import Graph

_ALL_IS_VISIBLE = """
    CREATE OR REPLACE FUNCTION crm_log_horizon() RETURNS xid8 STABLE PARALLEL SAFE LANGUAGE sql
    AS $$ SELECT '9223372036854775807'::xid8 $$
"""


def projector_of(graph: Graph, batch: int = 1_000) -> Projector:
    """Return a projector of a graph's types."""
    registry = graph.schema.registry
    types = {record.name: record.table for record in registry.records.values()}
    return Projector("", types, registry.effects, graph.engine.services.vault, batch=batch)


async def begin(graph: Graph) -> None:
    """Let the history of a graph begin with the rows that are there. Its transaction is open, and is read all the
    same."""
    one = graph.database.one
    async with one.busy():
        await one.connection.execute(_ALL_IS_VISIBLE)
        await projector_of(graph).begin(one.connection)
        await one.connection.execute("UPDATE history_position SET xid = (SELECT max(xid::text::bigint) FROM event)")
        await one.connection.execute("UPDATE history_position SET seq = (SELECT max(seq) FROM event)")


async def project(graph: Graph, batch: int = 1_000) -> int:
    """Make versions of all that has happened; return of how many events."""
    one, total = graph.database.one, 0
    async with one.busy():
        while passed := await projector_of(graph, batch).project_batch(one.connection):
            total += passed
    return total


async def differing(connection: asyncpg.Connection, table: str, but: str = "") -> list[asyncpg.Record]:
    """Return what of the rows of a table is not what its versions say is so now."""
    left_out = f"'{{valid_from,valid_to,by_kind,by_member_id,by_client_id,told_as,event_xid,event_seq{but}}}'::text[]"
    now = f"SELECT to_jsonb(row) - {left_out} AS it FROM {table} AS row"
    then = f"SELECT to_jsonb(row) - {left_out} AS it FROM {table}_version AS row WHERE valid_to = 'infinity'"
    return await connection.fetch(f"({now} EXCEPT {then}) UNION ALL ({then} EXCEPT {now})")
