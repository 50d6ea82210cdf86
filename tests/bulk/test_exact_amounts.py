"""An amount with more digits after the point than its column has is refused where it was sent, and never rounded."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.graph import Graph

CUSTOMER = """mutation ($input: CreateCustomerInput!) { one: createCustomer(input: $input) {
  customer { annualRevenue { amount } } errors { code field message } } }"""
ORDER = """mutation ($input: CreateOrderInput!) { one: createOrder(input: $input) {
  order { lines { nodes { unitPrice { amount } quantity } } } errors { code field } } }"""
SOLD = """{ customers(first: 1) { nodes { id } } products(first: 1) { nodes { id } } }"""


async def test_money_of_a_record(graph: Graph) -> None:
    def of(amount: str) -> dict[str, Any]:
        return {"input": {"name": "Exact", "annualRevenue": {"amount": amount, "currency": "USD"}}}

    found = (await graph.data(CUSTOMER, of("1.00005")))["one"]
    message = "`annualRevenue` has more than 4 digits after the point."
    assert found == {
        "customer": None,
        "errors": [{"code": "INVALID", "field": ["annualRevenue", "amount"], "message": message}],
    }
    found = (await graph.data(CUSTOMER, of("1.0001")))["one"]
    message = "`annualRevenue` has more than 2 digits after the point, as USD has."
    assert found == {
        "customer": None,
        "errors": [{"code": "INVALID", "field": ["annualRevenue", "amount"], "message": message}],
    }
    found = (await graph.data(CUSTOMER, of("1.01000000")))["one"]
    assert found == {"customer": {"annualRevenue": {"amount": "1.01"}}, "errors": []}


@pytest.mark.parametrize(
    ("field", "path"),
    [
        ({"unitPrice": "0.00004"}, ["lines", "1", "unitPrice"]),
        ({"quantity": "1.00001"}, ["lines", "1", "quantity"]),
        ({"discountPercent": "0.00001"}, ["lines", "1", "discountPercent"]),
    ],
)
async def test_numbers_of_a_part(graph: Graph, field: dict[str, str], path: list[str]) -> None:
    found = await graph.data(SOLD)
    customer, product = (found[many]["nodes"][0]["id"] for many in ("customers", "products"))
    line = {"productId": product, "quantity": "1", "unitPrice": "2"}
    input_ = {"customerId": customer, "currency": "USD", "lines": [line, {**line, **field}]}
    found = (await graph.data(ORDER, {"input": input_}))["one"]
    assert found == {"order": None, "errors": [{"code": "INVALID", "field": path}]}
