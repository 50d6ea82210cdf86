"""The projector: what it makes of the log, in what order, and that nothing is lost or taken twice."""

from __future__ import annotations

from typing import Any

from crm_graph.events.versions import overwrite
from crm_graph.vault.columns import encrypted_columns
from tests.support.graph import Graph
from tests.support.projected import begin, differing, project, projector_of

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


async def test_what_is_erased_is_in_no_version(graph: Graph) -> None:
    await begin(graph)
    id_ = await create(graph, "Ada", city="Paris")
    await change(graph, id_, name="Ada Lovelace")
    await project(graph)
    kept = next(each for each in projector_of(graph).kept if each.type == "Customer")
    statement = overwrite(kept, ("name", "city"))
    workspace_id = await graph.value("SELECT workspace_id FROM customer WHERE id = $1", id_[4:])
    await graph.rows(statement, workspace_id, id_[4:], {"name": "erased", "city": None})
    rows = await graph.rows(VERSIONS, id_[4:])
    assert [(row["name"], row["city"]) for row in rows] == [("erased", None)] * 2


async def test_no_type_with_an_encrypted_column_keeps_history(graph: Graph) -> None:
    """What was rotated, or forgotten, would stay readable in its versions."""
    for record in graph.schema.registry.records.values():
        assert not (record.keeps_history and encrypted_columns(record.model)), record.name


async def test_a_version_has_the_columns_of_its_row(graph: Graph) -> None:
    for kept in projector_of(graph).kept:
        for column in kept.table.columns:
            assert repr(kept.versions.c[column.name].type) == repr(column.type)
