"""Queries on a replica, and everything but sessions through PgBouncer: against the real ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from crm_graph.api.lags import Lags
from crm_graph.app import running_engine
from crm_graph.cli.operating.addresses import check_others, check_session
from crm_graph.db import embedded
from crm_graph.db.embedded.cluster import Cluster
from crm_graph.db.migrate import upgrade
from crm_graph.db.pool import Database, PoolSettings
from crm_graph.db.session import ReadSession
from crm_graph.db.statements import Statement
from crm_graph.demo.seed import seed
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.installation import Installation
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.settings import Settings
from tests.events.live import Live
from tests.support.neighbours import find_pgbouncer, pooler, standby
from tests.support.services import SECRET

pytestmark = pytest.mark.xdist_group("neighbours")

PGBOUNCER = find_pgbouncer()
CUSTOMER = "query ($id: ID!) { customer(id: $id) { name } }"


@pytest.fixture(scope="module")
def server(run_directory: Path) -> Iterator[embedded.Server]:
    """A Postgres of its own: with a role that has time limits, as behind a pooler it must."""
    with embedded.running(run_directory / "neighbours", shared_buffers_mb=64) as running:
        yield running


@pytest.fixture(scope="module")
def cluster(server: embedded.Server) -> Cluster:
    """Where its files are, and who runs it."""
    return server._postmaster.cluster


@pytest.fixture(scope="module")
async def url(server: embedded.Server) -> str:
    """Its address, with demo data."""
    await upgrade(server.url)
    database = await Database.open(server.url)
    await seed(database, 10, slug="demo", name="Demo")
    await database.close()
    return server.url


@asynccontextmanager
async def living(
    installation: Installation, schema: BuiltSchema, settings: Settings | None = None
) -> AsyncIterator[Live]:
    """Run an engine with all of its background work."""
    async with running_engine(installation, settings or Settings(), schema) as engine:
        connection = await asyncpg.connect(installation.url)
        try:
            yield Live(engine, connection)
        finally:
            await connection.close()


async def doctor(url: str, **environ: str) -> list[tuple[str, str]]:
    """Return what the doctor says of the addresses."""
    return [await check_session(url), *[each async for each in check_others(url, environ)]]


@pytest.mark.skipif(PGBOUNCER is None, reason="needs PgBouncer 1.21 or later, or CRM_TEST_PGBOUNCER")
async def test_through_pgbouncer(url: str, cluster: Cluster, schema: BuiltSchema) -> None:
    assert PGBOUNCER is not None
    with pooler(cluster, PGBOUNCER) as pool_url:
        async with living(Installation(url, [SECRET], pool_url=pool_url), schema) as live:
            admin = await live.member("admin")
            async with live.watching(admin) as stream:
                ids = await asyncio.gather(*(live.create(admin, f"deal {number}") for number in range(30)))
                told = await stream.wait_for(len(ids))
            assert {each["recordId"] for each in told} == set(ids)
        said = await doctor(url, DATABASE_POOL_URL=pool_url)
        assert said[0] == ("DATABASE_URL hears what it listens to", "")
        assert "no statement_timeout" in said[1][0]
        async with _limited(url):
            assert (await doctor(url, DATABASE_POOL_URL=pool_url))[1][1] == ""
        with pytest.raises(OperatorError, match="DATABASE_POOL_URL"):
            await check_session(pool_url)


@pytest.mark.skipif(PGBOUNCER is None, reason="needs PgBouncer 1.21 or later, or CRM_TEST_PGBOUNCER")
async def test_a_large_statement_is_never_anothers(url: str, cluster: Cluster) -> None:
    """asyncpg gives a statement above 15 KiB no name: were it parsed on one server and bound on another, it would be
    whatever somebody else parsed there last. It is parsed without a sync, and PgBouncer leaves the server to it."""
    assert PGBOUNCER is not None
    with pooler(cluster, PGBOUNCER) as pool_url:
        database = await Database.open(url, None, PoolSettings(read_size=10, write_size=2), pool_url)

        async def ask(number: int) -> None:
            statement = Statement(f"SELECT {number}, $1::int /* {'x' * 20_000} */", ("value",), {})
            for value in range(20):
                lease = database.lease()
                found = await ReadSession(lease).fetch(statement, {"value": value})
                lease.release()
                assert [tuple(row) for row in found] == [(number, value)]

        try:
            await asyncio.gather(*(ask(number) for number in range(10)))
        finally:
            await database.close()


@asynccontextmanager
async def _limited(url: str) -> AsyncIterator[None]:
    connection = await asyncpg.connect(url)
    await connection.execute("ALTER ROLE crm SET statement_timeout = '30s'")
    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = 'crm'"
    )
    try:
        yield
    finally:
        await connection.execute("ALTER ROLE crm RESET statement_timeout")
        await connection.close()


async def answering(url: str) -> asyncpg.Connection[Any]:
    """Return a connection, once the server has started."""
    async with asyncio.timeout(30):
        while True:
            try:
                return await asyncpg.connect(url)
            except asyncpg.CannotConnectNowError:
                await asyncio.sleep(0.05)


async def test_queries_on_a_replica(url: str, cluster: Cluster, schema: BuiltSchema) -> None:
    """A replica that is behind answers what was; mutations, subscriptions and cursors of the feed are not behind."""
    if not (cluster.binaries.bin / "pg_basebackup").exists():
        pytest.skip("these Postgres binaries have no pg_basebackup")
    with standby(cluster) as read_url:
        replica = await answering(read_url)
        patient = Settings(replica_max_lag_ms=3_600_000)
        async with living(Installation(url, [SECRET], read_url), schema, patient) as live:
            admin, reader = await live.member("admin"), await live.member("analyst")
            async with asyncio.timeout(30):
                while not live.engine.replica.is_usable:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.05)
            cursor = (await live.data(reader, "{ changes { cursor } }"))["changes"]["cursor"]
            await replica.execute("SELECT pg_wal_replay_pause()")
            async with live.watching(admin) as stream:
                made = await live.mutate(admin, "createCustomer", {"name": "Zebra"}, "customer { id name }")
                deal = await live.create(admin, "a deal")
                (told,) = await stream.wait_for(1)
            assert (made["customer"]["name"], told["recordId"]) == ("Zebra", deal)
            id_ = {"id": made["customer"]["id"]}
            assert await live.data(reader, CUSTOMER, id_) == {"customer": None}
            feed = "query ($after: Cursor) { changes(after: $after) { cursor nodes { recordId } } }"
            behind = (await live.data(reader, feed, {"after": cursor}))["changes"]
            assert behind["nodes"] == []
            lags = Lags(live.engine.database)
            await lags.refresh()
            assert (lags.replica_bytes or 0) > 0
            assert lags.seconds["replica"] > 0
            await replica.execute("SELECT pg_wal_replay_resume()")
            async with asyncio.timeout(30):
                while await live.data(reader, CUSTOMER, id_) != {"customer": {"name": "Zebra"}}:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                found: set[str] = set()
                while not found >= {id_["id"], deal}:
                    page = (await live.data(reader, feed, {"after": behind["cursor"]}))["changes"]
                    found |= {each["recordId"] for each in page["nodes"]}
        assert (await doctor(url, DATABASE_READ_URL=read_url))[1] == (
            "DATABASE_READ_URL is a replica that keeps up",
            "",
        )
        await replica.close()
    what, fix = (await doctor(url, DATABASE_READ_URL=url))[1]
    assert (what, bool(fix)) == ("DATABASE_READ_URL is no replica", True)
