"""Connection pools: one that only reads and one that writes, both on asyncpg."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from crm_graph.db.codecs import set_codecs
from crm_graph.db.session import ReadSession, Session
from crm_graph.kernel.errors import OperatorError


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """Bounds of the pools. Times in milliseconds."""

    read_size: int = 10
    write_size: int = 10
    read_timeout_ms: int = 15_000
    write_timeout_ms: int = 30_000
    idle_in_transaction_timeout_ms: int = 30_000


async def _leave_as_is(connection: Any) -> None:
    """Release a connection without asyncpg's reset query, which costs a round trip (70 us of CPU instead of 25).

    Safe because nothing that is lent a pooled connection sets anything on it: no setting, no advisory lock, no LISTEN,
    no temporary table. A transaction left open is rolled back by asyncpg before this is called.
    """


def _server_settings(
    settings: PoolSettings, timeout_ms: int, *, read_only: bool, pooler: bool = False
) -> dict[str, str]:
    if pooler:  # what PgBouncer follows; it refuses all others, which the role is to have (`ALTER ROLE .. SET`)
        return {"application_name": "crm-graph", "TimeZone": "UTC", "DateStyle": "ISO, YMD"}
    return {
        "application_name": "crm-graph",
        "TimeZone": "UTC",
        "DateStyle": "ISO, YMD",
        "statement_timeout": str(timeout_ms),
        "idle_in_transaction_session_timeout": str(settings.idle_in_transaction_timeout_ms),
        "default_transaction_read_only": "on" if read_only else "off",
        "jit": "off",
    }


async def connect(url: str, **options: Any) -> asyncpg.Connection[Any]:
    """Return one connection with our codecs, outside the pools: for LISTEN, advisory locks and migrations.

    Raises OperatorError when the database does not answer.
    """
    with _explained(url):
        connection: asyncpg.Connection[Any] = await asyncpg.connect(
            url, server_settings=_server_settings(PoolSettings(), 0, read_only=False), **options
        )
    await set_codecs(connection)
    return connection


def _is_closed(connection: Any) -> bool:
    """Return whether a connection of asyncpg's pool was closed, also by the server while it lay at hand: asyncpg has
    then taken it back already, and what is left in our hands answers nothing any more."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True


CLOSE_TIMEOUT_S = 5


class Turns:
    """Who waits for a connection, first come first served: one that comes free is handed over, so nobody pushes in."""

    def __init__(self, returned: Callable[[Any], None]) -> None:
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._return = returned

    async def wait(self) -> Any:
        """Return the connection that was handed over; None means: there may be room for a new one, look again."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():  # it came, and nobody is there to take it
                self._return(waiter.result())
            raise

    def hand(self, connection: Any) -> bool:
        """Hand a connection, or None, to the first who waits; return whether anybody did."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return True
        return False


class Pool:
    """asyncpg's pool, whose connections stay at hand once they were lent: then borrowing is a pop from a list.

    asyncpg's own acquire and release take 18 us, a fifth of a point query, for a shielded task and a reset. What went
    wrong on a connection (an error, a cancelled statement) is left to asyncpg: such a one goes back to its pool.
    """

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool
        self.size = pool.get_max_size()
        self._idle: list[Any] = []
        self._turns = Turns(self.give)
        self.lent = 0

    @property
    def idle(self) -> int:
        """How many connections lie at hand."""
        return len(self._idle)

    @property
    def opened(self) -> int:
        """How many connections are open, lent or not."""
        return self._pool.get_size()

    async def take(self) -> Any:
        """Return a connection, waiting for one while all are lent. It must be given back, or dropped."""
        while True:
            if self._idle:
                connection = self._idle.pop()
                self.lent += 1
                if not _is_closed(connection):
                    return connection
                await self.drop(connection)
            elif self.lent < self.size:
                self.lent += 1
                try:
                    return await self._pool.acquire()
                except BaseException:
                    self._make_room()
                    raise
            else:
                connection = await self._turns.wait()
                if connection is not None:
                    return connection

    def give(self, connection: Any) -> None:
        """Take a connection back on which nothing runs and nothing failed."""
        if not self._turns.hand(connection) and connection is not None:
            self.lent -= 1
            self._idle.append(connection)

    async def drop(self, connection: Any) -> None:
        """Take a connection back in whatever state it is: asyncpg waits for a cancelled statement, rolls an open
        transaction back, and replaces the connection where that fails."""
        try:
            await self._pool.release(connection)
        finally:
            self._make_room()

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """Run one statement on a connection of its own and return its rows."""
        lease = Lease(self)
        try:
            return await lease.fetch(query, *args)
        finally:
            lease.release()

    async def close(self) -> None:
        """Close all connections, waiting a while for those that are lent: a process that stops does not hang."""
        while self._idle:
            await self._pool.release(self._idle.pop())
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    def _make_room(self) -> None:
        self.lent -= 1
        self._turns.hand(None)


