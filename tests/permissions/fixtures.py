"""The world of these tests: made once a module, and taken back after each test."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from crm_graph.graph.schema.build import BuiltSchema
from tests.permissions.doors.visit import ROOMY
from tests.permissions.world import World, make_world
from tests.support.database import savepoint
from tests.support.graph import Graph


@pytest.fixture(scope="module")
async def shared_world(database_url: str, schema: BuiltSchema) -> AsyncIterator[World]:
    """One world for all tests of a module."""
    async with savepoint(database_url) as database:
        yield await make_world(Graph(schema, database, ROOMY))


@pytest.fixture
async def world(shared_world: World) -> AsyncIterator[World]:
    """The world as it was made."""
    async with shared_world.undone():
        yield shared_world
