"""Requests arrive: signed, in the order of each record, once or more, whatever the endpoint answers."""

from __future__ import annotations

import asyncio

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from tests.support.hooks import Hooks
from tests.support.receiver import HANG, OK, Received, answer

NAME = "query Told($id: ID!) { node(id: $id) { ... on Customer { name } } }"


async def test_an_event_arrives_signed_with_the_selection(hooks: Hooks) -> None:
    endpoint, secret = await hooks.endpoint("CustomerCreated", selection=NAME)
    async with hooks.delivering():
        customer = await hooks.customer(name="Zebra")
        (request,) = await hooks.receiver.wait(1)
        found = await hooks.until(endpoint, deliveries=["DELIVERED"])
    assert Webhook(secret).verify(request.raw, request.headers) == request.body
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(request.raw + b" ", request.headers)
    body = request.body
    assert (body["type"], body["data"]["kind"], body["data"]["recordId"]) == ("CustomerCreated", "CREATED", customer)
    assert body["data"]["result"] == {"data": {"node": {"name": "Zebra"}}}
    assert "name" in body["data"]["changedFields"]
    (delivery,) = found["deliveries"]
    assert (delivery["responseStatus"], delivery["responseBody"], delivery["requestBody"]) == (200, "ok", body)


async def test_a_rotated_secret_signs_beside_the_old_one(hooks: Hooks) -> None:
    endpoint, old = await hooks.endpoint("CustomerCreated")
    source = """mutation ($input: RotateWebhookEndpointSecretInput!) {
      rotateWebhookEndpointSecret(input: $input) { secret } }"""
    new = (await hooks.data(source, {"input": {"id": endpoint}}))["secret"]
    async with hooks.delivering():
        await hooks.customer()
        (request,) = await hooks.receiver.wait(1)
        newest = (await hooks.data(source, {"input": {"id": endpoint, "overlapHours": 0}}))["secret"]
        await hooks.customer()
        second = (await hooks.receiver.wait(2))[1]
    for secret in (old, new):
        assert Webhook(secret).verify(request.raw, request.headers)
    assert Webhook(newest).verify(second.raw, second.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new).verify(second.raw, second.headers)


async def test_a_failure_is_sent_again_under_the_same_id(hooks: Hooks) -> None:
    hooks.receiver.respond = lambda _, number: OK if number else answer(500, body=b"not now")
    endpoint, _ = await hooks.endpoint("CustomerCreated")
    async with hooks.delivering():
        await hooks.customer()
        first, second = await hooks.receiver.wait(2)
        found = await hooks.until(endpoint, deliveries=["DELIVERED"])
    assert first.id == second.id
    assert found["deliveries"][0]["attempts"] == 2


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (HANG, "did not answer"),
        (answer(302, "Location: http://127.0.0.1:1/"), "redirects are not followed"),
    ],
)
async def test_what_is_no_success_is_sent_again(hooks: Hooks, said: bytes, why: str) -> None:
    hooks.receiver.respond = lambda _, number: OK if number else said
    endpoint, _ = await hooks.endpoint("CustomerCreated")
    async with hooks.delivering(webhook_retry_ms=5_000, webhook_retry_max_ms=5_000, webhook_timeout_ms=300):
        await hooks.customer()
        await hooks.receiver.wait(1)
        async with asyncio.timeout(60):
            while not (error := (await hooks.seen(endpoint))["deliveries"][0]["error"]):
                await hooks.rest()
        assert why in error
        await hooks.sql("UPDATE webhook_delivery SET next_attempt_at = now()")
        first, second = await hooks.receiver.wait(2)
        await hooks.until(endpoint, deliveries=["DELIVERED"])
    assert first.id == second.id


async def test_a_huge_answer_is_cut(hooks: Hooks) -> None:
    hooks.receiver.respond = lambda *_: answer(200, body=b"x" * 5_000_000)
    endpoint, _ = await hooks.endpoint("CustomerCreated")
    async with hooks.delivering(webhook_response_bytes=1_000):
        await hooks.customer()
        found = await hooks.until(endpoint, deliveries=["DELIVERED"])
    assert found["deliveries"][0]["responseBody"] == "x" * 1_000


async def test_a_private_address_is_refused(hooks: Hooks) -> None:
    endpoint, _ = await hooks.endpoint("CustomerCreated")
    async with hooks.delivering(webhook_private="", webhook_retry_ms=60_000):
        await hooks.customer()
        async with asyncio.timeout(60):
            while not (found := (await hooks.seen(endpoint))["deliveries"]) or not found[0]["error"]:
                await hooks.rest()
    assert "CRM_WEBHOOK_PRIVATE" in found[0]["error"]
    assert hooks.receiver.received == []


