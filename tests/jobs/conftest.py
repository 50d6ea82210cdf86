"""A database of its own for each test: workers commit."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.jobs.desk import Desk, desk_on
from tests.support.database import clone


@pytest.fixture
async def jobs_url(postgres: str, request: pytest.FixtureRequest) -> str:
    """The address of a clone of the template."""
    return await clone(postgres, f"crm_jobs_{abs(hash(request.node.nodeid)) % 10**8}")


@pytest.fixture
async def desk(jobs_url: str) -> AsyncIterator[Desk]:
    """A desk on it."""
    async with desk_on(jobs_url) as made:
        yield made
