"""Nobody is told by a webhook what they may not read: who may make one, and what it is told."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from crm_graph.kernel.cursor import LogCursor
from tests.support.hooks import CREATE, UPDATE, Hooks

OK_INPUT = {"url": "https://hooks.example.com/x", "eventTypes": ["CustomerCreated"], "roles": ["analyst"]}
ROLE = "mutation($input: CreateRoleInput!) { createRole(input: $input) { errors { message field } } }"


@pytest.mark.parametrize(
    ("change", "code", "field", "says"),
    [
        ({"url": "http://hooks.example.com/x"}, "INVALID", ["url"], "must be https"),
        ({"url": "https://user:secret@hooks.example.com/x"}, "INVALID", ["url"], "without user"),
        ({"url": "https://xn--zz-zz--/x"}, "INVALID", ["url"], "must be an https URL"),
        ({"eventTypes": ["CustomerCreate"]}, "INVALID", ["eventTypes", "0"], "`CustomerCreated`"),
        ({"eventTypes": []}, "REQUIRED", ["eventTypes"], "at least one"),
        ({"roles": []}, "REQUIRED", ["roles"], "permissions"),
        ({"roles": ["nobody"]}, "INVALID", ["roles"], "nobody"),
        ({"selection": "{ customers { nodes { nme } } }"}, "INVALID", ["selection"], "nme"),
        (
            {"selection": 'mutation { deleteCustomer(input: {id: "x"}) { deletedId } }'},
            "INVALID",
            ["selection"],
            "query",
        ),
        ({"selection": "query($name: ID!) { node(id: $name) { id } }"}, "INVALID", ["selection"], "$name: ID!"),
        ({"selection": "{ webhookEndpoints { nodes { url } } }"}, "INVALID", ["selection"], "Under the roles"),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    hooks: Hooks, change: dict[str, Any], code: str, field: list[str], says: str
) -> None:
    found = await hooks.data(CREATE, {"input": {**OK_INPUT, **change}})
    (error,) = found["errors"]
    assert (error["code"], error["field"], found["secret"]) == (code, field, None)
    assert says in error["message"]


async def test_who_may_make_endpoints_gives_them_no_role_that_they_do_not_hold(hooks: Hooks) -> None:
    claims = await hooks.claims("analyst")
    everything = dict.fromkeys(("read", "create", "update", "delete"), "ALL")
    grants = {"WebhookEndpoint": everything, "WebhookDelivery": everything}
    await hooks.sql(
        "INSERT INTO role (workspace_id, id, name, grants, version, created_at, updated_at)"
        " VALUES ($1, gen_random_uuid(), 'hooker', $2, 1, now(), now())",
        claims.workspace_id,
        grants,
    )
    await hooks.sql(
        "INSERT INTO member_role (workspace_id, member_id, role) VALUES ($1, $2, 'hooker')",
        claims.workspace_id,
        claims.member_id,
    )
    found = await hooks.data(CREATE, {"input": {**OK_INPUT, "roles": ["analyst"]}}, claims)
    assert found["errors"] == []
    found = await hooks.data(CREATE, {"input": {**OK_INPUT, "roles": ["sales_manager"]}}, claims)
    assert [each["code"] for each in found["errors"]] == ["FORBIDDEN"]
    of_admin, _ = await hooks.endpoint("CustomerCreated", roles=("admin",))
    found = await hooks.data(UPDATE, {"input": {"id": of_admin, "url": "https://mine.example.com/"}}, claims)
    assert [each["code"] for each in found["errors"]] == ["FORBIDDEN"]


async def test_an_endpoint_is_told_what_its_roles_may_read_and_no_more(hooks: Hooks) -> None:
    """A role that grants rows of one's own grants an endpoint none; a hidden field is no changed field."""
    workspace = (await hooks.claims()).workspace_id
    for name, read in (("nothing", "OWN"), ("names", "ALL")):
        await hooks.sql(
            "INSERT INTO role (workspace_id, id, name, grants, version, created_at, updated_at)"
            " VALUES ($1, gen_random_uuid(), $2, $3, 1, now(), now())",
            workspace,
            name,
            {"Customer": {"read": read, "fields": {"phone": "NONE ALL"}}},
        )
    unseen, _ = await hooks.endpoint("CustomerCreated", roles=("nothing",))
    seen, _ = await hooks.endpoint("CustomerCreated", roles=("names",))
    async with hooks.delivering():
        await hooks.customer(name="Zebra", phone="+1 555 0100")
        await hooks.until(seen, deliveries=["DELIVERED"])
        position = LogCursor.decode(hooks.receiver.received[0].body["data"]["cursor"])
        assert position is not None
        async with asyncio.timeout(60):
            while await hooks.position(unseen) < position:
                await hooks.rest()
    (request,) = hooks.receiver.received
    assert "phone" not in request.body["data"]["changedFields"]
    assert "name" in request.body["data"]["changedFields"]
    assert (await hooks.seen(unseen))["deliveries"] == []


