"""The fixtures of all tests."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from crm_graph.api.schema import make_schema
from crm_graph.db import embedded
from crm_graph.graph.build import BuiltSchema
from tests.support.database import clone_of_worker, savepoint
from tests.support.graph import Graph

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
"""Real inputs that are not in this repository; tests that use them skip without them."""


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that all workers of a run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


@pytest.fixture(scope="session")
def postgres(run_directory: Path) -> Iterator[str]:
    """The address of the run's one Postgres: the first worker starts it, the last to leave stops it."""
    with embedded.running(run_directory / "postgres") as server:
        yield server.url


@pytest.fixture(scope="session")
async def database_url(postgres: str, run_directory: Path) -> str:
    """The address of this worker's clone of the template."""
    return await clone_of_worker(postgres, run_directory / "template-made")


@pytest.fixture(scope="session")
def schema() -> BuiltSchema:
    """The product's schema, built once."""
    return make_schema()


@pytest.fixture
async def graph(database_url: str, schema: BuiltSchema) -> AsyncIterator[Graph]:
    """The graph over demo data; nothing that a test does stays."""
    async with savepoint(database_url) as database:
        yield Graph(schema, database)
