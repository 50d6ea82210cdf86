"""Pools outlive their connections."""

from __future__ import annotations

import asyncio

import asyncpg

from crm_graph.db.pool import Database, PoolSettings

SIZE = 3


async def _open_all(database: Database) -> None:
    """Have every connection of both pools opened, and lie at hand."""
    for pool in database.pools().values():
        await asyncio.gather(*(pool.fetch("SELECT pg_sleep(0.05)") for _ in range(SIZE)))
        assert pool.idle == SIZE


async def test_connections_that_the_server_closed_are_replaced(database_url: str) -> None:
    """All of them at once, as a restart of the server does, and again and again: no place is lost."""
    database = await Database.open(database_url, None, PoolSettings(SIZE, SIZE))
    server = await asyncpg.connect(database_url)
    try:
        for _ in range(SIZE):
            await _open_all(database)
            await server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'crm-graph' AND pid <> pg_backend_pid()"
            )
            await asyncio.sleep(0.1)  # it is noticed
            async with asyncio.timeout(10):
                for pool in database.pools().values():
                    assert [tuple(row) for row in await pool.fetch("SELECT 1")] == [(1,)]
                    assert pool.lent == 0
    finally:
        await server.close()
        await database.close()
