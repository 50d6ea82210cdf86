"""Connection pools: one that only reads and one that writes, both on asyncpg."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
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
    """Release a reading connection without asyncpg's reset, which costs a round trip per query.

    Safe because a reading connection never sets anything: no transaction, no setting, no advisory lock, no LISTEN.
    """


def _server_settings(settings: PoolSettings, timeout_ms: int, *, read_only: bool) -> dict[str, str]:
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


class Database:
    """The two pools of a process. `read_url` may name a replica."""

    def __init__(self, read: asyncpg.Pool[Any], write: asyncpg.Pool[Any], url: str) -> None:
        self._read = read
        self._write = write
        self.url = url

    @classmethod
    async def open(cls, url: str, read_url: str | None = None, settings: PoolSettings | None = None) -> Database:
        """Open both pools. Raises OperatorError when a database does not answer."""
        settings = settings or PoolSettings()
        with _explained(url):
            write = await asyncpg.create_pool(
                url,
                min_size=1,
                max_size=settings.write_size,
                init=set_codecs,
                server_settings=_server_settings(settings, settings.write_timeout_ms, read_only=False),
            )
        with _explained(read_url or url):
            read = await asyncpg.create_pool(
                read_url or url,
                min_size=1,
                max_size=settings.read_size,
                init=set_codecs,
                reset=_leave_as_is,
                server_settings=_server_settings(settings, settings.read_timeout_ms, read_only=True),
            )
        return cls(read, write, url)

    def reader(self) -> ReadSession:
        """Return a session that borrows a connection of the reading pool per statement."""
        return ReadSession(self._read)

    def primary_reader(self) -> ReadSession:
        """Return a reading session on the primary: for what was just written, and for the log."""
        return ReadSession(self._write)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        """Lend a writing session in a transaction that commits on exit and rolls back on an exception."""
        async with self._write.acquire() as connection, connection.transaction():
            yield Session(connection)

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