async def test_410_disables_at_once_and_nothing_is_sent_after_it(hooks: Hooks) -> None:
    hooks.receiver.respond = lambda *_: answer(410)
    endpoint, _ = await hooks.endpoint("CustomerCreated")
    for number in range(5):
        await hooks.customer(name=f"c{number}")
    async with hooks.delivering(webhook_endpoint_concurrency=1):
        found = await hooks.until(endpoint, status="DISABLED", deliveries=["FAILED", *["PENDING"] * 4])
        await hooks.customer()
        await asyncio.sleep(0.3)
        assert len(hooks.receiver.received) == 1
        rows = await hooks.sql("SELECT data FROM event WHERE type = 'WebhookEndpointDisabled'")
        hooks.receiver.respond = lambda *_: OK
        source = "mutation($input: UpdateWebhookEndpointInput!) { updateWebhookEndpoint(input: $input) {"
        source += " errors { message } } }"
        await hooks.data(source, {"input": {"id": endpoint, "status": "ACTIVE"}})
        await hooks.until(endpoint, deliveries=["FAILED", *["DELIVERED"] * 5])
    assert "410" in found["statusReason"]
    assert "410" in rows[0][0]["reason"]


async def test_failing_for_the_whole_window_disables(hooks: Hooks) -> None:
    hooks.receiver.respond = lambda *_: answer(503)
    endpoint, _ = await hooks.endpoint("CustomerCreated")
    async with hooks.delivering():
        await hooks.customer()
        await hooks.receiver.wait(2)
        await hooks.sql("UPDATE webhook_delivery SET first_attempt_at = now() - interval '4 days'")
        found = await hooks.until(endpoint, status="DISABLED", deliveries=["FAILED"])
    assert "503" in found["statusReason"]


async def test_the_events_of_a_record_come_in_order_and_others_do_not_wait(hooks: Hooks) -> None:
    endpoint, _ = await hooks.endpoint("CustomerCreated", "CustomerUpdated", selection=NAME)
    slow, fast = await hooks.customer(name="slow"), await hooks.customer(name="fast")
    for number in range(3):
        await hooks.rename(slow, f"slow {number}")
        await hooks.rename(fast, f"fast {number}")

    def respond(request: Received, _: int) -> bytes:
        """The one record fails until all of the other one has come."""
        of_fast = [each for each in hooks.receiver.received if each.body["data"]["recordId"] == fast]
        return OK if request.body["data"]["recordId"] == fast or len(of_fast) == 4 else answer(500)

    hooks.receiver.respond = respond
    async with hooks.delivering(), hooks.delivering():
        await hooks.until(endpoint, deliveries=["DELIVERED"] * 8)
    received = hooks.receiver.received
    for record in (slow, fast):
        cursors = [each.body["data"]["cursor"] for each in received if each.body["data"]["recordId"] == record]
        taken = list(dict.fromkeys(cursors))
        assert len(taken) == 4
        assert taken == sorted(taken, key=lambda each: int(each.partition("-")[2], 16))
        assert [each for index, each in enumerate(cursors) if cursors[index - 1] != each or not index] == taken


async def test_one_endpoint_takes_no_more_than_its_share(hooks: Hooks) -> None:
    hooks.receiver.pause_s = 0.05
    endpoint, _ = await hooks.endpoint("CustomerCreated")
    for number in range(12):
        await hooks.customer(name=f"c{number}")
    async with hooks.delivering(webhook_endpoint_concurrency=3), hooks.delivering(webhook_endpoint_concurrency=3):
        await hooks.until(endpoint, deliveries=["DELIVERED"] * 12)
    assert len(hooks.receiver.received) == 12
    assert 1 < hooks.receiver.most_at_once <= 3


async def test_a_deliverer_that_is_killed_between_sending_and_writing_sends_again(hooks: Hooks) -> None:
    endpoint, _ = await hooks.endpoint("CustomerCreated")
    await hooks.customer()
    async with hooks.process() as process:

        def kill(*_: object) -> bytes:
            process.kill()
            return OK

        hooks.receiver.respond = kill
        await hooks.receiver.wait(1)
        assert await process.wait() == -9
    hooks.receiver.respond = lambda *_: OK
    (delivery,) = (await hooks.seen(endpoint))["deliveries"]
    assert (delivery["status"], delivery["attempts"]) == ("PENDING", 1)
    await hooks.sql("UPDATE webhook_delivery SET claimed_until = now()")
    async with hooks.delivering():
        first, second = await hooks.receiver.wait(2)
        await hooks.until(endpoint, deliveries=["DELIVERED"])
    assert first.id == second.id
