"""Copies of a request at the same moment, over real pools: one of them does it, and nobody waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import orjson
import pytest
import strawberry

from crm_graph.api.body import GraphQLRequest
from crm_graph.graph.idempotency.once import _Once
from crm_graph.graph.idempotency.values import pack
from crm_graph.graph.payloads import DeletePayload, user_error
from crm_graph.graph.running.execution import make_executor
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.idempotency.answers import Kept, claim, keep
from crm_graph.idempotency.keys import Claim, Sent, of_request
from crm_graph.identity.tokens import Claims
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.errors import KeyInProgress, KeyReused, Refused
from crm_graph.kernel.settings import Settings
from crm_graph.work import Work
from tests.support.database import with_database
from tests.support.live import Running, running

CREATE = "mutation ($name: String!) { createCustomer(input: {name: $name}) { customer { id name } errors { code } } }"
RENAME = """mutation ($id: ID!, $name: String!) {
    updateCustomer(input: {id: $id, name: $name}) { customer { name version } errors { code } } }"""
WAITING = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%FROM customer%'"""
SOON_S = 20


@pytest.fixture(scope="module")
async def real(postgres: str, schema: BuiltSchema) -> AsyncIterator[Running]:
    """An engine whose transactions commit. It relays nothing and runs no jobs that a test would wait for."""
    async with running(postgres, schema, "crm_idempotency", replace(Settings(), jobs=False)) as found:
        yield found


@asynccontextmanager
async def observed(real: Running) -> AsyncIterator[asyncpg.Connection[Any]]:
    """Lend another connection to the same database."""
    name = await real.connection.fetchval("SELECT current_database()")
    connection = await asyncpg.connect(with_database(real.engine.database.url, name))
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def held(real: Running, id_: str) -> AsyncIterator[None]:
    """Hold a customer's row: whoever changes it waits."""
    async with observed(real) as holder, holder.transaction():
        await holder.execute("SELECT FROM customer WHERE id = $1 FOR UPDATE", id_.removeprefix("cus_"))
        yield


async def becomes(real: Running, query: str, wanted: int) -> None:
    """Wait until a count is as wanted."""
    async with asyncio.timeout(SOON_S):
        while await real.connection.fetchval(query) != wanted:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def send(
    real: Running, claims: Claims, source: str, variables: Mapping[str, Any], key: str | None = None
) -> dict[str, Any]:
    """Return the answer to a request with a key."""
    request = GraphQLRequest(source, None, variables, idempotency_key=key)
    operation = await real.engine.admission.operation(request, claims)
    return orjson.loads((await real.engine.execute(request, operation, claims)).json())  # type: ignore[no-any-return]


async def made(real: Running, claims: Claims) -> str:
    """Make a customer and return its id."""
    body = await send(real, claims, CREATE, {"name": "To be renamed"})
    id_: str = body["data"]["createCustomer"]["customer"]["id"]
    return id_


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_while_it_runs_a_copy_is_told_so_at_once(real: Running, schema: BuiltSchema, executor: str) -> None:
    real.engine.execution.executor = make_executor(executor, schema)
    claims, other = await real.member("admin"), await real.member("sales_manager")
    id_ = await made(real, claims)
    given, key = {"id": id_, "name": "Renamed"}, f"in progress {executor}"
    async with held(real, id_):
        first = asyncio.create_task(send(real, claims, RENAME, given, key))
        await becomes(real, WAITING, 1)
        async with asyncio.timeout(SOON_S):
            copy = await send(real, claims, RENAME, given, key)
            (error,) = copy["errors"]
            assert copy["data"] == {"updateCustomer": None}
            assert error["extensions"]["code"] == "IDEMPOTENCY_IN_PROGRESS"
            assert error["extensions"]["retryAfterSeconds"] == 1
            assert error["path"] == ["updateCustomer"]
            body = await send(real, other, CREATE, {"name": "Of another member"}, key)
            assert body["data"]["createCustomer"]["errors"] == []
        assert not first.done()
    answer = await first
    assert answer == {"data": {"updateCustomer": {"customer": {"name": "Renamed", "version": 2}, "errors": []}}}
    assert await send(real, claims, RENAME, given, key) == answer


async def test_of_many_copies_one_does_it(real: Running) -> None:
    claims = await real.member("admin")
    for round_ in range(5):
        given, key = {"name": f"Many {round_}"}, f"many {round_}"
        bodies = await asyncio.gather(*(send(real, claims, CREATE, given, key) for _ in range(12)))
        done = [body["data"]["createCustomer"] for body in bodies if "errors" not in body]
        codes = {error["extensions"]["code"] for body in bodies for error in body.get("errors", ())}
        assert done
        assert all(each == done[0] for each in done)
        assert codes <= {"IDEMPOTENCY_IN_PROGRESS"}
        assert await real.connection.fetchval("SELECT count(*) FROM customer WHERE name = $1", given["name"]) == 1


