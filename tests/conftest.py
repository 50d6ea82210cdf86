"""The fixtures of all tests."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from crm_graph.api.schema import make_schema
from crm_graph.db import embedded
from crm_graph.graph.schema.build import BuiltSchema
from tests.support.database import clone, savepoint, server_of_worker
from tests.support.graph import Graph
from tests.support.recorded import Sent, recording

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"
"""Real inputs that are not in this repository; tests that use them skip without them."""


@pytest.fixture(scope="session")
def sent_statements() -> Iterator[Sent]:
    """What the product sends to Postgres in this process, each text once."""
    with recording() as sent:
        yield sent


@pytest.fixture(autouse=True)
def _placed(sent_statements: Sent) -> Iterator[None]:
    """Every statement that the product sends in a test is one that a Citus cluster can run on the node of the
    workspace; a plain Postgres takes any, so the parse tree says it (`placing.py`)."""
    yield
    misplaced = [f"{wrong}: {' '.join(text.split())}" for text, wrong in sent_statements.misplaced().items()]
    assert misplaced == []


@pytest.fixture(scope="session")
def run_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that all workers of a run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


@pytest.fixture(scope="session")
def postgres(run_directory: Path) -> Iterator[str]:
    """The address of this worker's Postgres, which has the template."""
    with embedded.running(server_of_worker(run_directory), shared_buffers_mb=128) as server:
        yield server.url


@pytest.fixture(scope="session")
async def database_url(postgres: str) -> str:
    """The address of a clone of the template for all tests that leave nothing in it; or of the database that
    CRM_TEST_DATABASE_URL names, which has the template's data: a Citus cluster, say."""
    return os.environ.get("CRM_TEST_DATABASE_URL") or await clone(postgres, "crm_tests")


@pytest.fixture(scope="session")
def schema() -> BuiltSchema:
    """The product's schema, built once."""
    return make_schema()


@pytest.fixture
async def graph(database_url: str, schema: BuiltSchema) -> AsyncIterator[Graph]:
    """The graph over demo data; nothing that a test does stays."""
    async with savepoint(database_url) as database:
        yield Graph(schema, database)
