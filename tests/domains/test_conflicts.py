"""A CONFLICT comes with the record as it is, as the viewer may read it: whoever asked can go on from there."""

from __future__ import annotations

import pytest

from crm_graph.domains.catalog.products.graph import Product
from crm_graph.domains.customers.customers.graph import Customer
from tests.support.graph import Graph

CUSTOMER = "id version city annualRevenue { amount }"
UPDATE = f"""mutation ($input: UpdateCustomerInput!) {{ updateCustomer(input: $input) {{
    customer {{ {CUSTOMER} }} errors {{ code field }} }} }}"""
MANY = """mutation ($inputs: [UpdateProductInput!]!, $how: OnRefusal!) {
  updateProducts(inputs: $inputs, onError: $how) {
    results { product { id version name } errors { code } } errors { code } } }"""


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_the_record_comes_with_the_conflict(graph: Graph, executor: str) -> None:
    graph.use(executor)
    id_ = await graph.id_of(Customer, "annual_revenue IS NOT NULL")
    version = await graph.value("SELECT version FROM customer WHERE id = $1", id_.partition("_")[2])
    first = await graph.data(UPDATE, {"input": {"id": id_, "city": "Suzhou", "ifVersion": version}})
    assert first["updateCustomer"]["errors"] == []
    late = await graph.data(UPDATE, {"input": {"id": id_, "city": "Wuxi", "ifVersion": version}})
    assert late["updateCustomer"] == {
        "customer": first["updateCustomer"]["customer"],
        "errors": [{"code": "CONFLICT", "field": ["ifVersion"]}],
    }
    support = {"input": {"id": id_, "email": "new@example.com", "ifVersion": version}}
    seen = (await graph.data(UPDATE, support, role="support_agent"))["updateCustomer"]
    assert seen["customer"] == {"id": id_, "version": version + 1, "city": "Suzhou", "annualRevenue": None}
    assert await graph.value("SELECT version FROM customer WHERE id = $1", id_.partition("_")[2]) == version + 1


async def test_other_refusals_have_no_record(graph: Graph) -> None:
    id_ = await graph.id_of(Customer)
    refused = await graph.data(UPDATE, {"input": {"id": id_, "parentId": "cus_" + "0" * 32}})
    assert (refused["updateCustomer"]["customer"], len(refused["updateCustomer"]["errors"])) == (None, 1)


@pytest.mark.parametrize("how", ["REJECT_ALL", "REJECT_FAILED"])
async def test_each_conflict_of_a_batch_comes_with_its_record(graph: Graph, how: str) -> None:
    first = await graph.id_of(Product, "version = 1")
    ids = [first, await graph.id_of(Product, f"version = 1 AND id <> '{first.partition('_')[2]}'")]
    names = [await graph.value("SELECT name FROM product WHERE id = $1", id_.partition("_")[2]) for id_ in ids]
    inputs = [
        {"id": ids[0], "description": "later", "ifVersion": 1},
        {"id": ids[1], "description": "late", "ifVersion": 7},
    ]
    done = (await graph.data(MANY, {"inputs": inputs, "how": how}))["updateProducts"]
    conflict = {"product": {"id": ids[1], "version": 1, "name": names[1]}, "errors": [{"code": "CONFLICT"}]}
    assert done["results"][1] == conflict
    written = None if how == "REJECT_ALL" else {"id": ids[0], "version": 2, "name": names[0]}
    assert done["results"][0] == {"product": written, "errors": []}
