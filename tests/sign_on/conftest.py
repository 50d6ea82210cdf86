"""A desk over the demo data, and the two kinds of issuer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from crm_graph.graph.schema.build import BuiltSchema
from tests.support.database import savepoint
from tests.support.issuers import Liar, RealIssuer, liar, real_issuer
from tests.support.packages import install_packages
from tests.support.sign_on import Desk, desk


@pytest.fixture
async def at(database_url: str, schema: BuiltSchema) -> AsyncIterator[Desk]:
    """A desk; nothing that a test does stays."""
    async with savepoint(database_url) as database, desk(schema, database) as made:
        yield made


@pytest.fixture(scope="session")
def oidc_provider() -> Iterator[RealIssuer]:
    """The real issuer of a worker."""
    install_packages()
    with real_issuer() as made:
        yield made


@pytest.fixture
async def issuer() -> AsyncIterator[Liar]:
    """An issuer that does what a test says."""
    async with liar() as made:
        yield made
