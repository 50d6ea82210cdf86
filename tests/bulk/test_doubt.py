"""A refused input takes nothing down with it: what it had written is taken back before others are judged."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from crm_graph.domains.catalog.products.graph import Product
from tests.bulk.test_customers import UPDATE, count, create
from tests.bulk.test_orders import MANY, ONE, order_of
from tests.support.graph import Graph

ADD = """mutation ($inputs: [AddOrderLineInput!]!, $onError: OnRefusal! = REJECT_FAILED) {
  addOrderLines(inputs: $inputs, onError: $onError) {
    results { line { unitPrice { amount } } errors { code field message } } errors { code message } } }"""
TOO_MUCH = "60000000000000"


async def add(graph: Graph, prices: list[str], **more: Any) -> tuple[Any, str]:
    """Add lines to a new order of one line, which is as expensive as may be."""
    given = await order_of(graph, 1)
    given["lines"][0]["unitPrice"] = TOO_MUCH
    order = (await graph.data(ONE, {"input": given}))["createOrder"]["order"]["id"]
    product = await graph.id_of(Product)
    inputs = [{"orderId": order, "productId": product, "unitPrice": price} for price in prices]
    return (await graph.data(ADD, {"inputs": inputs, **more}))["addOrderLines"], order.removeprefix("ord_")


def codes(answer: Any) -> list[list[str]]:
    return [[each["code"] for each in result["errors"]] for result in answer["results"]]


@pytest.mark.parametrize("bad", [{0}, {1}, {0, 1}, {0, 2, 4}, {0, 1, 2, 3, 4, 5}, set(range(1, 20))])
async def test_those_that_wait_for_a_refused_one_are_written(graph: Graph, bad: set[int]) -> None:
    prices = [TOO_MUCH if place in bad else "1" for place in range(22)]
    made, order = await add(graph, prices)
    assert codes(made) == [["INVALID"] if place in bad else [] for place in range(22)]
    assert made["errors"] == []
    rows = await graph.rows("SELECT unit_price FROM order_line WHERE order_id = $1 AND unit_price = 1", order)
    assert len(rows) == 22 - len(bad)
    total = await graph.value("SELECT total FROM sales_order WHERE id = $1", order)
    assert Decimal(total) == int(TOO_MUCH) + 22 - len(bad)
    assert await graph.value("SELECT version FROM sales_order WHERE id = $1", order) == 2
    told = "SELECT count(*) FROM event WHERE type = 'OrderLineAdded' AND changes -> 'order_id' ->> 1 = $1"
    assert await graph.value(told, order) == 22 - len(bad)


async def test_the_fault_is_told_of_those_that_have_it(graph: Graph) -> None:
    made, order = await add(graph, [TOO_MUCH, "1", "1"], onError="REJECT_ALL")
    assert codes(made) == [["INVALID"], [], []]
    assert made["errors"] == [{"code": "REJECTED", "message": "1 of 3 inputs was refused: nothing was written."}]
    assert await graph.value("SELECT count(*) FROM order_line WHERE order_id = $1", order) == 1


async def test_the_cost_is_bounded_whatever_is_wrong(graph: Graph) -> None:
    """Lines of one order are written one after another: so twice as many bad ones cost twice as much."""
    statements = []
    for many in (20, 40):
        made, _ = await add(graph, [TOO_MUCH] * many + ["1"])
        assert codes(made) == [["INVALID"]] * many + [[]]
        statements.append(graph.statements)
    assert statements[1] < 2.1 * statements[0]


async def test_inputs_that_are_wrong_by_themselves_cost_one_more_round(graph: Graph) -> None:
    inputs: list[dict[str, Any]] = [{"name": "Bulk", "employees": -1} for _ in range(100)]
    await create(graph, [{"name": "Bulk good"}] * 2)
    await create(graph, [*inputs, {"name": "Bulk good"}, {"name": "Bulk good"}], onError="REJECT_FAILED")
    assert graph.statements == 13
    assert await count(graph, "Bulk good") == 4


async def test_a_unique_value_of_a_refused_one_is_free(graph: Graph) -> None:
    given = await order_of(graph, 1)
    dear = {**given["lines"][0], "unitPrice": TOO_MUCH}
    await graph.data(MANY, {"inputs": [given]})
    inputs = [{**given, "number": "BULK-1", "lines": [dear, dear]}, {**given, "number": "BULK-1"}]
    made = (await graph.data(MANY, {"inputs": inputs, "onError": "REJECT_FAILED"}))["createOrders"]
    assert codes(made) == [["INVALID"], []]


async def test_a_refused_input_about_a_record_is_none_about_it(graph: Graph) -> None:
    id_ = (await create(graph, [{"name": "Bulk 1"}]))["results"][0]["customer"]["id"]
    inputs = [{"id": id_, "name": "  "}, {"id": id_, "name": "Bulk 2"}, {"id": id_, "name": "Bulk 3"}]
    found = (await graph.data(UPDATE, {"inputs": inputs, "onError": "REJECT_FAILED"}))["updateCustomers"]
    assert codes(found) == [["INVALID"], [], ["INVALID"]]
    assert found["results"][0]["errors"][0]["field"] == ["name"]
    assert await count(graph, "Bulk 2") == 1
