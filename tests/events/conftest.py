"""The fixture of live tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from crm_graph.app import running_engine
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.installation import Installation
from crm_graph.kernel.settings import Settings
from tests.events.live import Live
from tests.support.database import clone


@pytest.fixture(scope="module")
async def live(postgres: str, schema: BuiltSchema) -> AsyncIterator[Live]:
    url = await clone(postgres, "live")
    async with running_engine(Installation(url, [b"s" * 32]), Settings(), schema) as engine:
        connection = await asyncpg.connect(url)
        yield Live(engine, connection)
        await connection.close()
