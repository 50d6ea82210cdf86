"""Mutations of many: the verdict of one for each, a few statements for all."""

from __future__ import annotations

from typing import Any

import pytest

from crm_graph.kernel.ids import encode_id, new_id
from tests.support.graph import Graph

CREATE = """mutation ($inputs: [CreateCustomerInput!]!, $onError: OnRefusal! = REJECT_ALL, $dryRun: Boolean! = false) {
  createCustomers(inputs: $inputs, onError: $onError, dryRun: $dryRun) {
    results { customer { id name owner { id } } errors { code field message } } errors { code field message } } }"""
UPDATE = """mutation ($inputs: [UpdateCustomerInput!]!, $onError: OnRefusal! = REJECT_ALL) {
  updateCustomers(inputs: $inputs, onError: $onError) {
    results { customer { id name version } errors { code field message } } errors { code field } } }"""
DELETE = """mutation ($inputs: [DeleteCustomerInput!]!) {
  deleteCustomers(inputs: $inputs) { results { deletedId errors { code field } } errors { code } } }"""


async def count(graph: Graph, prefix: str) -> int:
    rows = await graph.rows("SELECT count(*) FROM customer WHERE name LIKE $1 AND deleted_at IS NULL", f"{prefix}%")
    return int(rows[0][0])


async def create(graph: Graph, inputs: list[dict[str, Any]], **more: Any) -> Any:
    return (await graph.data(CREATE, {"inputs": inputs, **more}))["createCustomers"]


@pytest.mark.parametrize("many", [2, 200])
async def test_a_batch_is_a_few_statements_whatever_its_size(graph: Graph, many: int) -> None:
    parent = (await create(graph, [{"name": "Bulk parent"}]))["results"][0]["customer"]["id"]
    inputs = [{"name": f"Bulk {number}", "employees": number, "parentId": parent} for number in range(many)]
    await create(graph, inputs[:2])  # what is compiled and asked once
    made = await create(graph, inputs)
    assert made["errors"] == []
    assert [each["customer"]["name"] for each in made["results"]] == [each["name"] for each in inputs]
    # The guard; two savepoints within one, and their ends; the parent, the rows, their events; and what the payload
    # selects.
    assert graph.statements == 9
    created = "SELECT entity_id FROM event WHERE type = 'CustomerCreated' ORDER BY seq DESC LIMIT $1"
    rows = await graph.rows(created, many)
    assert [encode_id("cus", row[0]) for row in reversed(rows)] == [each["customer"]["id"] for each in made["results"]]


async def test_one_that_is_refused_refuses_all(graph: Graph) -> None:
    inputs: list[dict[str, Any]] = [{"name": f"Bulk {number}"} for number in range(20)]
    inputs[7] = {"name": "Bulk bad", "employees": -5}
    made = await create(graph, inputs)
    assert made["errors"] == [
        {"code": "REJECTED", "field": ["inputs", "7"], "message": "1 of 20 inputs was refused: nothing was written."}
    ]
    assert made["results"][7]["errors"] == [
        {"code": "INVALID", "field": ["employees"], "message": "`employees` must be at least 0."}
    ]
    assert all(each["customer"] is None for each in made["results"])
    assert await count(graph, "Bulk") == 0


async def test_those_that_are_refused_leave_the_others(graph: Graph) -> None:
    inputs: list[dict[str, Any]] = [{"name": f"Bulk {number}"} for number in range(20)]
    inputs[7] = {"name": "Bulk bad", "employees": -5}
    inputs[9] = {"name": "Bulk bad", "parentId": encode_id("cus", new_id())}
    made = await create(graph, inputs, onError="REJECT_FAILED")
    assert made["errors"] == []
    assert [place for place, each in enumerate(made["results"]) if each["errors"]] == [7, 9]
    assert made["results"][9]["errors"][0]["field"] == ["parentId"]
    assert await count(graph, "Bulk") == 18
    made_ones = "SELECT id FROM customer WHERE name LIKE 'Bulk%'"
    told = f"SELECT count(*) FROM event WHERE type = 'CustomerCreated' AND entity_id IN ({made_ones})"
    assert (await graph.rows(told))[0][0] == 18


async def test_what_must_be_unique_is_the_first_ones(graph: Graph) -> None:
    inputs = [{"name": f"Bulk {number}", "externalId": f"bulk-{number % 5}"} for number in range(7)]
    made = await create(graph, inputs, onError="REJECT_FAILED")
    assert [each["errors"][0]["code"] if each["errors"] else "" for each in made["results"]] == [""] * 5 + ["TAKEN"] * 2
    assert made["results"][5]["errors"][0]["field"] == ["externalId"]


async def test_a_dry_run_says_what_would_be_refused(graph: Graph) -> None:
    made = await create(graph, [{"name": "Bulk 1"}, {"name": "  "}], dryRun=True)
    assert [bool(each["errors"]) for each in made["results"]] == [False, True]
    assert made["errors"] == []
    assert await count(graph, "Bulk") == 0


async def test_too_many(graph: Graph) -> None:
    made = await create(graph, [{"name": "Bulk"}] * 1_001)
    assert made == {
        "results": [],
        "errors": [{"code": "INVALID", "field": ["inputs"], "message": "`inputs` has 1,001 items: 1,000 is the most."}],
    }


async def test_the_same_record_twice(graph: Graph) -> None:
    made = await create(graph, [{"name": "Bulk 1"}, {"name": "Bulk 2"}])
    one, two = (each["customer"]["id"] for each in made["results"])
    inputs = [{"id": one, "name": "Bulk one"}, {"id": two, "name": "Bulk two"}, {"id": one, "name": "Bulk again"}]
    found = (await graph.data(UPDATE, {"inputs": inputs, "onError": "REJECT_FAILED"}))["updateCustomers"]
    assert [each["errors"][:1] for each in found["results"]] == [
        [],
        [],
        [{"code": "INVALID", "field": ["id"], "message": "Another input of this batch is about this customer."}],
    ]
    assert found["results"][0]["customer"]["version"] == 2


async def test_many_are_changed_and_deleted_in_a_few_statements(graph: Graph) -> None:
    made = await create(graph, [{"name": f"Bulk {number}"} for number in range(50)])
    ids = [each["customer"]["id"] for each in made["results"]]
    for again in range(2):
        inputs = [{"id": id_, "name": f"Bulk {again}.{number}", "city": None} for number, id_ in enumerate(ids)]
        found = (await graph.data(UPDATE, {"inputs": inputs}))["updateCustomers"]
    assert found["errors"] == []
    assert graph.statements == 10, "one of them reads the keys of persons"
    found = (await graph.data(DELETE, {"inputs": [{"id": id_} for id_ in ids]}))["deleteCustomers"]
    assert [each["deletedId"] for each in found["results"]] == ids
    assert await count(graph, "Bulk") == 0
