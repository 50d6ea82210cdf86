"""Migrations: bringing a database to the schema of this code, and telling whether it is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine

from crm_graph.kernel.errors import OperatorError

_LOCK = 7_226_101_000


@dataclass(frozen=True, slots=True)
class SchemaState:
    """Which revision a database is at, and which one the code needs."""

    current: str | None
    head: str
    known: bool

    @property
    def up_to_date(self) -> bool:
        """Whether the database is at the code's revision."""
        return self.current == self.head


def config() -> Config:
    """Return Alembic's configuration; the migrations lie beside the package when installed, at the root in a clone."""
    package = Path(__file__).parents[1]
    places = (package / "migrations", package.parents[1] / "migrations")
    found = next((place for place in places if (place / "env.py").is_file()), None)
    if found is None:
        raise OperatorError("the migrations are not installed", "install the package again: its files are incomplete")
    made = Config()
    made.set_main_option("script_location", str(found).replace("%", "%%"))
    return made


async def with_connection(url: str, run: Callable[[Connection], Any]) -> Any:
    """Run a function on a SQLAlchemy connection, under the lock of the migrations; what it wants kept it commits."""
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(url))
    try:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK})
            await connection.commit()
            try:
                return await connection.run_sync(run)
            finally:
                await connection.rollback()
                await connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _LOCK})
    finally:
        await engine.dispose()


async def upgrade(url: str, revision: str = "head") -> None:
    """Bring a database up to a revision. Safe to run from several processes at once: one does it, the others wait."""
    await _run(url, lambda made: command.upgrade(made, revision))


async def downgrade(url: str, revision: str) -> None:
    """Bring a database down to a revision (`base` for none)."""
    await _run(url, lambda made: command.downgrade(made, revision))


async def _run(url: str, act: Callable[[Config], None]) -> None:
    def run(connection: Connection) -> None:
        made = config()
        made.attributes["connection"] = connection
        act(made)
        connection.commit()

    await with_connection(url, run)


async def state(url: str) -> SchemaState:
    """Return where a database stands."""
    script = ScriptDirectory.from_config(config())
    head = script.get_current_head()
    assert head is not None
    connection = await asyncpg.connect(url)
    try:
        current = None
        if await connection.fetchval("SELECT to_regclass('alembic_version') IS NOT NULL"):
            current = await connection.fetchval("SELECT version_num FROM alembic_version")
    finally:
        await connection.close()
    known = current is None or current in {each.revision for each in script.walk_revisions()}
    return SchemaState(current, head, known)


async def require_current(url: str) -> None:
    """Raise OperatorError unless the database is at the code's revision."""
    found = await state(url)
    if found.up_to_date:
        return
    if found.current is None:
        raise OperatorError("the database is empty: it has no tables of crm-graph", "run `crm-graph migrate`")
    if not found.known:
        raise OperatorError(
            f"the database is at revision {found.current}, which is newer than this code ({found.head})",
            "run the version of crm-graph that made it, or a newer one",
        )
    raise OperatorError(
        f"the database is at revision {found.current}, older than the code, which needs {found.head}",
        "run `crm-graph migrate`",
    )
