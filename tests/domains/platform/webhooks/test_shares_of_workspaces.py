"""One workspace's webhooks leave room for those of others: in what they cost, and in what is sent at once."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from crm_graph.api.webhooks import queue
from crm_graph.api.webhooks.fanout import FanOut
from crm_graph.kernel.ids import new_id
from tests.support.hooks import CREATE, CUSTOMER, SETTINGS, UPDATE, Hooks

SELECTION = "{ customers(first: 100) { nodes { id name contacts(first: 10) { nodes { id } } } } }"


async def _costly(hooks: Hooks) -> dict[str, Any]:
    given = {"url": hooks.receiver.url, "eventTypes": ["CustomerCreated"], "roles": ["admin"], "selection": SELECTION}
    made: dict[str, Any] = await hooks.data(CREATE, {"input": given})
    return made


async def test_selections_of_a_workspace_have_a_cost_in_all(hooks: Hooks) -> None:
    """One too many is refused, with its cost; it does not matter whether it is new, changed, or made ACTIVE again. What
    does not add to it may be done by whoever is over it."""
    hooks.engine = hooks.make(replace(SETTINGS, max_webhook_cost=2_500))
    first, second = await _costly(hooks), await _costly(hooks)
    assert (first["errors"], second["errors"]) == ([], [])
    third = await _costly(hooks)
    assert [(each["code"], each["field"]) for each in third["errors"]] == [("INVALID", ["selection"])]
    assert "a workspace may have 2,500" in third["errors"][0]["message"]
    plain, _ = await hooks.endpoint("CustomerCreated")
    changed = await hooks.data(UPDATE, {"input": {"id": plain, "selection": SELECTION}})
    assert [each["field"] for each in changed["errors"]] == [["selection"]]
    hooks.engine = hooks.make(replace(SETTINGS, max_webhook_cost=1_500))  # an operator allows less
    id_ = second["webhookEndpoint"]["id"]
    assert (await hooks.data(UPDATE, {"input": {"id": id_, "description": "still ours"}}))["errors"] == []
    assert (await hooks.data(UPDATE, {"input": {"id": id_, "status": "DISABLED"}}))["errors"] == []
    again = await hooks.data(UPDATE, {"input": {"id": id_, "status": "ACTIVE"}})
    assert [each["field"] for each in again["errors"]] == [["selection"]]


async def _fanned_out(hooks: Hooks, deliveries: int) -> None:
    """Have all events made into deliveries. The log ends where another transaction is open, another test's say, so what
    a round finds is not always all."""
    async with asyncio.timeout(30):
        while (await hooks.sql("SELECT count(*) FROM webhook_delivery"))[0][0] < deliveries:
            if not await FanOut(hooks.engine).round():
                await asyncio.sleep(0.05)


async def _claimed(hooks: Hooks, limit: int, of_workspace: int, sending: list[str]) -> Counter[str]:
    """Return of which workspace deliveries are claimed; the claims are not kept."""
    now = datetime.now(UTC) + timedelta(minutes=1)
    async with hooks.database.transaction() as session:
        rows = await session.execute(
            queue.CLAIM,
            {
                "now": now,
                "until": now + timedelta(seconds=1),
                "claim": new_id(),
                "of_endpoint": 5,
                "limit": limit,
                "of_workspace": of_workspace,
                "sending": sending,
            },
        )
        await session.connection.fetch("UPDATE webhook_delivery SET claimed_until = NULL")
    return Counter(row["workspace_id"] for row in rows)


async def test_a_workspace_claims_its_share(hooks: Hooks) -> None:
    """Twelve endpoints of one workspace, one of another: the few of that are claimed whatever waits before them."""
    demo, other = await hooks.claims(), await hooks.claims(workspace="other")
    for _ in range(12):
        await hooks.endpoint("CustomerCreated")
    given = {"url": hooks.receiver.url, "eventTypes": ["CustomerCreated"], "roles": ["admin"]}
    assert (await hooks.data(CREATE, {"input": given}, other))["errors"] == []
    for _ in range(5):
        await hooks.customer()
    for _ in range(2):
        assert (await hooks.data(CUSTOMER, {"input": {"name": "Other"}}, other))["errors"] == []
    await _fanned_out(hooks, 12 * 5 + 2)
    big, small = demo.workspace_id, other.workspace_id
    assert await _claimed(hooks, 50, 10, []) == {big: 10, small: 2}
    assert await _claimed(hooks, 4, 10, []) == {big: 2, small: 2}, "by turns"
    assert await _claimed(hooks, 50, 10, [big] * 7 + [small]) == {big: 3, small: 2}, "those that are sent count"
    assert await _claimed(hooks, 50, 10, [big] * 10) == {small: 2}


async def test_a_workspace_that_has_used_up_its_seconds_waits(hooks: Hooks) -> None:
    other = await hooks.claims(workspace="other")
    await hooks.endpoint("CustomerCreated")
    given = {"url": hooks.receiver.url, "eventTypes": ["CustomerCreated"], "roles": ["admin"]}
    assert (await hooks.data(CREATE, {"input": given}, other))["errors"] == []
    async with hooks.delivering(rate_webhooks_busy_seconds=1) as deliverer:
        payer = deliverer._engine.payers.of_webhooks((await hooks.claims()).workspace_id)
        payer.charge(1.05)
        own = await hooks.customer()
        made = await hooks.data(CUSTOMER, {"input": {"name": "Other"}}, other)
        first, second = await hooks.receiver.wait(2)
    told = [each.body["data"]["recordId"] for each in (first, second)]
    assert told == [made["customer"]["id"], own], "the other one's first; its own a little later all the same"
