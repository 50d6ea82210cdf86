"""The fixtures of accounts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from crm_graph.graph.schema.build import BuiltSchema
from tests.support.accounts import Accounts, real_accounts
from tests.support.database import clone, savepoint


@pytest.fixture
async def accounts(database_url: str, schema: BuiltSchema) -> AsyncIterator[Accounts]:
    """Accounts on one connection; nothing that a test does stays."""
    async with savepoint(database_url) as database:
        yield Accounts(schema, database)


@pytest.fixture(scope="session")
async def accounts_url(postgres: str, database_url: str) -> str:
    """The address of a database of its own for tests that commit."""
    return await clone(postgres, f"{database_url.partition('?')[0].rpartition('/')[2]}_accounts")


@pytest.fixture
async def real(accounts_url: str, schema: BuiltSchema) -> AsyncIterator[Accounts]:
    """Accounts over real pools, for what happens at once."""
    async with real_accounts(schema, accounts_url) as found:
        yield found
