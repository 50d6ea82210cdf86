"""The site of each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.kernel.settings import Settings
from tests.api.oauth.site import Site, running
from tests.support.database import savepoint


@pytest.fixture
async def site(database_url: str, schema: BuiltSchema) -> AsyncIterator[Site]:
    """The authorization server in a savepoint."""
    async with savepoint(database_url) as database, running(schema, database, Settings()) as found:
        yield found
