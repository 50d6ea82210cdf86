"""A real Postgres per worker with a template that is made once a run, a clone per worker, a savepoint per test.

Per worker, because the log's readers stop at the snapshot horizon, which is the server's and not the database's: what
a neighbour has open would keep a test waiting, or move the cursor that it has just read.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from crm_graph.db import embedded
from crm_graph.db.codecs import set_codecs
from crm_graph.db.lending import Lease, Payer
from crm_graph.db.migrate import upgrade
from crm_graph.db.nodes import Nodes
from crm_graph.db.pool import Database
from crm_graph.db.session import ReadSession, Session
from crm_graph.demo.seed import seed

TEMPLATE = "crm_template"
CUSTOMERS = 30
OTHER_CUSTOMERS = 5


def with_database(url: str, name: str) -> str:
    """Return the address of another database of the same server."""
    head, _, tail = url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}?{tail}"


def server_of_worker(directory: Path) -> Path:
    """Return the data directory of a Postgres of this worker's own, which has the template.

    The first worker makes one server in `directory`, which nobody uses; each copies it.
    """
    template, own = directory / "postgres", directory / f"postgres-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    with (directory / "postgres-made").open("a") as marker:
        fcntl.flock(marker, fcntl.LOCK_EX)
        if not os.fstat(marker.fileno()).st_size:
            with embedded.running(template) as server:
                asyncio.run(make_template(server.url))
            marker.write("made")
    subprocess.run(["cp", "--archive", template, own], check=True)
    return own


async def make_template(url: str) -> None:
    """Make the template of a server: migrated, with two workspaces of demo data."""
    server = await asyncpg.connect(url)
    await server.execute(f"CREATE DATABASE {TEMPLATE}")
    await server.close()
    template = with_database(url, TEMPLATE)
    await upgrade(template)
    database = await Database.open(template)
    await seed(database, CUSTOMERS, slug="demo", name="Demo")
    await seed(database, OTHER_CUSTOMERS, slug="other", name="Other", seed=2)
    await database.close()


async def clone(url: str, name: str) -> str:
    """Make a database from the template and return its address."""
    server = await asyncpg.connect(url)
    try:
        await server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await server.execute(f'CREATE DATABASE "{name}" TEMPLATE {TEMPLATE}')
    finally:
        await server.close()
    return with_database(url, name)


async def log_settled(connection: asyncpg.Connection[Any]) -> None:
    """Wait until the log holds nothing back: its horizon is the server's, and what was cancelled may still be open."""
    held = "SELECT EXISTS (SELECT FROM event WHERE xid >= pg_snapshot_xmin(pg_current_snapshot()))"
    while await connection.fetchval(held):  # noqa: ASYNC110 - nobody tells when a snapshot ends
        await asyncio.sleep(0.01)


class OneConnection:
    """A connection that many tasks may use: one statement at a time. Keeps what was sent, to be counted."""

    def __init__(self, connection: asyncpg.Connection[Any]) -> None:
        self.connection = connection
        self.sent: list[str] = []
        self._lock = asyncio.Lock()

    async def idle(self) -> None:
        """Wait for what is still running: a loader of the reference goes on when its field was given up."""
        for _ in range(5):
            await asyncio.sleep(0.01)
            async with self._lock:
                pass

    def busy(self) -> asyncio.Lock:
        """Return what keeps statements waiting while it is held."""
        return self._lock

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[None]:
        """Make a savepoint between the statements of others; an exception rolls it back."""
        transaction = self.connection.transaction()
        async with self._lock:
            await transaction.start()
        try:
            yield
        except BaseException:
            async with self._lock:
                await transaction.rollback()
            raise
        async with self._lock:
            await transaction.commit()

    async def fetch(self, query: str, *arguments: Any) -> list[asyncpg.Record]:
        """Run one statement and return its rows. It runs to its end even when its caller is cancelled."""
        async with self._lock:
            self.sent.append(query)
            running = asyncio.ensure_future(self.connection.fetch(query, *arguments))
            try:
                return await asyncio.shield(running)
            except asyncio.CancelledError:
                await asyncio.wait({running})
                raise


class OneLease(Lease):
    """A lease of the one connection."""

    def __init__(self, one: OneConnection, *, combined: bool) -> None:
        self._one = one
        self._combined = combined
        self.in_doubt = self.crowded = False

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """Run one statement and return its rows."""
        return await self._one.fetch(query, *args)

    @asynccontextmanager
    async def transaction(self, timeout_s: float | None = None) -> AsyncIterator[Session]:
        """Lend a session in a savepoint: as a transaction, it is rolled back by an exception."""
        async with self._one.savepoint():
            session = Session(self._one, combined=self._combined)
            yield session
            await session.finish()

    def release(self) -> None:
        """Keep the connection: it is the test's."""

    def rest(self) -> None:
        """Keep the connection: it is the test's."""


class SavepointDatabase(Database):
    """The pools' stand-in: everything runs on one connection, whose transaction the test rolls back."""

    def __init__(self, connection: asyncpg.Connection[Any], url: str) -> None:
        self.one = OneConnection(connection)
        self.url = url
        self.nodes = Nodes()
        self.combined = "CRM_TEST_DATABASE_URL" not in os.environ  # a cluster has each write by itself
        """Whether several tables are written in one statement: a test can turn it off, as a sharded Postgres has it."""

    def lease(self, payer: Payer | None = None, *, primary: bool = False) -> Lease:
        """Return a lease of the one connection."""
        return OneLease(self.one, combined=self.combined)

    def primary_reader(self, payer: Payer | None = None) -> ReadSession:
        """Return a session on the one connection."""
        return ReadSession(self.one)

    @asynccontextmanager
    async def transaction(self, payer: Payer | None = None) -> AsyncIterator[Session]:
        """Lend a session in a savepoint."""
        async with self.lease().transaction() as session:
            yield session

    @asynccontextmanager
    async def apart(self) -> AsyncIterator[Session]:
        """Lend a session in a savepoint: it is kept whatever becomes of later ones, until the test ends."""
        async with self.transaction() as session:
            yield session


@asynccontextmanager
async def savepoint(url: str) -> AsyncIterator[SavepointDatabase]:
    """Lend a database in which nothing that a test does stays."""
    connection = await asyncpg.connect(url, server_settings={"TimeZone": "UTC", "DateStyle": "ISO, YMD"})
    await set_codecs(connection)
    transaction = connection.transaction()
    await transaction.start()
    try:
        database = SavepointDatabase(connection, url)
        yield database
        await database.one.idle()
    finally:
        await transaction.rollback()
        await connection.close()
