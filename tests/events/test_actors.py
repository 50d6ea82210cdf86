"""Who did it: on records, in the feed and on subscriptions, and how somebody leaves out what they did themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.tokens import Claims
from tests.events.live import Live
from tests.support.hooks import Hooks, hooks_of

BY = "id version createdBy { id } updatedBy { id }"
FEED = """query ($after: Cursor, $withoutOwn: Boolean) { changes(after: $after, withoutOwn: $withoutOwn) {
  cursor nodes { recordId kind event actorKind clientId } } }"""


async def client(live: Live, admin: Claims, name: str, **more: Any) -> str:
    """Make an API client and return its id as the API spells it."""
    made = await live.mutate(admin, "createApiClient", {"name": name, **more}, "apiClient { id }")
    return str(made["apiClient"]["id"])


def by(claims: Claims, client_id: str) -> Claims:
    """Return the claims of the same member who uses an API client."""
    return replace(claims, client_id=client_id.removeprefix("apc_"))


async def changes(live: Live, claims: Claims, after: str | None, **more: Any) -> Any:
    await live.settled()
    return (await live.data(claims, FEED, {"after": after, **more}))["changes"]


async def test_a_record_says_who_made_and_who_changed_it(live: Live) -> None:
    admin, manager = await live.member("admin"), await live.member("sales_manager")
    made = await live.mutate(manager, "createCustomer", {"name": "Zebra"}, f"customer {{ {BY} }}")
    mine, theirs = {"id": f"mem_{manager.member_id}"}, {"id": f"mem_{admin.member_id}"}
    customer = made["customer"]
    assert (customer["createdBy"], customer["updatedBy"]) == (mine, mine)
    given = {"id": customer["id"], "name": "Zebras"}
    changed = (await live.mutate(admin, "updateCustomer", given, f"customer {{ {BY} }}"))["customer"]
    assert (changed["createdBy"], changed["updatedBy"]) == (mine, theirs)
    found = await live.data(
        admin,
        'query ($me: ID!) { customers(where: {createdBy: {id: {eq: $me}}, name: {eq: "Zebras"}}) { nodes { id } } }',
        {"me": mine["id"]},
    )
    assert [each["id"] for each in found["customers"]["nodes"]] == [customer["id"]]


async def test_who_changes_a_part_changed_the_whole(live: Live) -> None:
    admin, manager = await live.member("admin"), await live.member("sales_manager")
    customer = (await live.mutate(manager, "createCustomer", {"name": "Whole"}, "customer { id }"))["customer"]
    given = {"customerId": customer["id"], "memberId": f"mem_{admin.member_id}"}
    part = await live.mutate(admin, "addAccountTeamMember", given, "accountTeamMember { createdBy { id } }")
    assert part["accountTeamMember"]["createdBy"] == {"id": f"mem_{admin.member_id}"}
    found = await live.data(admin, f"query ($id: ID!) {{ customer(id: $id) {{ {BY} }} }}", {"id": customer["id"]})
    assert found["customer"]["createdBy"] == {"id": f"mem_{manager.member_id}"}
    assert found["customer"]["updatedBy"] == {"id": f"mem_{admin.member_id}"}


async def test_the_feed_tells_the_client_and_leaves_out_one_s_own(live: Live) -> None:
    admin = await live.member("admin")
    erp, shop = [await client(live, admin, name) for name in ("erp", "shop")]
    start = (await changes(live, admin, None))["cursor"]
    ids = [await live.create(who, "told") for who in (admin, by(admin, erp), by(admin, shop))]
    everything = await changes(live, admin, start)
    assert [(each["recordId"], each["actorKind"], each["clientId"]) for each in everything["nodes"]] == [
        (ids[0], "MEMBER", None),
        (ids[1], "MEMBER", erp),
        (ids[2], "MEMBER", shop),
    ]
    for own, who in ((ids[0], admin), (ids[1], by(admin, erp)), (ids[2], by(admin, shop))):
        start_of = (await changes(live, who, start, withoutOwn=True))["nodes"]
        assert [each["recordId"] for each in start_of] == [each for each in ids if each != own]
        assert len((await changes(live, who, start, withoutOwn=False))["nodes"]) == 3
        assert len((await changes(live, who, start, withoutOwn=None))["nodes"]) == 3


async def test_a_client_by_itself_is_no_person(live: Live) -> None:
    admin = await live.member("admin")
    id_ = await client(live, admin, "robot", roles=["sales_manager"])
    (member,) = await live.connection.fetch(
        "SELECT replace(member_id::text, '-', '') FROM api_client WHERE id = $1::text::uuid", id_.removeprefix("apc_")
    )
    robot = by(replace(admin, member_id=member[0]), id_)
    start = (await changes(live, admin, None))["cursor"]
    made = await live.create(robot, "by a robot")
    (told,) = (await changes(live, admin, start))["nodes"]
    assert (told["recordId"], told["actorKind"], told["clientId"]) == (made, "CLIENT", id_)


async def test_a_subscription_leaves_out_one_s_own_and_no_other_s(live: Live) -> None:
    admin = await live.member("admin")
    erp, shop = [by(admin, await client(live, admin, name)) for name in ("erp 2", "shop 2")]
    async with (
        live.watching(erp, "(withoutOwn: true)") as of_erp,
        live.watching(shop, "(withoutOwn: true)") as of_shop,
        live.watching(erp, "(withoutOwn: false)") as of_all,
    ):
        by_erp, by_shop, by_hand = [await live.create(who, "live") for who in (erp, shop, admin)]
        assert [each["recordId"] for each in await of_all.wait_for(3)] == [by_erp, by_shop, by_hand]
        assert [each["recordId"] for each in await of_erp.wait_for(2)] == [by_shop, by_hand]
        assert [each["recordId"] for each in await of_shop.wait_for(2)] == [by_erp, by_hand]
    cursor = of_all.received[0]["cursor"]
    async with live.watching(shop, f'(withoutOwn: true, after: "{cursor}")') as resumed:
        assert [each["recordId"] for each in await resumed.wait_for(1)] == [by_hand]


async def test_what_one_s_own_change_takes_of_other_records_is_told(live: Live) -> None:
    admin = await live.member("admin")
    customer = (await live.mutate(admin, "createCustomer", {"name": "Paris"}, "customer { id }"))["customer"]["id"]
    deal = await live.create(admin, "of Paris", customerId=customer)
    async with live.watching(admin, '(withoutOwn: true, where: {customer: {name: {eq: "Paris"}}})') as watching:
        await live.rename(admin, deal, "still of Paris")
        await live.mutate(admin, "updateCustomer", {"id": customer, "name": "Lyon"}, "customer { id }")
        (left,) = await watching.wait_for(1)
    assert (left["kind"], left["recordId"]) == ("LEFT", deal)


@pytest.fixture
async def hooks(postgres: str, database_url: str, schema: BuiltSchema) -> AsyncIterator[Hooks]:
    name = database_url.partition("?")[0].rpartition("/")[2]
    async with hooks_of(postgres, f"{name}_actors", schema) as made:
        yield made


CLIENT = (
    """mutation ($name: String!) { createApiClient(input: {name: $name}) { apiClient { id } errors { message } } }"""
)
WITHOUT = """mutation ($id: ID!, $client: ID) { updateWebhookEndpoint(input: {id: $id, withoutClient: $client}) {
  webhookEndpoint { withoutClient } errors { code field } } }"""


async def test_an_endpoint_is_not_told_what_its_own_client_did(hooks: Hooks) -> None:
    admin = await hooks.claims()
    erp = (await hooks.data(CLIENT, {"name": "erp"}))["apiClient"]["id"]
    endpoint, _ = await hooks.endpoint("CustomerCreated", withoutClient=erp)
    create = """mutation { createCustomer(input: {name: "Zebra"}) { customer { id } errors { message } } }"""
    async with hooks.delivering():
        await hooks.data(create, claims=by(admin, erp))
        other = await hooks.customer()
        (told,) = await hooks.receiver.wait(1)
        assert (told.body["data"]["recordId"], told.body["data"]["actorKind"]) == (other, "MEMBER")
        assert told.body["data"]["clientId"] is None
        assert (await hooks.data(WITHOUT, {"id": endpoint, "client": None}))["webhookEndpoint"] == {
            "withoutClient": None
        }
        own = (await hooks.data(create, claims=by(admin, erp)))["customer"]["id"]
        second = (await hooks.receiver.wait(2))[1]
    assert (second.body["data"]["recordId"], second.body["data"]["clientId"]) == (own, erp)
    refused = (await hooks.data(WITHOUT, {"id": endpoint, "client": "apc_" + "0" * 32}))["errors"]
    assert refused == [{"code": "NOT_FOUND", "field": ["withoutClient"]}]
    refused = (await hooks.data(WITHOUT, {"id": endpoint, "client": "cus_" + "0" * 32}))["errors"]
    assert refused == [{"code": "NOT_FOUND", "field": ["withoutClient"]}]
