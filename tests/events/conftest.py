"""A Postgres of their own for tests of the log, and the fixture of live tests.

The log's readers stop at the snapshot horizon, which is the server's and not the database's: the long transactions of
other tests would keep them waiting.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from crm_graph.app import Installation, running_engine
from crm_graph.db import embedded
from crm_graph.graph.build import BuiltSchema
from crm_graph.kernel.settings import Settings
from tests.events.live import Live
from tests.support.database import clone, clone_of_worker


@pytest.fixture(scope="session")
def postgres(run_directory: Path) -> Iterator[str]:
    """The address of the Postgres of these tests."""
    with embedded.running(run_directory / "events-postgres") as server:
        yield server.url


@pytest.fixture(scope="session")
async def database_url(postgres: str, run_directory: Path) -> str:
    """The address of this worker's clone of the template."""
    return await clone_of_worker(postgres, run_directory / "events-template-made")


@pytest.fixture(scope="module")
async def live(postgres: str, database_url: str, schema: BuiltSchema) -> AsyncIterator[Live]:
    assert database_url, "makes the template"
    url = await clone(postgres, f"live_{abs(hash(database_url)) % 10**6}")
    async with running_engine(Installation(url, [b"s" * 32]), Settings(), schema) as engine:
        connection = await asyncpg.connect(url)
        yield Live(engine, connection)
        await connection.close()
