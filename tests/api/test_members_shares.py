"""What one member does keeps no other one waiting: connections, time, and what is live are shared out.

A lock on one table makes slow whatever reads it, for as long as a test wants; who reads another one shows whether there
is anything left for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from crm_graph.api.admission.payers import Payers
from crm_graph.api.body import GraphQLRequest
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.origin import Origin
from crm_graph.identity.tokens import ANONYMOUS, Claims
from crm_graph.kernel.errors import RateLimited
from crm_graph.kernel.settings import Settings
from tests.support.live import Running, running

SLOW = "{ tickets(first: 1) { totalCount nodes { id } } }"
QUICK = "{ customers(first: 1) { nodes { id } } }"
SLOW_WRITE = 'mutation { createTicket(input: {subject: "x"}) { ticket { id } errors { code } } }'
QUICK_WRITE = 'mutation { createCustomer(input: {name: "x"}) { customer { id } errors { code } } }'
SETTINGS = Settings(
    read_pool_size=4,
    write_pool_size=4,
    query_timeout_ms=3_000,
    mutation_timeout_ms=3_000,
    member_waiting=6,
    max_live_forms_per_member=3,
    max_live_cost_per_member=30,
)


@pytest.fixture
async def site(postgres: str, database_url: str, schema: BuiltSchema) -> AsyncIterator[Running]:
    """A running engine with small pools."""
    name = database_url.partition("?")[0].rpartition("/")[2]
    async with running(postgres, schema, f"{name}_shares", SETTINGS) as made:
        yield made


@asynccontextmanager
async def locked(site: Running) -> AsyncIterator[None]:
    """Make whatever reads or writes tickets wait."""
    holder = await asyncpg.connect(site.engine.database.url)
    try:
        async with holder.transaction():
            await holder.execute("LOCK TABLE ticket IN ACCESS EXCLUSIVE MODE")
            yield
    finally:
        await holder.close()


def code_of(body: dict[str, Any]) -> str:
    """Return the code of the first error, or OK."""
    return str(body["errors"][0]["extensions"]["code"]) if "errors" in body else "OK"


@pytest.mark.parametrize(("slow", "quick", "pool"), [(SLOW, QUICK, "read"), (SLOW_WRITE, QUICK_WRITE, "write")])
async def test_slow_operations_of_one_member_leave_connections_to_others(
    site: Running, slow: str, quick: str, pool: str
) -> None:
    greedy, modest = await site.member("admin"), await site.member("sales_rep")
    shares = site.engine.database.pools()[pool].shares
    await site.data(modest, quick)
    async with locked(site):
        asking = [asyncio.create_task(site.answer(greedy, slow)) for _ in range(12)]
        async with asyncio.timeout(2):
            while shares.waiting < SETTINGS.member_waiting:  # noqa: ASYNC110 - polls
                await asyncio.sleep(0.01)
        for _ in range(5):
            await site.data(modest, quick)  # while the lock is held: it does not wait for it
        assert not any(task.done() for task in asking[:2])
        assert code_of(await site.answer(greedy, quick)) == "RATE_LIMITED", "all that may wait do"
        codes = [code_of(await task) for task in asking]
    assert set(codes) == {"TIMEOUT", "RATE_LIMITED"}
    assert codes.count("TIMEOUT") >= 2, "who had a connection was stopped"
    assert codes.count("RATE_LIMITED") >= 12 - 2 - SETTINGS.member_waiting, "who was one too many was refused"
    async with asyncio.timeout(5):
        while shares.taken:  # noqa: ASYNC110 - what was stopped is mended
            await asyncio.sleep(0.01)
    await site.data(greedy, quick)


async def test_time_is_charged_also_where_it_ran_out(site: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """A member with a second a minute has used it up by one query that was stopped after more; nobody else has."""
    greedy, modest = await site.member("admin"), await site.member("sales_rep")
    monkeypatch.setattr(site.engine.execution, "payers", Payers(Settings(rate_member_busy_seconds=1)))
    async with locked(site):
        assert code_of(await site.answer(greedy, SLOW)) == "TIMEOUT"
    body = await site.answer(greedy, QUICK)
    assert code_of(body) == "RATE_LIMITED"
    assert 60 < body["errors"][0]["extensions"]["retryAfterSeconds"] <= 200, "three seconds are three minutes' worth"
    await site.data(modest, QUICK)


def test_who_pays() -> None:
    """A member whatever client acts for them, all clients of a workspace together, an address if nobody is known."""
    now = [0.0]
    payers = Payers(
        Settings(
            rate_member_busy_seconds=10,
            rate_client_busy_seconds=15,
            rate_workspace_busy_seconds=25,
            rate_address_busy_seconds=5,
        ),
        lambda: now[0],
    )
    ada, by_client, bob = payers.of_member("w", "ada"), payers.of_member("w", "ada", "c"), payers.of_member("w", "bob")
    assert ada.key == by_client.key, "one share of the connections"
    ada.charge(6)
    by_client.charge(6)
    for payer in (ada, by_client):
        with pytest.raises(RateLimited):
            payer.refuse_busy()
    bob.refuse_busy()
    now[0] += 13
    ada.refuse_busy()
    by_client.charge(13)
    with pytest.raises(RateLimited):
        payers.of_member("w", "eve", "c").refuse_busy()
    bob.charge(9)
    with pytest.raises(RateLimited):
        payers.of_member("w", "someone else").refuse_busy()
    payers.of_member("another workspace", "eve").refuse_busy()
    one, same, other = (payers.of(ANONYMOUS, Origin(each)) for each in ("2001:db8::1", "2001:db8::2", "192.0.2.1"))
    one.charge(6)
    with pytest.raises(RateLimited):
        same.refuse_busy()
    other.refuse_busy()


async def subscribe(site: Running, claims: Claims, where: str) -> tuple[str, asyncio.Task[None]]:
    """Subscribe, and take what comes; return the code of the refusal, or OK."""
    request = GraphQLRequest(f"subscription {{ opportunityChanged(where: {where}) {{ cursor recordId }} }}", None, {})
    operation = await site.engine.admission.operation(request, claims)
    refusal, stream = await site.engine.subscribe(request, operation, lambda: claims)

    async def take() -> None:
        async for _ in stream:
            pass

    task = asyncio.create_task(take())
    await asyncio.sleep(0.05)
    return "OK" if refusal is None else code_of(refusal.body), task


FORMS = ['{name: {eq: "a"}}', '{name: {ne: "a"}}', '{name: {startsWith: "a"}}']
FORTH = '{name: {contains: "a"}}'


async def test_a_member_has_so_many_forms_of_filters(site: Running) -> None:
    """Values do not count, other members neither; whoever ends one may begin another."""
    greedy, modest = await site.member("admin"), await site.member("sales_rep")
    tasks = []
    for where in (*FORMS, '{name: {eq: "b"}}', '{name: {eq: "c"}}'):
        code, task = await subscribe(site, greedy, where)
        assert code == "OK"
        tasks.append(task)
    code, refused = await subscribe(site, greedy, FORTH)
    assert code == "RATE_LIMITED"
    code, other = await subscribe(site, modest, FORTH)
    assert code == "OK"
    tasks[2].cancel()
    await asyncio.gather(tasks[2], return_exceptions=True)
    code, fourth = await subscribe(site, greedy, FORTH)
    assert code == "OK"
    for task in (*tasks, refused, other, fourth):
        task.cancel()
    await asyncio.gather(*tasks, refused, other, fourth, return_exceptions=True)


async def test_what_a_member_subscribes_to_has_a_cost_in_all(site: Running) -> None:
    greedy = await site.member("admin")
    codes, tasks = [], []
    for number in range(150):
        code, task = await subscribe(site, greedy, f'{{name: {{eq: "{number}"}}}}')
        codes.append(code)
        tasks.append(task)
        if code != "OK":
            break
    assert codes[-1] == "RATE_LIMITED"
    assert set(codes[:-1]) == {"OK"}
    assert len(codes) > 10
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert site.engine.requests.open_subscriptions == 0
    code, task = await subscribe(site, greedy, FORTH)
    assert code == "OK", "all was given back"
    task.cancel()
