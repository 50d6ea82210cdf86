"""Fixtures of the tests of imports and exports."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from crm_graph.graph.schema.build import BuiltSchema
from tests.support.database import savepoint
from tests.transfer.desk import Desk


@pytest.fixture
async def desk(database_url: str, schema: BuiltSchema, tmp_path: Path) -> AsyncIterator[Desk]:
    """An empty workspace to import into."""
    async with savepoint(database_url) as database:
        made = Desk(database, schema, tmp_path)
        await made.set_up()
        yield made