class Lease:
    """The connections that one operation borrows: one, and more for sibling edges only while others lie idle.

    Waiting for a second one while holding the first could leave all operations waiting for each other, so a sibling
    waits for its own instead.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._free: list[Any] = []
        self._held = 0
        self._released = False
        self._turns = Turns(self._give)

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """Run one statement and return its rows."""
        connection = self._free.pop() if self._free else await self._take()
        try:
            rows: list[asyncpg.Record] = await connection.fetch(query, *args)
        except BaseException:
            await self._drop(connection)
            raise
        self._give(connection)
        return rows

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """Lend a writing session in a transaction that commits on exit and rolls back on an exception."""
        connection = self._free.pop() if self._free else await self._take()
        try:
            async with connection.transaction():
                session = Session(connection)
                yield session
                await session.finish()
        except BaseException:
            await self._drop(connection)
            raise
        self._give(connection)

    def release(self) -> None:
        """Give everything back. What still runs gives its connection back itself: a page's count whose rows failed."""
        self._released = True
        self.rest()

    def rest(self) -> None:
        """Give back what lies at hand while the operation waits for something that is no database; it borrows anew
        afterwards."""
        while self._free:
            self._give_back(self._free.pop())

    async def _take(self) -> Any:
        while True:
            if self._held == 0 or self._pool.idle:
                self._held += 1
                try:
                    return await self._pool.take()
                except BaseException:
                    self._make_room()
                    raise
            connection = await self._turns.wait()
            if connection is not None:
                return connection

    def _give(self, connection: Any) -> None:
        if self._turns.hand(connection) or connection is None:
            return
        if self._released:
            self._give_back(connection)
        else:
            self._free.append(connection)

    def _give_back(self, connection: Any) -> None:
        self._held -= 1
        self._pool.give(connection)

    async def _drop(self, connection: Any) -> None:
        try:
            await self._pool.drop(connection)
        finally:
            self._make_room()

    def _make_room(self) -> None:
        self._held -= 1
        self._turns.hand(None)


NOT_A_POOLER = "name Postgres itself, and a pooler in transaction mode in DATABASE_POOL_URL"
"""How to mend DATABASE_URL."""


class Database:
    """The two pools of a process. `url` is for sessions: LISTEN, locks, migrations. `read_url` may name a replica, and
    `pool_url` PgBouncer in transaction mode, which both pools then are behind."""

    def __init__(self, read: Pool, write: Pool, url: str) -> None:
        self._read = read
        self._write = write
        self.url = url

    @classmethod
    async def open(
        cls,
        url: str,
        read_url: str | None = None,
        settings: PoolSettings | None = None,
        pool_url: str | None = None,
    ) -> Database:
        """Open both pools. Raises OperatorError when a database does not answer."""
        settings, pooler = settings or PoolSettings(), pool_url is not None
        write_url = pool_url or url
        read_url = read_url or write_url
        with _explained(write_url):
            write = await asyncpg.create_pool(
                write_url,
                min_size=1,
                max_size=settings.write_size,
                init=set_codecs,
                reset=_leave_as_is,
                server_settings=_server_settings(settings, settings.write_timeout_ms, read_only=False, pooler=pooler),
            )
        with _explained(read_url):
            read = await asyncpg.create_pool(
                read_url,
                min_size=1,
                max_size=settings.read_size,
                init=set_codecs,
                reset=_leave_as_is,
                server_settings=_server_settings(settings, settings.read_timeout_ms, read_only=True, pooler=pooler),
            )
        return cls(Pool(read), Pool(write), url)

    def pools(self) -> Mapping[str, Pool]:
        """Return the pools by what they are for."""
        return {"read": self._read, "write": self._write}

    def lease(self, *, primary: bool = False) -> Lease:
        """Return the connections of one operation, borrowed when they are needed; to be released."""
        return Lease(self._write if primary else self._read)

    def primary_reader(self) -> ReadSession:
        """Return a reading session on the primary: for what was just written, and for the log."""
        return ReadSession(self._write)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """Lend a writing session in a transaction that commits on exit and rolls back on an exception."""
        lease = Lease(self._write)
        try:
            async with lease.transaction() as session:
                yield session
        finally:
            lease.release()

    @asynccontextmanager
    async def apart(self) -> AsyncIterator[Session]:
        """Lend a writing session in a transaction of its own on a connection outside the pools: for what is to be
        committed whatever becomes of the caller's transaction, who may hold the pool's last connection. 12 ms."""
        connection = await connect(self.url)
        try:
            async with connection.transaction():
                session = Session(connection)
                yield session
                await session.finish()
        finally:
            await connection.close()

    async def answers(self) -> bool:
        """Return whether both pools reach their server within a second."""
        try:
            async with asyncio.timeout(1):
                await self._read.fetch("SELECT 1")
                await self._write.fetch("SELECT 1")
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return True

    async def close(self) -> None:
        """Close both pools, waiting for lent connections."""
        await self._read.close()
        await self._write.close()


class _explained:  # noqa: N801 - reads as a statement
    """Turns what asyncpg raises on connect into an OperatorError that says how to fix it."""

    def __init__(self, url: str) -> None:
        self.where = _without_password(url)

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, asyncpg.ProtocolViolationError) and "startup parameter" in str(error):
            raise OperatorError(f"{self.where} is a pooler: {error}", NOT_A_POOLER) from error
        if isinstance(error, asyncpg.InvalidPasswordError | asyncpg.InvalidAuthorizationSpecificationError):
            raise OperatorError(f"{self.where}: {error}", "check user and password in DATABASE_URL") from error
        if isinstance(error, asyncpg.InvalidCatalogNameError):
            raise OperatorError(f"{self.where}: {error}", "create the database, or correct DATABASE_URL") from error
        if isinstance(error, OSError | asyncpg.PostgresConnectionError | asyncpg.CannotConnectNowError):
            reason = str(error) or type(error).__name__
            raise OperatorError(
                f"the database at {self.where} does not answer: {reason}",
                "start it, correct DATABASE_URL, or unset DATABASE_URL to use the embedded Postgres",
            ) from error
        if isinstance(error, ValueError | asyncpg.ClientConfigurationError):
            raise OperatorError(
                f"DATABASE_URL is not a Postgres address: {error}",
                "write it as postgresql://user:password@host:5432/database",
            ) from error


def _without_password(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "DATABASE_URL"
    credentials, at, place = rest.rpartition("@")
    return f"{scheme}://{credentials.partition(':')[0]}{at}{place}"
