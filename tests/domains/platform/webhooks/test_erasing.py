"""What webhooks were sent of a person who is erased is forgotten, and what comes next is sent."""

from __future__ import annotations

from tests.support.hooks import Hooks

ERASE = "mutation($input: EraseCustomerInput!) { eraseCustomer(input: $input) { customer { id } errors { message } } }"
SELECTION = "query Told($id: ID!) { node(id: $id) { ... on Customer { name email } } }"


async def test_what_was_sent_of_them_is_forgotten(hooks: Hooks) -> None:
    endpoint, _ = await hooks.endpoint("CustomerCreated", "CustomerErased", "CustomerUpdated", selection=SELECTION)
    async with hooks.delivering():
        id_ = await hooks.customer(name="Zebulon Quince", kind="PERSON")
        found = await hooks.until(endpoint, deliveries=["DELIVERED"])
        assert "Zebulon" in str(found["deliveries"][0]["requestBody"])
        made = await hooks.data(ERASE, {"input": {"id": id_}})
        assert made["errors"] == []
        found = await hooks.until(endpoint, deliveries=["DELIVERED", "DELIVERED"])
        assert "Zebulon" not in str(found)
        told = {each["eventType"]: each["requestBody"] for each in found["deliveries"]}
        assert told["CustomerCreated"] is None
        assert "[erased]" in str(told["CustomerErased"])
        await hooks.rename(id_, "Somebody")
        await hooks.until(endpoint, deliveries=["DELIVERED"] * 3)
