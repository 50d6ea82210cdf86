"""The projector: what it makes of the log, in what order, and that nothing is lost or taken twice."""

from __future__ import annotations

from typing import Any

from crm_graph.domains.customers.customers.graph import Customer
from tests.support.graph import Graph
from tests.support.projected import begin, differing, project

UPDATE = "mutation ($input: UpdateCustomerInput!) { updateCustomer(input: $input) { errors { message } } }"
CREATE = (
    "mutation ($input: CreateCustomerInput!) { createCustomer(input: $input) { customer { id } errors { message } } }"
)
DELETE = "mutation ($input: DeleteCustomerInput!) { deleteCustomer(input: $input) { errors { message } } }"
VERSIONS = (
    "SELECT name, city, told_as, version, valid_to = 'infinity' AS still, deleted_at IS NOT NULL AS gone"
    " FROM customer_version WHERE id = $1 ORDER BY valid_from"
)


async def create(graph: Graph, name: str, **more: Any) -> str:
    made = await graph.data(CREATE, {"input": {"name": name, **more}})
    assert made["createCustomer"]["errors"] == []
    id_: str = made["createCustomer"]["customer"]["id"]
    return id_


async def change(graph: Graph, id_: str, **fields: Any) -> None:
    done = await graph.data(UPDATE, {"input": {"id": id_, **fields}})
    assert done["updateCustomer"]["errors"] == []


async def test_it_begins_with_the_rows_that_are_there(graph: Graph) -> None:
    await begin(graph)
    for table in ("customer", "opportunity", "sales_order", "ticket", "campaign"):
        assert await differing(graph.database.one.connection, table) == []
    assert await graph.value("SELECT count(*) FROM history_type") == 5


async def test_a_record_has_a_version_for_each_change(graph: Graph) -> None:
    await begin(graph)
    id_ = await create(graph, "Ada", annualRevenue={"amount": "12.3400", "currency": "EUR"})
    await change(graph, id_, city="Paris")
    await change(graph, id_, city=None, name="Ada & Co")
    await graph.data(DELETE, {"input": {"id": id_}})
    await project(graph)
    found = [tuple(row) for row in await graph.rows(VERSIONS, id_[4:])]
    assert found == [
        ("Ada", None, "CustomerCreated", 1, False, False),
        ("Ada", "Paris", "CustomerUpdated", 2, False, False),
        ("Ada & Co", None, "CustomerUpdated", 3, False, False),
        ("Ada & Co", None, "CustomerDeleted", 4, True, True),
    ]
    assert await differing(graph.database.one.connection, "customer") == []


async def test_batches_of_any_size_make_the_same(graph: Graph) -> None:
    await begin(graph)
    ids = [await create(graph, f"C{number}") for number in range(3)]
    for number in range(4):
        for id_ in ids:
            await change(graph, id_, city=f"city {number}")
    assert await project(graph, batch=2) > 12
    for id_ in ids:
        rows = await graph.rows(VERSIONS, id_[4:])
        assert [row["version"] for row in rows] == [1, 2, 3, 4, 5]
    assert await differing(graph.database.one.connection, "customer") == []


async def test_what_was_passed_is_not_taken_twice(graph: Graph) -> None:
    await begin(graph)
    id_ = await create(graph, "Ada")
    before = await graph.rows("SELECT xid, seq FROM history_position")
    await change(graph, id_, city="Paris")
    await project(graph)
    once = await graph.rows("SELECT * FROM customer_version WHERE id = $1 ORDER BY valid_from", id_[4:])
    await graph.rows("UPDATE history_position SET xid = $1, seq = $2", *before[0])
    await project(graph)
    assert await graph.rows("SELECT * FROM customer_version WHERE id = $1 ORDER BY valid_from", id_[4:]) == once


async def test_demo_data_has_customers(graph: Graph) -> None:
    assert await graph.id_of(Customer)
