"""A customer's timeline: every change of it and of all that belongs to it, as far as the subscriber may see."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from crm_graph.api.body import Answer, GraphQLRequest
from crm_graph.graph.records.belonging import paths_to
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.cursor import LogCursor
from tests.events.live import Live

TIMELINE = """subscription($id: ID!, $after: Cursor) { timelineChanged(customerId: $id, after: $after) {
    cursor kind event type recordId changedFields actor { id } node { __typename id ... on Opportunity { name } }
} }"""


async def timeline(live: Live, claims: Claims, id_: str, after: str | None = None) -> tuple[Answer | None, Any]:
    """Subscribe to a customer's timeline."""
    request = GraphQLRequest(TIMELINE, None, {"id": id_, "after": after})
    return await live.engine.subscribe(request, await live.engine.admission.operation(request, claims), lambda: claims)


async def taken(stream: Any, count: int) -> list[dict[str, Any]]:
    """Return the next changes."""
    found = []
    for _ in range(count):
        _, answer = await anext(stream)
        assert "errors" not in answer.body, answer.body
        found.append(answer.body["data"]["timelineChanged"])
    return found


async def judged(live: Live, stream: Any) -> asyncio.Task[tuple[str, Answer]]:
    """Wait until a stream has come past everything that was written so far; returns who waits for its next change."""
    last = "SELECT xid::text::bigint AS xid, seq FROM event ORDER BY event.xid DESC, seq DESC LIMIT 1"
    (row,) = await live.connection.fetch(last)
    waiting = asyncio.create_task(anext(stream))
    while (LogCursor.decode(stream.cursor) or LogCursor(0, 0)) < LogCursor(row["xid"], row["seq"]):
        assert not waiting.done(), waiting.result()
        await asyncio.sleep(0.01)
    return waiting


async def customer(live: Live, claims: Claims, name: str) -> str:
    """Create a customer and return its id."""
    made = await live.mutate(claims, "createCustomer", {"name": name}, "customer { id }")
    return str(made["customer"]["id"])


def test_what_belongs_to_a_customer(schema: BuiltSchema) -> None:
    """A type that comes to the schema with a customer is on its timeline."""
    records = schema.registry.records
    assert paths_to(records["Customer"], schema.registry) == {
        "Customer": (),
        "AccountTeamMember": ("customer",),
        "Contact": ("customer",),
        "Opportunity": ("customer",),
        "OpportunityLine": ("opportunity", "customer"),
        "StageMove": ("opportunity", "customer"),
        "Order": ("customer",),
        "OrderLine": ("order", "customer"),
        "OrderStatusChange": ("order", "customer"),
        "CampaignMember": ("customer",),
        "Ticket": ("customer",),
        "TicketReply": ("ticket", "customer"),
    }


def test_the_types_of_a_timeline_are_told(schema: BuiltSchema) -> None:
    assert schema.core.subscription_type is not None
    told = schema.core.subscription_type.fields["timelineChanged"].description or ""
    listed = re.findall(r"`(\w+)`", told.partition("Of these types: ")[2])
    assert listed == [*paths_to(schema.registry.records["Customer"], schema.registry)]


async def test_all_that_happens_to_a_customer_is_on_its_timeline(live: Live) -> None:
    admin = await live.member("admin")
    here, there = await customer(live, admin, "here"), await customer(live, admin, "there")
    refusal, stream = await timeline(live, admin, here)
    assert refusal is None, refusal
    wanted = []
    for of in (there, here):
        made = await live.mutate(admin, "createContact", {"customerId": of, "name": "Ann"}, "contact { id }")
        contact = made["contact"]["id"]
        deal = await live.create(admin, "a deal", customerId=of)
        ticket = {"customerId": of, "subject": "Help", "description": "It does not work."}
        made = await live.mutate(admin, "createTicket", ticket, "ticket { id }")
        reply = {"ticketId": made["ticket"]["id"], "body": "We look into it."}
        said = await live.mutate(admin, "addTicketReply", reply, "reply { id }")
        order = await live.mutate(admin, "createOrder", {"customerId": of}, "order { id }")
        if of == here:
            wanted = [
                *(("ContactCreated", contact), ("OpportunityCreated", deal), ("TicketCreated", made["ticket"]["id"])),
                *(("TicketReplyAdded", said["reply"]["id"]), ("OrderCreated", order["order"]["id"])),
            ]
    await live.mutate(admin, "updateOpportunity", {"id": deal, "customerId": there}, "opportunity { id }")
    await live.mutate(admin, "deleteContact", {"id": contact}, "deletedId")
    wanted += [("OpportunityUpdated", deal), ("ContactDeleted", contact)]
    found: list[dict[str, Any]] = []
    while len([each for each in found if each["event"] in dict(wanted)]) < len(wanted):
        found += await taken(stream, 1)
    await stream.aclose()
    told = [(each["event"], each["recordId"]) for each in found]
    assert [each for each in told if each[0] in dict(wanted)] == wanted
    by_event = {each["event"]: each for each in found}
    assert (by_event["OpportunityUpdated"]["kind"], by_event["OpportunityUpdated"]["node"]) == ("LEFT", None)
    assert (by_event["ContactDeleted"]["kind"], by_event["ContactDeleted"]["node"]) == ("DELETED", None)
    assert by_event["TicketCreated"]["node"] == {"__typename": "Ticket", "id": by_event["TicketCreated"]["recordId"]}
    assert {each["type"] for each in found} >= {"Contact", "Opportunity", "Ticket", "TicketReply", "Order"}
    move = by_event["StageMoveUpdated"]
    assert (move["kind"], move["actor"]) == ("LEFT", None), "with its deal; what happened to that is told of that"
    assert {each["actor"]["id"] for each in found if each is not move} == {f"mem_{admin.member_id}"}

    refusal, again = await timeline(live, admin, here, after=found[0]["cursor"])
    assert refusal is None, refusal
    replayed = await taken(again, len(found) - 1)
    await again.aclose()
    assert [(each["cursor"], each["kind"]) for each in replayed] == [
        (each["cursor"], each["kind"]) for each in found[1:]
    ]