async def test_one_that_is_given_up_leaves_its_key_free(real: Running) -> None:
    """Whoever was told nothing asks again, and it is done: once."""
    claims = await real.member("admin")
    id_ = await made(real, claims)
    given = {"id": id_, "name": "Second try"}
    async with held(real, id_):
        first = asyncio.create_task(send(real, claims, RENAME, given, "given up"))
        await becomes(real, WAITING, 1)
        first.cancel()
        await asyncio.wait({first})
        await becomes(real, WAITING, 0)
    async with asyncio.timeout(SOON_S):
        while "errors" in (body := await send(real, claims, RENAME, given, "given up")):
            assert body["errors"][0]["extensions"]["code"] == "IDEMPOTENCY_IN_PROGRESS", "until it is rolled back"
            await asyncio.sleep(0.01)
    assert body["data"]["updateCustomer"]["customer"] == {"name": "Second try", "version": 2}


def claimed(claims: Claims, key: str, variables: Mapping[str, Any], field: str = "createCustomer") -> Claim:
    """Return a claim as a request makes it."""
    viewer = Viewer(claims.workspace_id, claims.member_id, (), ())
    return of_request(viewer, Sent("d" * 64, None, variables, key), field, [b"s" * 32])


async def test_what_was_committed_between_the_snapshot_and_the_lock_is_seen(real: Running) -> None:
    """The claim reads what was committed before it began, and may get its lock after somebody else was done. Then the
    answer is not kept, and with it nothing else is."""
    claims, now = await real.member("admin"), real.engine.now()
    since = now - timedelta(hours=24)
    mine, theirs = claimed(claims, "late", {"a": 1}), claimed(claims, "late", {"a": 2}, "createProduct")
    for other in (mine, theirs):
        with pytest.raises(KeyInProgress):
            await overtaken(real, mine, other, since)
        found = await real.connection.fetch("SELECT field, request FROM idempotent_answer WHERE key = $1", mine.key)
        assert [tuple(row) for row in found] == [(other.field, other.requests[0])]
        async with real.engine.database.transaction() as session:
            if other is mine:
                assert await claim(session, mine, since) == Kept(b"{}")
            else:
                with pytest.raises(KeyReused):
                    await claim(session, mine, since)
        await real.connection.execute("DELETE FROM idempotent_answer WHERE key = $1", mine.key)


async def overtaken(real: Running, mine: Claim, other: Claim, since: datetime) -> None:
    """Claim a field and keep its answer, while another one's answer is committed in between."""
    now = real.engine.now()
    async with real.engine.database.transaction() as session:
        assert await claim(session, mine, since) is None
        await put(real.connection, other, b"{}", now)
        await keep(session, mine, b"{}", now, since)


async def put(connection: asyncpg.Connection[Any], of: Claim, answer: bytes, at: datetime) -> None:
    """Write an answer past all locks."""
    insert = "INSERT INTO idempotent_answer VALUES ($1, $2, $3, $4, $5, $6)"
    await connection.execute(insert, of.workspace_id, of.key, of.field, of.requests[0], answer, at)


async def test_a_refusal_gives_way_to_what_was_done_meanwhile(real: Running) -> None:
    """A refusal is kept after its operation was rolled back, and the key was free in between."""
    claims = await real.member("admin")
    context, mine = await real.engine.contexts.read(claims), claimed(claims, "gives way", {})
    done = DeletePayload(deleted_id=strawberry.ID("cus_1"), errors=[])

    async def refuse(work: Work) -> DeletePayload:
        async with observed(real) as meanwhile:
            await put(meanwhile, mine, pack(done), work.now)
        raise Refused("TAKEN", "Another customer has this.", ("name",))

    def refused(refusal: Refused) -> DeletePayload:
        return DeletePayload(deleted_id=None, errors=[user_error(refusal)])

    assert await _Once(context, mine, DeletePayload).answer(refuse, refused) == done


async def test_nothing_of_a_key_is_held_when_all_is_said(real: Running) -> None:
    claims = await real.member("admin")
    await send(real, claims, CREATE, {"name": "Let go"}, "let go")
    await send(real, claims, CREATE, {"name": "Let go"}, "let go")
    await send(real, claims, CREATE, {"name": "Another"}, "let go")
    key = await real.connection.fetchval("SELECT key FROM idempotent_answer ORDER BY created_at DESC LIMIT 1")
    lock = int.from_bytes(key[:8], "big", signed=True)
    assert await real.connection.fetchval("SELECT pg_try_advisory_lock($1)", lock)
    await real.connection.execute("SELECT pg_advisory_unlock($1)", lock)
