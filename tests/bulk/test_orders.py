"""Orders with their lines: a whole and its parts in a few statements, one or many."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from crm_graph.domains.catalog.products.graph import Product
from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.service.tickets.graph import Ticket
from tests.support.graph import Graph

ONE = """mutation ($input: CreateOrderInput!) { createOrder(input: $input) {
  order { id number total { amount } } errors { code field message } } }"""
MANY = """mutation ($inputs: [CreateOrderInput!]!, $onError: OnRefusal! = REJECT_ALL) {
  createOrders(inputs: $inputs, onError: $onError) {
    results { order { number total { amount } } errors { code field message } } errors { code } } }"""


async def order_of(graph: Graph, lines: int) -> dict[str, Any]:
    product = await graph.id_of(Product)
    of_lines = [{"productId": product, "unitPrice": "2", "quantity": str(1 + number)} for number in range(lines)]
    return {"customerId": await graph.id_of(Customer), "currency": "CNY", "lines": of_lines}


@pytest.mark.parametrize("lines", [2, 100])
async def test_an_order_takes_the_same_statements_whatever_its_lines(graph: Graph, lines: int) -> None:
    given = await order_of(graph, lines)
    await graph.data(ONE, {"input": given})
    made = (await graph.data(ONE, {"input": given}))["createOrder"]
    assert made["errors"] == []
    assert made["order"]["total"]["amount"] == str(lines * (lines + 1))
    assert graph.statements <= 12
    rows = await graph.rows(
        "SELECT count(*) FROM order_line WHERE order_id = $1", made["order"]["id"].removeprefix("ord_")
    )
    assert rows[0][0] == lines


async def test_the_path_names_the_line_that_is_wrong(graph: Graph) -> None:
    given = await order_of(graph, 30)
    given["lines"][17]["quantity"] = "0"
    made = (await graph.data(ONE, {"input": given}))["createOrder"]
    assert made["errors"] == [
        {"code": "INVALID", "field": ["lines", "17", "quantity"], "message": "A quantity must be more than 0."}
    ]


async def test_many_orders_take_numbers_without_gaps_in_their_order(graph: Graph) -> None:
    given = await order_of(graph, 3)
    first = (await graph.data(ONE, {"input": given}))["createOrder"]["order"]["number"]
    prefix, _, last = first.rpartition("-")
    await graph.data(MANY, {"inputs": [given] * 2})
    statements = graph.statements
    made = (await graph.data(MANY, {"inputs": [given] * 40}))["createOrders"]
    assert [each["order"]["number"] for each in made["results"]] == [
        f"{prefix}-{int(last) + 3 + number}" for number in range(40)
    ]
    assert graph.statements <= statements


async def test_a_refused_order_takes_no_number(graph: Graph) -> None:
    given = await order_of(graph, 3)
    bad = {**given, "discountPercent": "101"}
    made = (await graph.data(MANY, {"inputs": [given, bad, given], "onError": "REJECT_FAILED"}))["createOrders"]
    numbers = [each["order"] and int(each["order"]["number"].rpartition("-")[2]) for each in made["results"]]
    assert numbers[1] is None
    assert numbers[2] == numbers[0] + 1
    assert made["results"][1]["errors"][0]["field"] == ["discountPercent"]


ADD = """mutation ($inputs: [AddOrderLineInput!]!) { addOrderLines(inputs: $inputs) {
  results { line { total { amount } order { version total { amount } } } errors { code field message } }
  errors { code } } }"""
REPLY = """mutation ($inputs: [AddTicketReplyInput!]!) { addTicketReplies(inputs: $inputs) {
  results { reply { body ticket { version } } errors { code field message } } errors { code } } }"""


async def test_lines_of_one_order_are_added_one_after_another(graph: Graph) -> None:
    """Each adds the order up: with those that came before it in the batch."""
    order = (await graph.data(ONE, {"input": await order_of(graph, 1)}))["createOrder"]["order"]["id"]
    key, product = order.removeprefix("ord_"), await graph.id_of(Product)
    version = await graph.value("SELECT version FROM sales_order WHERE id = $1", key)
    inputs = [{"orderId": order, "productId": product, "unitPrice": price} for price in ("10", "20", "30")]
    made = (await graph.data(ADD, {"inputs": inputs}))["addOrderLines"]
    assert made["errors"] == []
    assert [each["line"]["order"]["total"]["amount"] for each in made["results"]] == ["62"] * 3
    assert await graph.value("SELECT version FROM sales_order WHERE id = $1", key) == version + 1
    events = await graph.rows(
        "SELECT changes -> 'total' ->> 1 AS total FROM event WHERE entity_id = $1 AND changes ? 'total' ORDER BY seq",
        key,
    )
    assert [Decimal(row["total"]) for row in events][-3:] == [12, 32, 62]


async def test_replies_to_one_ticket_come_one_after_another(graph: Graph) -> None:
    """The first of them alone is the first response, though all are of one transaction."""
    ticket = await graph.id_of(Ticket, "first_response_at IS NULL AND status NOT IN ('CLOSED', 'RESOLVED')")
    inputs = [{"ticketId": ticket, "body": body, "public": True} for body in ("One", "Two", "Three")]
    made = (await graph.data(REPLY, {"inputs": inputs}))["addTicketReplies"]
    assert made["errors"] == []
    assert [each["reply"]["body"] for each in made["results"]] == ["One", "Two", "Three"]
    told = "SELECT count(*) FROM event WHERE changes ? 'first_response_at' AND entity_id = $1"
    assert await graph.value(told, ticket.removeprefix("tic_")) == 1
