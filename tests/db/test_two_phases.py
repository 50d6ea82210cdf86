"""The horizon of a cluster, on a plain Postgres that has a table by the name of Citus' own: what it waits for after a
crash, and that a crash is noticed. What commits on workers is tried on a real cluster (docs/operating/citus.md)."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from crm_graph.cli.recovery.keys import KeysInUse
from crm_graph.cli.recovery.manifest import DUMP, manifest_of
from crm_graph.db import embedded, two_phases
from crm_graph.db.outages import is_away
from crm_graph.db.two_phases import BEHIND_WORKERS, SNAPSHOT, is_joined, settle
from crm_graph.events.epoch import begin_epoch
from crm_graph.kernel.errors import OperatorError
from tests.support.database import clone

CITUS = """
    CREATE TABLE pg_dist_transaction (groupid int, gid text);
    CREATE TABLE pg_dist_node (groupid int, nodename text, nodeport int);
    INSERT INTO pg_dist_node VALUES (1, 'a', 5432), (2, 'b', 5432);
    CREATE FUNCTION recover_prepared_transactions() RETURNS int LANGUAGE sql AS
        $$ DELETE FROM pg_dist_transaction WHERE gid = 'reached' RETURNING 1 $$;
    CREATE SCHEMA crm_cluster;
"""
HORIZON = "SELECT crm_cluster.horizon()::text::bigint"
RECORD = """
    INSERT INTO pg_dist_transaction VALUES ($1, $2) RETURNING pg_current_xact_id()::text::bigint
"""


async def _as_cluster(connection: asyncpg.Connection[Any]) -> None:
    async with connection.transaction():
        await connection.execute(CITUS)
        await connection.execute(two_phases.ON_COORDINATOR)


@pytest.fixture
async def coordinator(postgres: str, database_url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection to a database that looks like a coordinator's."""
    assert database_url, "makes the template"
    name = f"two_phases_{os.getpid()}"
    connection = await asyncpg.connect(await clone(postgres, name))
    try:
        await _as_cluster(connection)
        yield connection
    finally:
        await connection.close()
        server = await asyncpg.connect(postgres)
        await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
        await server.close()


async def test_nothing_waits_for_records_of_what_is_settled(coordinator: asyncpg.Connection[Any]) -> None:
    position = await coordinator.fetchval(RECORD, 1, "reached")
    assert await settle(coordinator, [], None) is None
    assert await coordinator.fetchval("SELECT count(*) FROM pg_dist_transaction") == 1, "nothing is recovered for it"
    horizon = await coordinator.fetchval(HORIZON)
    other = await coordinator.fetchval(f"SELECT {SNAPSHOT}::text::bigint")
    assert horizon <= other
    assert position < other or horizon <= position  # a neighbour's transaction can hold both


async def test_after_a_crash_readers_wait_until_what_was_prepared_is_recovered(
    coordinator: asyncpg.Connection[Any],
) -> None:
    position = await coordinator.fetchval(RECORD, 1, "reached")
    await coordinator.execute("TRUNCATE crm_cluster.settled")  # as Postgres does
    await coordinator.execute("CREATE TABLE later ()")
    assert await coordinator.fetchval(HORIZON) <= position
    assert await settle(coordinator, [], None) is None
    assert await coordinator.fetchval("SELECT count(*) FROM crm_cluster.settled") == 1
    assert await coordinator.fetchval("SELECT count(*) FROM pg_dist_transaction") == 0


async def test_it_is_not_settled_while_a_worker_that_answers_holds_something(
    coordinator: asyncpg.Connection[Any],
) -> None:
    await coordinator.fetchval(RECORD, 2, "held")
    await coordinator.execute("TRUNCATE crm_cluster.settled")
    since = await settle(coordinator, ["a:5432"], None)
    assert since is not None
    assert await settle(coordinator, ["a:5432"], since) == since
    assert await settle(coordinator, ["b:5432"], since) is None, "of a worker that is down nothing can be read"


async def test_a_new_epoch_keeps_the_horizon_of_a_cluster(coordinator: asyncpg.Connection[Any]) -> None:
    assert await is_joined(coordinator)
    async with coordinator.transaction():
        await begin_epoch(coordinator)
    assert BEHIND_WORKERS in await coordinator.fetchval("SELECT prosrc FROM pg_proc WHERE proname = 'crm_log_horizon'")


async def test_a_cluster_is_backed_up_by_its_nodes(coordinator: asyncpg.Connection[Any]) -> None:
    with pytest.raises(OperatorError, match="no rows of the workers"):
        await manifest_of(coordinator, DUMP, KeysInUse((), (), own_secret=True), embedded=False)


async def test_a_plain_postgres_has_none_of_it(postgres: str) -> None:
    connection = await asyncpg.connect(postgres)
    try:
        assert not await is_joined(connection)
    finally:
        await connection.close()


async def test_a_crash_is_noticed_and_a_stop_is_not(tmp_path: Path) -> None:
    """Postgres empties unlogged tables when it recovers."""

    async def settled(url: str) -> int:
        connection = await asyncpg.connect(url)
        try:
            return int(await connection.fetchval("SELECT count(*) FROM crm_cluster.settled"))
        finally:
            await connection.close()

    with embedded.running(tmp_path) as server:
        connection = await asyncpg.connect(server.url)
        await _as_cluster(connection)
        await connection.close()
    with embedded.running(tmp_path) as server:
        assert await settled(server.url) == 1
        killed = await asyncpg.connect(server.url)
        os.kill(killed.get_server_pid(), 9)
        while True:
            try:
                assert await settled(server.url) == 0
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                continue
            break


def test_a_worker_that_is_lost_before_the_commit_is_away() -> None:
    assert is_away(asyncpg.InternalServerError("failure on connection marked as essential: b:5432"))
    assert not is_away(asyncpg.InternalServerError("cache lookup failed for type 7"))
