"""The pools of a process: one that only reads and one that writes, both on asyncpg."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from crm_graph.db.connecting import IDLE_IN_TRANSACTION_MS, close, connect, explained, prepare, server_settings, unit
from crm_graph.db.lending import Lease, Payer, Pool, Reader
from crm_graph.db.nodes import Nodes
from crm_graph.db.outages import AWAY, OUTAGES
from crm_graph.db.session import ReadSession, Session
from crm_graph.kernel import spans
from crm_graph.kernel.shares import Shares

STATEMENT_MARGIN_MS = 1_000
"""Postgres stops a statement so much later than we do: for a process that died, not for one that answers TIMEOUT."""


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Bounds of the pools. Times in milliseconds."""

    read_size: int = 10
    write_size: int = 10
    read_timeout_ms: int = 15_000
    write_timeout_ms: int = 30_000
    idle_in_transaction_timeout_ms: int = IDLE_IN_TRANSACTION_MS
    member_read_size: int = 0
    """How many reading connections one member may hold; 0 is half of them."""
    member_write_size: int = 0
    member_waiting: int = 200
    """How many operations of one member may wait for a connection."""

    def shares(self, size: int, of_member: int) -> Shares:
        """Return the places of a pool of this size."""
        return Shares(size, min(of_member, size) or max(1, size // 2), self.member_waiting)


PROBE_TIMEOUT_S = 5
_PROBE = """
    BEGIN; CREATE TEMP TABLE crm_probe ON COMMIT DROP AS SELECT repeat('x', 2000) FROM generate_series(1, 8); ROLLBACK
"""
"""Takes room on the disk, which `SELECT 1` does not."""
_SHARDED = "SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')"


async def _prepare(connection: Any) -> None:
    await prepare(connection)
    if spans.tracer is not None:
        spans.tracer.watch(connection)


async def _leave_as_is(connection: Any) -> None:
    """Release a connection without asyncpg's reset query, which costs a round trip (70 us of CPU instead of 25).

    Safe because nothing that is lent a pooled connection sets anything on it: no setting, no advisory lock, no LISTEN,
    no temporary table. A transaction left open is rolled back by asyncpg before this is called.
    """


class Database:
    """The pools of a process. `url` is for sessions: LISTEN, locks, migrations. `pool_url` may name PgBouncer in
    transaction mode, which both pools then are behind, and `read_url` a replica, which has a pool of its own: who may
    use it says `events/replica.py`."""

    replica: Pool | None = None

    def __init__(self, read: Pool, write: Pool, url: str, read_timeout_s: float, replica: Pool | None = None) -> None:
        self._read = read
        self._write = write
        self.replica = replica
        self._read_timeout_s = read_timeout_s
        self.url = url
        self.nodes = Nodes()

    @classmethod
    async def open(
        cls,
        url: str,
        read_url: str | None = None,
        settings: PoolSettings | None = None,
        pool_url: str | None = None,
    ) -> Database:
        """Open the pools. Raises OperatorError when the database does not answer; a replica may be away."""
        settings, pooler = settings or PoolSettings(), pool_url is not None
        pools_url = pool_url or url
        write = await _open(pools_url, settings, pooler=pooler, read_only=False)
        write.combined = not (await write.fetch(_SHARDED))[0][0]
        read = await _open(pools_url, settings, pooler=pooler, read_only=True)
        replica = None
        if read_url is not None:
            replica = await _open(read_url, settings, pooler=pooler, read_only=True, present=False)
        return cls(read, write, url, settings.read_timeout_ms / 1000, replica)

    def pools(self) -> Mapping[str, Pool]:
        """Return the pools by what they are for."""
        pools = {"read": self._read, "write": self._write}
        return pools if self.replica is None else {**pools, "replica": self.replica}

    def lease(self, payer: Payer | None = None, *, primary: bool = False) -> Lease:
        """Return the connections of one operation, borrowed when they are needed; to be released. The operation limits
        the time of all of its statements together."""
        return Lease(self._write if primary else self._read, payer)

    def primary_reader(self, payer: Payer | None = None) -> ReadSession:
        """Return a reading session on the primary: for what was just written, and for the log. A statement may take as
        long as a query."""
        return ReadSession(Reader(self._write, self._read_timeout_s, payer))

    @asynccontextmanager
    async def transaction(self, payer: Payer | None = None) -> AsyncIterator[Session]:
        """Lend a writing session in a transaction that commits on exit and rolls back on an exception. Each statement
        may take as long as a mutation. Raises InDoubt."""
        lease = Lease(self._write, payer)
        try:
            async with lease.transaction(self._write.timeout_s) as session:
                yield session
        finally:
            lease.release()

    @asynccontextmanager
    async def apart(self) -> AsyncIterator[Session]:
        """Lend a writing session in a transaction of its own on a connection outside the pools: for what is to be
        committed whatever becomes of the caller's transaction, who may hold the pool's last connection. 12 ms."""
        connection = await connect(self.url)
        try:
            async with unit(connection):
                session = Session(connection, combined=self._write.combined)
                yield session
                await session.finish()
        finally:
            await close(connection)

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Look for the end of outages, and after the workers of a cluster, as long as the block lasts."""
        async with OUTAGES.watched(self._probe), self.nodes.watched(self.url):
            yield

    async def _probe(self) -> None:
        """Raise while the database takes no connection, or no writes: it is asked for a page of its disk."""
        connection = await connect(self.url, PROBE_TIMEOUT_S)
        try:
            await connection.execute(_PROBE)
        finally:
            await close(connection)
        await self._write.fetch("SELECT 1")  # which may go through a pooler

    async def answers(self) -> bool:
        """Return whether both pools of the primary reach it within a second."""
        try:
            async with asyncio.timeout(1):
                await self._read.fetch("SELECT 1")
                await self._write.fetch("SELECT 1")
        except (*AWAY, asyncpg.PostgresError):
            return False
        return True

    async def close(self) -> None:
        """Close the pools, waiting for lent connections."""
        for pool in self.pools().values():
            await pool.close()


async def _open(url: str, settings: PoolSettings, *, pooler: bool, read_only: bool, present: bool = True) -> Pool:
    """Return a pool, with a first connection where its server is to be there. asyncpg is asked for no floor: it would
    restore that by itself, and tell each time that it cannot."""
    size = settings.read_size if read_only else settings.write_size
    of_member = settings.member_read_size if read_only else settings.member_write_size
    timeout_ms = settings.read_timeout_ms if read_only else settings.write_timeout_ms
    of_server = server_settings(
        timeout_ms + STATEMENT_MARGIN_MS, settings.idle_in_transaction_timeout_ms, read_only=read_only, pooler=pooler
    )
    with explained(url):
        pool = await asyncpg.create_pool(
            url,
            min_size=0,
            max_size=size,
            init=_prepare,
            reset=_leave_as_is,
            server_settings=of_server,
        )
        if present:
            await pool.release(await pool.acquire())
    return Pool(pool, settings.shares(size, of_member), timeout_ms / 1000)
