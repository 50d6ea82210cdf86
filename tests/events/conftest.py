"""The fixture of live tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from crm_graph.app import Installation, running_engine
from crm_graph.graph.build import BuiltSchema
from crm_graph.kernel.settings import Settings
from tests.events.live import Live
from tests.support.database import clone


@pytest.fixture(scope="module")
async def live(postgres: str, database_url: str, schema: BuiltSchema) -> AsyncIterator[Live]:
    assert database_url, "makes the template"
    url = await clone(postgres, f"live_{abs(hash(database_url)) % 10**6}")
    async with running_engine(Installation(url, [b"s" * 32]), Settings(), schema) as engine:
        connection = await asyncpg.connect(url)
        yield Live(engine, connection)
        await connection.close()
