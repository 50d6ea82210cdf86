"""A migration that is cut off leaves nothing of itself: the next one starts where this one did."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from crm_graph.db import embedded
from crm_graph.db.base import Base
from crm_graph.db.revisions import state
from tests.faults.outages import small_disk
from tests.support.database import with_database
from tests.support.forked import Command
from tests.support.server import crm_graph, environment

WAIT_S = 60
LOCK = 7_226_199_001
_STOP_IN_THE_MIDDLE = f"""
    CREATE FUNCTION stop_in_the_middle() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
        IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity = 'public.ticket') THEN
            PERFORM pg_advisory_lock({LOCK});
        END IF;
    END $$;
    CREATE EVENT TRIGGER stop_in_the_middle ON ddl_command_end WHEN TAG IN ('CREATE TABLE')
        EXECUTE FUNCTION stop_in_the_middle();
"""
_GO_ON = "DROP EVENT TRIGGER stop_in_the_middle; DROP FUNCTION stop_in_the_middle"
TABLES = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"


@pytest.fixture
async def empty(postgres: str) -> AsyncIterator[str]:
    """The address of an empty database."""
    name = f"crm_cut_{uuid4().hex[:8]}"
    server = await asyncpg.connect(postgres)
    await server.execute(f"CREATE DATABASE {name}")
    yield with_database(postgres, name)
    await server.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await server.close()


async def test_one_that_is_killed_in_the_middle(empty: str, tmp_path: Path) -> None:
    """Its process dies between two tables; whoever comes next does all of it."""
    connection = await asyncpg.connect(empty)
    await connection.execute(_STOP_IN_THE_MIDDLE)
    await connection.execute("SELECT pg_advisory_lock($1)", LOCK)
    with (tmp_path / "log").open("wb") as log:
        migrating = Command(["migrate"], environment(DATABASE_URL=empty), log.fileno(), log.fileno())
        waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = $1)"
        async with asyncio.timeout(WAIT_S):
            while not await connection.fetchval(waiting, LOCK & 0xFFFFFFFF):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
        migrating.kill()
        migrating.wait()
    assert await connection.fetchval(TABLES) == 0
    await connection.execute("SELECT pg_advisory_unlock($1)", LOCK)
    await connection.execute(_GO_ON)
    await connection.close()
    done = await asyncio.to_thread(crm_graph, "migrate", DATABASE_URL=empty)
    assert done.returncode == 0, done.stderr
    assert (await state(empty)).up_to_date
    connection = await asyncpg.connect(empty)
    assert await connection.fetchval(TABLES) >= len(Base.metadata.tables)
    await connection.close()


@pytest.fixture
def on_small_disk(tmp_path: Path) -> Iterator[embedded.Server]:
    """A Postgres whose disk is small."""
    data = tmp_path / "data"
    try:
        disk = small_disk(data, 128)
        disk.__enter__()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs to mount a small disk")
    try:
        with embedded.running(data, shared_buffers_mb=16) as running:
            yield running
    finally:
        disk.__exit__(None, None, None)


async def test_one_whose_disk_fills(on_small_disk: embedded.Server, tmp_path: Path) -> None:
    """It says so, in two lines; with room again it is done."""
    url, ballast = on_small_disk.url, tmp_path / "data" / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(65_536))
    done = await asyncio.to_thread(crm_graph, "migrate", DATABASE_URL=url)
    assert done.returncode == 2, done.stderr
    assert "the disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert "fix:" in done.stderr
    connection = await asyncpg.connect(url)
    assert await connection.fetchval(TABLES) == 0
    await connection.close()
    ballast.unlink()
    done = await asyncio.to_thread(crm_graph, "migrate", DATABASE_URL=url)
    assert done.returncode == 0, done.stderr
    assert (await state(url)).up_to_date
