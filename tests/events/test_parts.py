"""Changes of parts as those who follow the whole see them: subscribers, the feed; and what is locked in which order."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from crm_graph.api.body import GraphQLRequest
from tests.events.live import Live

CHANGES = """query ($after: Cursor) { changes(after: $after, types: ["Order", "OrderLine"]) {
  cursor nodes { type kind event changedFields } } }"""


async def draft(live: Live) -> tuple[str, str]:
    """Draft an order with one line of 24.00; returns their ids."""
    admin = await live.member("admin")
    product = await live.mutate(
        admin, "createProduct", {"name": "Lid", "price": {"amount": "24", "currency": "CNY"}}, "product { id }"
    )
    customer = await live.mutate(admin, "createCustomer", {"name": "Lin"}, "customer { id }")
    given = {"customerId": customer["customer"]["id"], "currency": "CNY"}
    lines = [{"productId": product["product"]["id"]}]
    made = await live.mutate(admin, "createOrder", {**given, "lines": lines}, "order { id lines { nodes { id } } }")
    return made["order"]["id"], made["order"]["lines"]["nodes"][0]["id"]


async def test_who_follows_an_order_is_told_of_its_lines(live: Live) -> None:
    """At the same total: nothing of the order's own columns changed but its version."""
    admin = await live.member("admin")
    _, line = await draft(live)
    await live.settled()
    start = (await live.data(admin, CHANGES))["changes"]["cursor"]
    request = GraphQLRequest("subscription { orderChanged { kind event changedFields order { version } } }")
    operation = await live.engine.admission.operation(request, admin)
    refusal, stream = await live.engine.subscribe(request, operation, lambda: admin)
    assert refusal is None
    await live.mutate(admin, "updateOrderLine", {"id": line, "description": "in red"}, "line { id }")
    async with asyncio.timeout(60):
        _, answer = await anext(stream)
    await stream.aclose()
    told = {"kind": "UPDATED", "event": "OrderUpdated", "changedFields": ["lines"]}
    assert answer.body == {"data": {"orderChanged": {**told, "order": {"version": 2}}}}
    await live.settled()
    page = (await live.data(admin, CHANGES, {"after": start}))["changes"]["nodes"]
    line_told = {"kind": "UPDATED", "event": "OrderLineUpdated", "changedFields": ["description"]}
    assert page == [{"type": "OrderLine", **line_told}, {"type": "Order", **told}]


async def test_the_total_and_the_lines_are_one_event(live: Live) -> None:
    admin = await live.member("admin")
    _, line = await draft(live)
    await live.settled()
    start = (await live.data(admin, CHANGES))["changes"]["cursor"]
    await live.mutate(admin, "updateOrderLine", {"id": line, "quantity": "2"}, "line { id }")
    await live.settled()
    page = (await live.data(admin, CHANGES, {"after": start}))["changes"]["nodes"]
    assert [(each["event"], each["changedFields"]) for each in page] == [
        ("OrderLineUpdated", ["total", "quantity"]),
        ("OrderTotalsChanged", ["total", "subtotal", "baseTotal", "lines"]),
    ]


async def test_who_may_not_read_lines_is_not_told_of_them(live: Live) -> None:
    """A marketer sees orders, not what is on them: neither their lines nor what these come to."""
    admin, marketer = await live.member("admin"), await live.member("marketer")
    _, line = await draft(live)
    await live.settled()
    start = (await live.data(marketer, CHANGES))["changes"]["cursor"]
    await live.mutate(admin, "updateOrderLine", {"id": line, "quantity": "2"}, "line { id }")
    await live.settled()
    page = (await live.data(marketer, CHANGES, {"after": start}))["changes"]["nodes"]
    assert page == [{"type": "Order", "kind": "UPDATED", "event": "OrderUpdated", "changedFields": []}]


PARTS = {
    "updateOrderLine": ("order_line", "sales_order", {"quantity": "3"}),
    "updateOpportunityLine": ("opportunity_line", "opportunity", {"quantity": "3"}),
}


@pytest.mark.parametrize("field", PARTS)
async def test_the_whole_is_locked_before_its_part(live: Live, field: str) -> None:
    """The other way round, whoever removes the whole and whoever changes a part would wait for each other: removing
    takes the whole, then by cascade its parts."""
    table, whole, values = PARTS[field]
    admin = await live.member("admin")
    if field == "updateOrderLine":
        _, id_ = await draft(live)
    else:
        deal = await live.create(admin, "deal")
        product = await live.mutate(admin, "createProduct", {"name": "Cup"}, "product { id }")
        given = {"opportunityId": deal, "productId": product["product"]["id"], "unitPrice": "5"}
        id_ = (await live.mutate(admin, "addOpportunityLine", given, "line { id }"))["line"]["id"]
    inner = id_.partition("_")[2]
    column = "order_id" if whole == "sales_order" else "opportunity_id"
    changing: asyncio.Task[Any]
    async with live.connection.transaction():
        await live.connection.execute(
            f"SELECT 1 FROM {whole} WHERE id = (SELECT {column} FROM {table} WHERE id = $1) FOR UPDATE", inner
        )
        changing = asyncio.create_task(live.mutate(admin, field, {"id": id_, **values}, "line { quantity }"))
        await _waiting(live.connection)
        await live.connection.execute(f"SELECT 1 FROM {table} WHERE id = $1 FOR UPDATE NOWAIT", inner)
        assert not changing.done()
    async with asyncio.timeout(30):
        assert (await changing)["line"]["quantity"] == "3"


async def _waiting(connection: asyncpg.Connection[Any]) -> None:
    """Wait until some statement of this database waits for a lock."""
    source = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(30):
        while not await connection.fetchval(source):  # noqa: ASYNC110 - polls what Postgres says
            await asyncio.sleep(0.02)