async def test_a_role_that_loses_what_the_selection_needs_pauses_the_endpoint(hooks: Hooks) -> None:
    workspace = (await hooks.claims()).workspace_id
    await hooks.sql(
        "INSERT INTO role (workspace_id, id, name, grants, version, created_at, updated_at)"
        " VALUES ($1, gen_random_uuid(), 'shrinking', $2, 1, now(), now())",
        workspace,
        {"Customer": {"read": "ALL"}},
    )
    selection = "query($id: ID!) { customer(id: $id) { phone } }"
    endpoint, _ = await hooks.endpoint("CustomerCreated", roles=("shrinking",), selection=selection)
    await hooks.sql(
        "UPDATE role SET grants = $1 WHERE name = 'shrinking'",
        {"Customer": {"read": "ALL", "fields": {"phone": "NONE ALL"}}},
    )
    async with hooks.delivering():
        await hooks.customer(phone="+1 555 0100")
        found = await hooks.until(endpoint, status="PAUSED", deliveries=["PENDING"])
        assert "phone" in found["statusReason"]
        assert hooks.receiver.received == []
        change = {"id": endpoint, "status": "ACTIVE", "selection": "query($id: ID!) { customer(id: $id) { name } }"}
        assert (await hooks.data(UPDATE, {"input": change}))["errors"] == []
        await hooks.until(endpoint, deliveries=["DELIVERED"])
    assert hooks.receiver.received[0].body["data"]["result"] == {"data": {"customer": {"name": "Zebra"}}}


async def test_ping_replay_and_redelivery(hooks: Hooks) -> None:
    endpoint, _ = await hooks.endpoint("CustomerCreated")
    start = (await hooks.seen(endpoint))["cursor"]
    ping = """mutation($input: PingWebhookEndpointInput!) { pingWebhookEndpoint(input: $input) {
        webhookDelivery { eventType } errors { code } } }"""
    replay = """mutation($input: ReplayWebhookEndpointInput!) { replayWebhookEndpoint(input: $input) {
        errors { code field } } }"""
    again = """mutation($input: RedeliverWebhookDeliveryInput!) { redeliverWebhookDelivery(input: $input) {
        errors { code } } }"""
    async with hooks.delivering():
        await hooks.data(ping, {"input": {"id": endpoint}})
        await hooks.receiver.wait(1)
        await hooks.customer()
        found = await hooks.until(endpoint, deliveries=["DELIVERED"] * 2)
        (event,) = (each for each in found["deliveries"] if each["eventType"] == "CustomerCreated")
        assert (await hooks.data(again, {"input": {"id": event["id"]}}))["errors"] == []
        await hooks.receiver.wait(3)
        await hooks.until(endpoint, deliveries=["DELIVERED"] * 2)
        ahead = {"input": {"id": endpoint, "after": "ffffffff-1"}}
        assert (await hooks.data(replay, ahead))["errors"] == [{"code": "INVALID", "field": ["after"]}]
        assert (await hooks.data(replay, {"input": {"id": endpoint, "after": start}}))["errors"] == []
        await hooks.receiver.wait(4)
        await hooks.until(endpoint, deliveries=["DELIVERED"] * 3)
    assert hooks.receiver.received[0].body["type"] == "WebhookPing"
    assert len({each.id for each in hooks.receiver.received[1:]}) == 1