@pytest.mark.parametrize("others", [[], ["Contact"]])
async def test_nothing_is_told_of_a_customer_that_may_not_be_read(live: Live, others: list[str]) -> None:
    admin, viewer = await live.member("admin"), await live.member("analyst")
    id_, role = await customer(live, admin, "hidden"), f"blind_{len(others)}"
    grants = [{"type": name, "verbs": [{"verb": "read", "scope": "ALL"}], "default": "READ"} for name in others]
    await live.mutate(admin, "createRole", {"name": role, "grants": grants}, "role { name }")
    member = {"id": f"mem_{viewer.member_id}"}
    await live.mutate(admin, "setMemberRoles", {**member, "roles": [role]}, "member { id }")
    refusal, stream = await timeline(live, viewer, id_)
    assert refusal is None, refusal
    await live.mutate(admin, "updateCustomer", {"id": id_, "city": "Ulm"}, "customer { id }")
    await live.mutate(admin, "createContact", {"customerId": id_, "name": "Ann"}, "contact { id }")
    await live.create(admin, "unseen", customerId=id_)
    waiting = await judged(live, stream)
    await live.mutate(admin, "setMemberRoles", {**member, "roles": ["analyst"]}, "member { id }")
    await live.mutate(admin, "updateCustomer", {"id": id_, "website": "https://a.example"}, "customer { id }")
    told = (await waiting)[1].body["data"]["timelineChanged"]
    assert (told["kind"], told["recordId"], told["node"]) == ("RESYNC", None, None)
    (first,) = await taken(stream, 1)
    await stream.aclose()
    assert (first["event"], first["changedFields"]) == ("CustomerUpdated", ["website"])


async def test_a_type_is_told_from_when_it_may_be_read(live: Live) -> None:
    """Rights decide event by event, also over which types are told at all."""
    admin, viewer = await live.member("admin"), await live.member("analyst")
    id_ = await customer(live, admin, "by and by")
    read = [{"verb": "read", "scope": "ALL"}]
    grants = [{"type": name, "verbs": read, "default": "READ"} for name in ("Customer", "Contact", "Opportunity")]
    await live.mutate(admin, "createRole", {"name": "some_types", "grants": grants[:2]}, "role { name }")
    member = {"id": f"mem_{viewer.member_id}"}
    await live.mutate(admin, "setMemberRoles", {**member, "roles": ["some_types"]}, "member { id }")
    refusal, stream = await timeline(live, viewer, id_)
    assert refusal is None, refusal
    await live.create(admin, "unseen", customerId=id_)
    await live.mutate(admin, "createContact", {"customerId": id_, "name": "Ann"}, "contact { id }")
    (first,) = await taken(stream, 1)
    assert first["event"] == "ContactCreated"
    await live.mutate(admin, "updateRole", {"name": "some_types", "grants": grants}, "role { name }")
    deal = await live.create(admin, "seen", customerId=id_)
    resync, second = await taken(stream, 2)
    assert resync["kind"] == "RESYNC"
    assert (second["event"], second["recordId"]) == ("OpportunityCreated", deal)
    await live.mutate(admin, "updateRole", {"name": "some_types", "grants": grants[:1]}, "role { name }")
    await live.create(admin, "unseen again", customerId=id_)
    await live.mutate(admin, "updateCustomer", {"id": id_, "city": "Bremen"}, "customer { id }")
    resync, third = await taken(stream, 2)
    assert resync["kind"] == "RESYNC"
    assert (third["event"], third["changedFields"]) == ("CustomerUpdated", ["city"])
    await stream.aclose()
    await live.mutate(admin, "setMemberRoles", {**member, "roles": ["analyst"]}, "member { id }")


@pytest.mark.parametrize("id_", ["cus_1", "opp_01a216186ee17377a61cdb1655a4602a", ""])
async def test_what_is_no_customer_s_id_is_refused(live: Live, id_: str) -> None:
    """Unlike one that may not be seen, which nothing is told of."""
    refusal, _ = await timeline(live, await live.member("admin"), id_)
    assert refusal is not None
    (error,) = refusal.body["errors"]
    assert (error["extensions"]["code"], error["extensions"]["argument"]) == ("BAD_USER_INPUT", ["customerId"])
    assert "`cus_...`" in error["message"]
