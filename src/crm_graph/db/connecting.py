"""Connecting to Postgres: what a connection has set, connections outside the pools, and what the operator is told of a
database that cannot be reached."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from crm_graph.db.address import split_password
from crm_graph.db.codecs import set_codecs
from crm_graph.kernel.errors import OperatorError, Unreachable

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10
SESSION_TIMEOUT_S = 30
"""How long a statement of a connection outside the pools may take: of background work, which has small ones only."""
IDLE_IN_TRANSACTION_MS = 30_000
CLEANUP_S = 0.8
"""So long a connection has to become as good as before: to take a cancel request, and to roll back."""
LOST = (OSError, asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What says that a connection is gone, or that the server did not answer in time: TimeoutError is an OSError."""
NOT_A_POOLER = "name Postgres itself, and a pooler in transaction mode in DATABASE_POOL_URL"
"""How to mend DATABASE_URL."""
LET_IN = "check user and password in DATABASE_URL, and whether Postgres lets that user into that database"
ROOM = "lower CRM_READ_POOL_SIZE and CRM_WRITE_POOL_SIZE, run fewer processes, or raise max_connections"


@dataclass(slots=True)
class Keepalive:
    """How a host that is gone is noticed: each end asks every second after so much silence, and takes as many seconds
    without an answer for the end. What was sent and not taken has as long. So the server lets go of the locks of a
    process that cannot be reached, and a process is elected anew that has lost its server."""

    seconds: int = 5

    def of_server(self) -> dict[str, str]:
        """Return the settings of a connection at the server."""
        return {
            "tcp_keepalives_idle": str(self.seconds),
            "tcp_keepalives_interval": "1",
            "tcp_keepalives_count": str(self.seconds),
            "tcp_user_timeout": str(2_000 * self.seconds),
        }

    def set_on(self, connection: asyncpg.Connection[Any]) -> None:
        """Set them at this end. A Unix socket has none: its server is here."""
        transport = connection._transport  # type: ignore[attr-defined] # asyncpg tells of its socket nowhere else
        with socket.socket(fileno=os.dup(transport.get_extra_info("socket").fileno())) as same:
            if same.family not in {socket.AF_INET, socket.AF_INET6}:
                return
            same.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            for name, value in (
                ("TCP_KEEPIDLE", self.seconds),
                ("TCP_KEEPINTVL", 1),
                ("TCP_KEEPCNT", self.seconds),
                ("TCP_USER_TIMEOUT", 2_000 * self.seconds),
            ):
                if hasattr(socket, name):  # not every system has all of them
                    same.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


KEEPALIVE = Keepalive()
"""That of this process (`CRM_DATABASE_KEEPALIVE_SECONDS`)."""


def server_settings(
    timeout_ms: int, idle_in_transaction_ms: int, *, read_only: bool, pooler: bool = False
) -> dict[str, str]:
    """Return what a connection is to have set at the server, times in milliseconds."""
    if pooler:  # what PgBouncer follows; it refuses all others, which the role is to have (`ALTER ROLE .. SET`)
        return {"application_name": "crm-graph", "TimeZone": "UTC", "DateStyle": "ISO, YMD"}
    return {
        "application_name": "crm-graph",
        "TimeZone": "UTC",
        "DateStyle": "ISO, YMD",
        "statement_timeout": str(timeout_ms),
        "idle_in_transaction_session_timeout": str(idle_in_transaction_ms),
        "default_transaction_read_only": "on" if read_only else "off",
        "jit": "off",
    }


async def connect(url: str, timeout_s: float | None = SESSION_TIMEOUT_S) -> asyncpg.Connection[Any]:
    """Return one connection with our codecs, outside the pools: for LISTEN, advisory locks and migrations. Each of its
    statements may take `timeout_s`; None is for what has all the time it needs: imports and exports.

    Raises Unreachable when the database does not answer or lets nobody in, and OperatorError for an address that is
    wrong.
    """
    settings = server_settings(0, IDLE_IN_TRANSACTION_MS, read_only=False) | KEEPALIVE.of_server()
    with explained(url):
        connection: asyncpg.Connection[Any] = await asyncpg.connect(
            url, timeout=CONNECT_TIMEOUT_S, command_timeout=timeout_s, server_settings=settings
        )
    KEEPALIVE.set_on(connection)
    await prepare(connection)
    return connection


async def prepare(connection: Any) -> None:
    """Set the codecs of a new connection. One that does not answer is cut: closing it in order would wait for it."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await set_codecs(connection)
    except BaseException:
        connection.terminate()
        raise


async def close(connection: asyncpg.Connection[Any]) -> None:
    """Close a connection outside the pools in order, or cut it where the server does not answer."""
    try:
        await connection.close(timeout=CLEANUP_S)
    except LOST:  # asyncpg has cut it
        log.debug("a connection was cut")


@asynccontextmanager
async def unit(connection: asyncpg.Connection[Any], **options: Any) -> AsyncIterator[None]:
    """Run a transaction on a connection outside the pools, whose owner closes it when anything but an error of the work
    ends it. asyncpg's own would roll back behind a statement that was not answered, and wait for both. A worker that
    the coordinator of a cluster has lost is answered: that connection goes on."""
    transaction = connection.transaction(**options)
    await transaction.start()
    try:
        yield
    except LOST as error:
        if isinstance(error, asyncpg.PostgresError) and not connection.is_closed():
            await transaction.rollback()
        raise
    except Exception:
        await transaction.rollback()
        raise
    await transaction.commit()


class explained:  # noqa: N801 - reads as a statement
    """Turns what asyncpg raises on connect into an OperatorError that says how to fix it."""

    def __init__(self, url: str) -> None:
        self.where, _ = split_password(url)

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, asyncpg.ProtocolViolationError) and "startup parameter" in str(error):
            raise OperatorError(f"{self.where} is a pooler: {error}", NOT_A_POOLER) from error
        if isinstance(error, asyncpg.InvalidAuthorizationSpecificationError):
            raise Unreachable(f"{self.where}: {error}", LET_IN) from error
        if isinstance(error, asyncpg.InvalidCatalogNameError):
            raise Unreachable(f"{self.where}: {error}", "create the database, or correct DATABASE_URL") from error
        if isinstance(error, asyncpg.TooManyConnectionsError):
            raise Unreachable(f"the database at {self.where} has no connection free: {error}", ROOM) from error
        if isinstance(error, OSError | asyncpg.PostgresConnectionError | asyncpg.CannotConnectNowError):
            reason = str(error) or type(error).__name__
            raise Unreachable(
                f"the database at {self.where} does not answer: {reason}",
                "start it, correct DATABASE_URL, or unset DATABASE_URL to use the embedded Postgres",
            ) from error
        if isinstance(error, asyncpg.PostgresError):
            raise Unreachable(f"the database at {self.where} takes no connection: {error}", LET_IN) from error
        if isinstance(error, ValueError | asyncpg.ClientConfigurationError):
            raise OperatorError(  # without what is wrong in it, which can be a part of the password
                "DATABASE_URL is not a Postgres address",
                "write it as postgresql://user:password@host:5432/database, with `/`, `?`, `#` and `@` of the password"
                " as %2F, %3F, %23 and %40",
            ) from error