@pytest.mark.parametrize(
    ("filter_", "field", "says"),
    [
        ([], ["filter"], "by record type"),
        ({"Customers": {}}, ["filter", "Customers"], "no record type"),
        ({"Customer": None}, ["filter", "Customer"], "null"),
        ({"Customer": {"nme": {"eq": "x"}}}, ["filter", "Customer"], "nme"),
        ({"Customer": {"employees": {"gt": "many"}}}, ["filter", "Customer", "employees", "gt"], "many"),
        ({"Contact": {"nationalId": {"eq": "x"}}}, ["filter"], "Contact.nationalId"),
        ({"ApiClient": {"name": {"eq": "x"}}}, ["filter"], "ApiClient"),
        ({"Customer": {"name": {"in": ["x" * 100] * 300}}}, ["filter"], "20,000 is the most"),
    ],
)
async def test_a_filter_that_cannot_be_meant_is_refused(
    hooks: Hooks, filter_: Any, field: list[str], says: str
) -> None:
    found = await hooks.data(CREATE, {"input": {**OK_INPUT, "filter": filter_}})
    (error,) = found["errors"]
    assert (error["code"], error["field"], found["secret"]) == ("INVALID", field, None)
    assert says in error["message"]


async def test_an_endpoint_is_told_of_the_records_that_its_filter_matches(hooks: Hooks) -> None:
    """What begins to match has entered, what ceases to has left; a type that is not named is told whole."""
    types = ("CustomerCreated", "CustomerUpdated", "ContactCreated")
    filter_ = {"Customer": {"city": {"in": ["Bremen", "Ulm"]}}}
    endpoint, _ = await hooks.endpoint(*types, filter=filter_)
    contact = """mutation($input: CreateContactInput!) { createContact(input: $input) { contact { id } } }"""
    change = """mutation($input: UpdateCustomerInput!) { updateCustomer(input: $input) { errors { message } } }"""
    async with hooks.delivering():
        elsewhere, here = await hooks.customer(city="Kiel"), await hooks.customer(city="Ulm")
        made = await hooks.data(contact, {"input": {"customerId": elsewhere, "name": "Ann"}})
        for id_, city in ((elsewhere, "Bonn"), (elsewhere, "Bremen"), (here, "Bonn"), (here, "Kiel")):
            assert (await hooks.data(change, {"input": {"id": id_, "city": city}}))["errors"] == []
        await hooks.until(endpoint, deliveries=["DELIVERED"] * 4)
    found = {(each.body["data"]["recordId"], each.body["data"]["kind"]) for each in hooks.receiver.received}
    assert found == {(here, "CREATED"), (made["contact"]["id"], "CREATED"), (elsewhere, "ENTERED"), (here, "LEFT")}


async def test_a_role_that_may_not_filter_so_any_more_pauses_the_endpoint(hooks: Hooks) -> None:
    workspace = (await hooks.claims()).workspace_id
    await hooks.sql(
        "INSERT INTO role (workspace_id, id, name, grants, version, created_at, updated_at)"
        " VALUES ($1, gen_random_uuid(), 'filtering', $2, 1, now(), now())",
        workspace,
        {"Customer": {"read": "ALL"}},
    )
    filter_ = {"Customer": {"phone": {"startsWith": "+1"}}}
    endpoint, _ = await hooks.endpoint("CustomerCreated", roles=("filtering",), filter=filter_)
    await hooks.sql(
        "UPDATE role SET grants = $1 WHERE name = 'filtering'",
        {"Customer": {"read": "ALL", "fields": {"phone": "NONE ALL"}}},
    )
    async with hooks.delivering():
        await hooks.customer(phone="+1 555 0100")
        found = await hooks.until(endpoint, status="PAUSED", deliveries=[])
        assert "filter by Customer.phone" in found["statusReason"]
        assert hooks.receiver.received == []
        change = {"id": endpoint, "status": "ACTIVE", "filter": None}
        assert (await hooks.data(UPDATE, {"input": change}))["errors"] == []
        await hooks.until(endpoint, deliveries=["DELIVERED"])
