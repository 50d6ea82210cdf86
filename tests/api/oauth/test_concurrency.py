"""Many requests at once over real pools: what is good once is taken once, and nobody waits for ever."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette

from crm_graph.api.engine import Engine
from crm_graph.api.oauth.routes import routes
from crm_graph.db.pool import Database, PoolSettings
from crm_graph.domains.identity.accounts.directory import MemberDirectory
from crm_graph.events.hub import Hub
from crm_graph.graph.cursors import CursorSealer
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.authenticate import Authenticator
from crm_graph.identity.tokens import TokenAuthority
from tests.api.oauth.site import ISSUER, Pkce, Site
from tests.support.database import SavepointDatabase, clone
from tests.support.graph import Graph
from tests.support.services import SECRET, make_services

AT_ONCE = 8


class _Pooled(Graph):
    """A graph whose engine has pools of its own; `database` is beside it, for looking."""

    def __init__(self, schema: BuiltSchema, beside: SavepointDatabase, pools: Database) -> None:
        super().__init__(schema, beside)
        services = make_services(self.authority, pools)
        authenticator = Authenticator(TokenAuthority([SECRET], "crm-graph", "crm-graph"), MemberDirectory())
        self.engine = Engine(schema, services, authenticator, hub=Hub(pools), sealer=CursorSealer(b"c" * 64))


@pytest.fixture
async def pooled(postgres: str, database_url: str, schema: BuiltSchema) -> AsyncIterator[Site]:
    """A site over a database of its own, with two connections to write."""
    import asyncpg

    from crm_graph.db.codecs import set_codecs

    url = await clone(postgres, f"oauth_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}")
    pools = await Database.open(url, settings=PoolSettings(read_size=2, write_size=2))
    connection = await asyncpg.connect(url)
    await set_codecs(connection)
    graph = _Pooled(schema, SavepointDatabase(connection, url), pools)
    transport = httpx.ASGITransport(Starlette(routes=routes(lambda: graph.engine)), client=("203.0.113.7", 4711))
    try:
        async with httpx.AsyncClient(transport=transport, base_url=ISSUER) as http:
            yield Site(graph, http)
    finally:
        await connection.close()
        await pools.close()


async def test_a_code_is_taken_once(pooled: Site) -> None:
    await pooled.sign_in()
    client, pkce = await pooled.client(), Pkce()
    code = await pooled.code(client, pkce)
    async with asyncio.timeout(60):
        found = await asyncio.gather(*(pooled.redeem(client, code, pkce) for _ in range(AT_ONCE)))
    assert sorted(each.status_code for each in found) == [200] + [400] * (AT_ONCE - 1)
    tokens = "SELECT count(*) FROM member_session WHERE kind = 'TOKENS'"
    assert await pooled.graph.value(tokens) == 1
    assert await pooled.graph.value(f"{tokens} AND revoked_at IS NULL") == 0


async def test_of_many_refreshes_at_once_all_get_the_same_pair(pooled: Site) -> None:
    await pooled.sign_in()
    client = await pooled.client()
    first = await pooled.tokens(client)
    async with asyncio.timeout(60):
        found = await asyncio.gather(*(pooled.refresh(client, first["refresh_token"]) for _ in range(AT_ONCE)))
    assert [each.status_code for each in found] == [200] * AT_ONCE
    assert len({(each.json()["access_token"], each.json()["refresh_token"]) for each in found}) == 1
    row = "SELECT generation FROM member_session WHERE kind = 'TOKENS' AND revoked_at IS NULL"
    assert await pooled.graph.value(row) == 2


async def test_more_requests_than_connections_are_all_answered(pooled: Site) -> None:
    """The attack: requests that each hold a connection and wait for a second one wait for each other, for ever."""
    await pooled.sign_in()
    client = await pooled.client(first_party=True, acts_as="sales_rep")
    async with asyncio.timeout(60):
        tokens = await asyncio.gather(*(pooled.tokens(client) for _ in range(AT_ONCE)))
        refreshed = await asyncio.gather(*(pooled.refresh(client, each["refresh_token"]) for each in tokens))
    assert [each.status_code for each in refreshed] == [200] * AT_ONCE
