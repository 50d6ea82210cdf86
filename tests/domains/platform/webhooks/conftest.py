"""What tests of webhooks share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from crm_graph.graph.schema.build import BuiltSchema
from tests.support.hooks import Hooks, hooks_of


@pytest.fixture
async def hooks(postgres: str, database_url: str, schema: BuiltSchema) -> AsyncIterator[Hooks]:
    """Webhooks over a database of their own: a deliverer has connections of its own."""
    name = database_url.partition("?")[0].rpartition("/")[2]
    async with hooks_of(postgres, f"{name}_hooks", schema) as made:
        yield made
