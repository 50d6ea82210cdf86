"""Queries on a replica: nobody misses what they wrote, no right is read there, and it may go away or fall behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from crm_graph.app import running_engine
from crm_graph.db import embedded
from crm_graph.db.embedded.cluster import Cluster
from crm_graph.db.migrate import upgrade
from crm_graph.db.pool import Database
from crm_graph.demo.seed import seed
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.installation import Installation
from crm_graph.kernel.errors import Unauthenticated
from crm_graph.kernel.settings import Settings
from tests.events.live import Live
from tests.support.neighbours import standby
from tests.support.services import SECRET

pytestmark = pytest.mark.xdist_group("neighbours")

WAIT_S = 60
PATIENT = Settings(replica_max_lag_ms=3_600_000)
"""The replica is used however far it is behind."""
CUSTOMERS = "{ customers { totalCount } }"


@pytest.fixture(scope="module")
def server(run_directory: Path) -> Iterator[embedded.Server]:
    """A Postgres of its own."""
    with embedded.running(run_directory / "replica", shared_buffers_mb=64) as running:
        yield running


@pytest.fixture(scope="module")
async def url(server: embedded.Server) -> str:
    """Its address, with demo data."""
    cluster: Cluster = server._postmaster.cluster
    if not (cluster.binaries.bin / "pg_basebackup").exists():
        pytest.skip("these Postgres binaries have no pg_basebackup")
    await upgrade(server.url)
    database = await Database.open(server.url)
    await seed(database, 10, slug="demo", name="Demo")
    await database.close()
    return server.url


@asynccontextmanager
async def reading(
    url: str, read_url: str, schema: BuiltSchema, settings: Settings
) -> AsyncIterator[tuple[Live, asyncpg.Connection[Any]]]:
    """Run an engine whose queries may go to a replica; lend it with a connection to the primary."""
    async with running_engine(Installation(url, [SECRET], read_url), settings, schema) as engine:
        connection = await asyncpg.connect(url)
        try:
            yield Live(engine, connection), connection
        finally:
            await connection.close()


async def connected(read_url: str) -> asyncpg.Connection[Any]:
    """Return a connection to a replica, once it has started."""
    async with asyncio.timeout(WAIT_S):
        while True:
            try:
                return await asyncpg.connect(read_url)
            except (OSError, asyncpg.CannotConnectNowError):
                await asyncio.sleep(0.05)


async def becomes(live: Live, *, usable: bool) -> None:
    """Wait until the engine has noticed how the replica is."""
    async with asyncio.timeout(WAIT_S):
        while live.engine.replica.is_usable is not usable:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


async def told(caplog: pytest.LogCaptureFixture, text: str) -> None:
    """Wait until the log has said something."""
    async with asyncio.timeout(WAIT_S):
        while text not in caplog.text:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


def served(live: Live) -> int:
    """Return how many connections to the replica are open: some once a query was there."""
    pool = live.engine.database.replica
    assert pool is not None
    return pool.opened


async def test_own_writes_are_read_and_others_are_late(url: str, server: embedded.Server, schema: BuiltSchema) -> None:
    """Whoever has written is answered by the primary until the replica has it, in every process."""
    with standby(server._postmaster.cluster) as read_url:
        replica = await connected(read_url)
        async with (
            reading(url, read_url, schema, PATIENT) as (live, _),
            reading(url, read_url, schema, PATIENT) as (other, _),
        ):
            writer, reader = await live.member("admin"), await live.member("analyst")
            await becomes(live, usable=True)
            await becomes(other, usable=True)
            before = (await live.data(reader, CUSTOMERS))["customers"]["totalCount"]
            await replica.execute("SELECT pg_wal_replay_pause()")
            await live.mutate(writer, "createCustomer", {"name": "Zebra"}, "customer { id }")
            for process in (live, other):
                assert (await process.data(writer, CUSTOMERS))["customers"]["totalCount"] == before + 1
                assert (await process.data(reader, CUSTOMERS))["customers"]["totalCount"] == before
            await replica.execute("SELECT pg_wal_replay_resume()")
            async with asyncio.timeout(WAIT_S):
                while (await other.data(reader, CUSTOMERS))["customers"]["totalCount"] != before + 1:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        await replica.close()


async def test_who_was_suspended_reads_nothing(url: str, server: embedded.Server, schema: BuiltSchema) -> None:
    """Also where the replica still shows them as a member, and whether or not a process remembers them."""
    with standby(server._postmaster.cluster) as read_url:
        replica = await connected(read_url)
        async with (
            reading(url, read_url, schema, PATIENT) as (live, primary),
            reading(url, read_url, schema, PATIENT) as (other, _),
        ):
            member = await live.member("sales_rep")
            await becomes(live, usable=True)
            await becomes(other, usable=True)
            assert "customers" in await live.data(member, CUSTOMERS)  # it is remembered here, and not there
            await replica.execute("SELECT pg_wal_replay_pause()")
            await primary.execute("UPDATE member SET status = 'SUSPENDED' WHERE id = $1", member.member_id)
            try:
                still = "SELECT status FROM member WHERE id = $1"
                assert await replica.fetchval(still, member.member_id) == "ACTIVE"
                for process in (live, other):
                    answer = await process.answer(member, CUSTOMERS)
                    assert [error["extensions"]["code"] for error in answer["errors"]] == [Unauthenticated.code]
                    assert not answer.get("data")
            finally:
                await primary.execute("UPDATE member SET status = 'ACTIVE' WHERE id = $1", member.member_id)
        await replica.close()


async def test_one_that_is_behind_is_not_used(
    url: str, server: embedded.Server, schema: BuiltSchema, caplog: pytest.LogCaptureFixture
) -> None:
    """Queries go to the primary until it has caught up; the log says so once, and once that it is back."""
    with standby(server._postmaster.cluster) as read_url:
        replica = await connected(read_url)
        settings = Settings(replica_max_lag_ms=1_000, replica_poll_ms=50)
        async with reading(url, read_url, schema, settings) as (live, _):
            writer, reader = await live.member("admin"), await live.member("analyst")
            await becomes(live, usable=True)
            await replica.execute("SELECT pg_wal_replay_pause()")
            await live.mutate(writer, "createCustomer", {"name": "Gnu"}, "customer { id }")
            count = await live.data(writer, CUSTOMERS)
            async with asyncio.timeout(WAIT_S):  # from then on for good: it falls further behind
                while await live.data(reader, CUSTOMERS) != count:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.05)
            await becomes(live, usable=False)
            await told(caplog, "the replica is not used")
            await replica.execute("SELECT pg_wal_replay_resume()")
            await becomes(live, usable=True)
        await replica.close()
    said = [record.getMessage() for record in caplog.records if record.name == "crm_graph.events.replica"]
    assert all("is not used" in line for line in said[::2]), said
    assert all("is used again" in line for line in said[1::2]), said
    assert len(said) >= 2, said


async def test_one_that_is_gone_is_not_missed(
    url: str, server: embedded.Server, schema: BuiltSchema, caplog: pytest.LogCaptureFixture
) -> None:
    """Also in the middle of a query, and before the process has started: no query fails of it."""
    with standby(server._postmaster.cluster) as read_url:
        await (await connected(read_url)).close()
        async with reading(url, read_url, schema, PATIENT) as (live, _):
            reader = await live.member("analyst")
            await becomes(live, usable=True)
            count = await live.data(reader, CUSTOMERS)
            assert served(live) > 0
            ended = await connected(read_url)
            await ended.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'crm-graph'"
            )
            await ended.close()
            for _ in range(5):
                assert await live.data(reader, CUSTOMERS) == count
            await becomes(live, usable=True)
    async with reading(url, read_url, schema, PATIENT) as (live, _):
        reader = await live.member("analyst")
        for _ in range(5):
            assert await live.data(reader, CUSTOMERS) == count
        assert not live.engine.replica.is_usable
        assert await live.engine.database.answers()
    assert not [record for record in caplog.records if "database is away" in record.getMessage()]
