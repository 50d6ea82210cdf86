"""Migrations: bringing a database to a revision of the schema. `revisions.py` says where it stands."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine

from crm_graph.db.revisions import HEAD, MIGRATIONS_LOCK, migrations
from crm_graph.kernel.errors import OperatorError

_LOCK_NOT_AVAILABLE = "55P03"
ATTEMPTS, PAUSE_S = 10, 1.0
"""How often a migration is tried that does not get a lock, and the seconds between."""
_ON_A_CLUSTER = {"citus.multi_shard_modify_mode": "sequential", "citus.override_table_visibility": "off"}
"""What Citus is to have set while tables change: several of them in one transaction, and a catalogue that is left as it
is. A plain Postgres takes and ignores both."""


def config() -> Config:
    """Return Alembic's configuration. Raises OperatorError where the migrations are not installed."""
    made = Config()
    made.set_main_option("script_location", str(migrations()).replace("%", "%%"))
    return made


async def with_connection(url: str, run: Callable[[Connection], Any]) -> Any:
    """Run a function on a SQLAlchemy connection, under the lock of the migrations; what it wants kept it commits."""
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url, server_settings=_ON_A_CLUSTER)
    )
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATIONS_LOCK})
            await connection.commit()
            try:
                return await connection.run_sync(run)
            finally:
                await connection.rollback()
                await connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATIONS_LOCK})
    finally:
        await engine.dispose()


async def upgrade(url: str, revision: str = HEAD) -> None:
    """Bring a database up to a revision. Safe to run from several processes at once: one does it, the others wait."""
    await _run(url, lambda made: command.upgrade(made, revision))


async def downgrade(url: str, revision: str) -> None:
    """Bring a database down to a revision (`base` for none)."""
    await _run(url, lambda made: command.downgrade(made, revision))


async def _run(url: str, act: Callable[[Config], None]) -> None:
    """Run Alembic. A migration waits for a lock no longer than clients would wait behind it, and is tried again."""
    for left in reversed(range(ATTEMPTS)):
        try:
            await _run_once(url, act)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _LOCK_NOT_AVAILABLE:
                raise
            if not left:
                raise OperatorError(
                    "a migration did not get the lock of a table, which other statements hold",
                    "end what runs long on the database (pg_stat_activity says what does), and run it again",
                ) from error
            await asyncio.sleep(PAUSE_S)
        else:
            return


async def _run_once(url: str, act: Callable[[Config], None]) -> None:
    def run(connection: Connection) -> None:
        made = config()
        made.attributes["connection"] = connection
        act(made)
        connection.commit()

    await with_connection(url, run)
