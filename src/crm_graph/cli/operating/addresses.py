"""What `crm-graph doctor` finds out about the database's addresses: whether each is what it is used for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import asyncpg

from crm_graph.db.connecting import NOT_A_POOLER, close, connect
from crm_graph.db.pool import Database, PoolSettings
from crm_graph.kernel.errors import OperatorError

MAX_LAG_S = 10.0
_LISTEN_TIMEOUT_S = 2.0
_LIMIT = "statement_timeout"


async def check_session(url: str) -> tuple[str, str]:
    """Return what DATABASE_URL is, and how to mend it: a pooler in transaction mode swallows LISTEN."""
    heard = asyncio.Event()
    try:
        async with _one(url) as connection:
            await connection.add_listener("crm_doctor", lambda *_: heard.set())
            await connection.execute("NOTIFY crm_doctor")
            async with asyncio.timeout(_LISTEN_TIMEOUT_S):
                await heard.wait()
    except TimeoutError:
        return "DATABASE_URL does not hear what it listens to", NOT_A_POOLER
    return "DATABASE_URL hears what it listens to", ""


async def check_others(url: str, environ: Mapping[str, str]) -> AsyncIterator[tuple[str, str]]:
    """Yield what DATABASE_READ_URL and DATABASE_POOL_URL are, and how to mend them. Raises OperatorError for one that
    does not answer."""
    read_url, pool_url = environ.get("DATABASE_READ_URL"), environ.get("DATABASE_POOL_URL")
    if read_url:
        yield await _replica(url, read_url)
    if pool_url:
        yield await _pooler(url, pool_url)


async def _replica(url: str, read_url: str) -> tuple[str, str]:
    async with _one(read_url) as replica, _one(url) as primary:
        if not await replica.fetchval("SELECT pg_is_in_recovery()"):
            return "DATABASE_READ_URL is no replica", "name a standby of DATABASE_URL, or unset it"
        system = "SELECT system_identifier FROM pg_control_system()"
        systems = {await replica.fetchval(system), await primary.fetchval(system)}
        if len(systems) > 1:
            return "DATABASE_READ_URL is a replica of another server", "name a standby of DATABASE_URL, or unset it"
        lag_s = await replica.fetchval(
            "SELECT CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0"
            " ELSE coalesce(extract(epoch FROM now() - pg_last_xact_replay_timestamp()), 0) END::float"
        )
    if lag_s > MAX_LAG_S:
        return f"DATABASE_READ_URL is {lag_s:.0f} s behind", "queries answer what was then: see why it does not keep up"
    return "DATABASE_READ_URL is a replica that keeps up", ""


async def _pooler(url: str, pool_url: str) -> tuple[str, str]:
    try:
        database = await Database.open(url, None, PoolSettings(read_size=1, write_size=2), pool_url)
    except OperatorError as error:
        raise OperatorError(f"DATABASE_POOL_URL: {error.what}", error.fix) from error
    try:
        async with database.transaction() as one, database.transaction() as other:
            for session in (one, other, one):
                ((limit,),) = await session.connection.fetch(f"SHOW {_LIMIT}")
    except asyncpg.PostgresError as error:
        fix = "PgBouncer 1.21 or later, with `max_prepared_statements` above 0"
        return f"DATABASE_POOL_URL does not keep prepared statements ({type(error).__name__})", fix
    finally:
        await database.close()
    if limit == "0":
        fix = f"`ALTER ROLE ... SET {_LIMIT} = '30s'`, and idle_in_transaction_session_timeout: a pooler passes neither"
        return f"DATABASE_POOL_URL: the role has no {_LIMIT}", fix
    return "DATABASE_POOL_URL keeps prepared statements, and its role has time limits", ""


@asynccontextmanager
async def _one(url: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await connect(url)
    try:
        yield connection
    finally:
        await close(connection)
