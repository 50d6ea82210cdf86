"""Upserts of the same new records at the same moment, over real pools: one makes them, the others change them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.kernel.ids import encode_id, new_id
from crm_graph.kernel.settings import Settings
from tests.idempotency.test_at_once import becomes, observed, send
from tests.support.live import Running, running

ONE = """mutation ($input: UpsertCustomerInput!) { upsertCustomer(input: $input) {
  customer { id name version } errors { code field message } } }"""
MANY = """mutation ($inputs: [UpsertCustomerInput!]!, $onError: OnRefusal!) {
  upsertCustomers(inputs: $inputs, onError: $onError) {
    results { customer { id name version } errors { code field message } } errors { code } } }"""
PLACE = """mutation ($id: ID!, $parentId: ID!) { updateCustomer(input: {id: $id, parentId: $parentId}) {
  customer { id } errors { code field message } } }"""
WAITING = """SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%INTO customer%'"""
INSERT = """INSERT INTO customer (workspace_id, id, version, created_at, updated_at, name, external_id, lifecycle,
    lifecycle_since) SELECT workspace_id, $2, 1, now(), now(), 'Of another', $3, 'POTENTIAL', now() FROM customer
    WHERE workspace_id = $1 LIMIT 1"""
SOON_S = 20


@pytest.fixture(scope="module")
async def real(postgres: str, schema: BuiltSchema) -> AsyncIterator[Running]:
    """An engine whose transactions commit. It relays nothing and runs no jobs that a test would wait for."""
    async with running(postgres, schema, "crm_upserts", replace(Settings(), jobs=False)) as found:
        yield found


async def raced(real: Running, source: str, variables: dict[str, Any], made: tuple[str, str | None], key: str) -> Any:
    """Return the answer to a mutation while whose insert waits another transaction makes a record and commits."""
    claims = await real.member("admin")
    async with observed(real) as other:
        transaction = other.transaction()
        await transaction.start()
        await other.execute(INSERT, claims.workspace_id, *made)
        answer = asyncio.create_task(send(real, claims, source, variables, key))
        await becomes(real, WAITING, 1)
        await transaction.commit()
    async with asyncio.timeout(SOON_S):
        first = await answer
    assert await send(real, claims, source, variables, key) == first  # what is kept is what came of it
    return first["data"]


async def test_a_record_that_was_made_meanwhile_is_changed(real: Running) -> None:
    id_ = new_id()
    variables = {"input": {"id": "externalId:race-1", "name": "Mine"}}
    data = await raced(real, ONE, variables, (id_, "race-1"), "race 1")
    customer = {"id": encode_id("cus", id_), "name": "Mine", "version": 2}
    assert data["upsertCustomer"] == {"customer": customer, "errors": []}


async def test_so_it_is_by_an_id_that_clients_make(real: Running) -> None:
    id_ = new_id()
    variables = {"input": {"id": encode_id("cus", id_), "name": "Mine"}}
    data = await raced(real, ONE, variables, (id_, None), "race 2")
    customer = {"id": encode_id("cus", id_), "name": "Mine", "version": 2}
    assert data["upsertCustomer"] == {"customer": customer, "errors": []}


@pytest.mark.parametrize("on_error", ["REJECT_ALL", "REJECT_FAILED"])
async def test_and_in_a_batch(real: Running, on_error: str) -> None:
    id_, names = new_id(), [f"{on_error} {number}" for number in range(5)]
    inputs = [{"id": f"externalId:{name}", "name": "Mine"} for name in names]
    data = (await raced(real, MANY, {"inputs": inputs, "onError": on_error}, (id_, names[3]), on_error))[
        "upsertCustomers"
    ]
    assert data["errors"] == []
    assert [each["customer"]["version"] for each in data["results"]] == [1, 1, 1, 2, 1]
    assert data["results"][3]["customer"] == {"id": encode_id("cus", id_), "name": "Mine", "version": 2}


async def test_another_value_that_is_taken_is_still_taken(real: Running) -> None:
    id_ = new_id()
    variables = {"input": {"id": encode_id("cus", new_id()), "externalId": "race-3", "name": "Mine"}}
    data = await raced(real, ONE, variables, (id_, "race-3"), "race 3")
    assert [(each["code"], each["field"]) for each in data["upsertCustomer"]["errors"]] == [("TAKEN", ["externalId"])]


async def test_of_many_upserts_at_once_none_is_refused(real: Running) -> None:
    claims = await real.member("admin")
    given = {"input": {"id": "externalId:crowd", "name": "Crowd"}}
    bodies = await asyncio.gather(*(send(real, claims, ONE, given) for _ in range(12)))
    customers = {str(body["data"]["upsertCustomer"]) for body in bodies}
    assert len(customers) == 1, customers
    assert bodies[0]["data"]["upsertCustomer"]["customer"]["version"] == 1


async def test_two_at_once_make_no_circle(real: Running) -> None:
    claims = await real.member("admin")
    for number in range(6):
        ids = [f"externalId:circle-{number}-{name}" for name in "ab"]
        inputs = [{"id": id_, "name": id_} for id_ in ids]
        await send(real, claims, MANY, {"inputs": inputs, "onError": "REJECT_ALL"})
        pairs = (ids, ids[::-1])
        both = await asyncio.gather(*(send(real, claims, PLACE, {"id": id_, "parentId": up}) for id_, up in pairs))
        codes = [[each["code"] for each in body["data"]["updateCustomer"]["errors"]] for body in both]
        assert sorted(codes) == [[], ["INVALID"]]
