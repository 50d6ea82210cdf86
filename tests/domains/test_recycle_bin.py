"""Archived, deleted, restored, purged: the same for every kept type."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from crm_graph.app import make_worker
from crm_graph.db.base import Kept
from crm_graph.db.rules import parts_of
from crm_graph.domains.platform.jobs.keeping import PURGE, SCHEDULES
from crm_graph.graph.records.record import Record, own_name
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.clock import system_clock
from crm_graph.kernel.ids import encode_id
from crm_graph.kernel.naming import camel
from tests.support.graph import Graph
from tests.support.live import Running, running

KEPT = ("Customer", "Contact", "Opportunity", "Order", "Product", "Campaign", "Ticket")
DAYS = 30


async def mutate(graph: Graph, field: str, input_: Any, selection: str = "", **who: Any) -> Any:
    name = f"{field[0].upper()}{field[1:]}Input"
    source = (
        f"mutation ($input: {name}!) {{ {field}(input: $input) {{ {selection} errors {{ code message field }} }} }}"
    )
    return (await graph.data(source, {"input": input_}, **who))[field]


async def make(graph: Graph, type_: str, **more: Any) -> str:
    """Return the id of a new record of a kept type that nothing points to, with a part where it has some."""
    given: dict[str, Any] = {"name": "Binned"}
    if type_ in {"Contact", "Order"}:
        given["customerId"] = await make(graph, "Customer")
    if type_ == "Order":
        del given["name"]
        product = await make(graph, "Product")
        given["lines"] = [{"productId": product, "unitPrice": "1"}]
    if type_ == "Campaign":
        given["channel"] = "EMAIL"
    if type_ == "Ticket":
        given = {"subject": "Binned"}
    own = type_[:1].lower() + type_[1:]
    made = await mutate(graph, f"create{type_}", {**given, **more}, f"{own} {{ id }}")
    assert made["errors"] == [], made
    return str(made[own]["id"])


async def delete(graph: Graph, type_: str, id_: str, **more: Any) -> Any:
    return await mutate(graph, f"delete{type_}", {"id": id_, **more}, "deletedId")


async def step(graph: Graph, verb: str, type_: str, id_: str, **more: Any) -> Any:
    own = type_[:1].lower() + type_[1:]
    selection = f"{own} {{ id version archivedAt deletedAt }}"
    return await mutate(graph, f"{verb}{type_}", {"id": id_, **more}, selection)


def codes(payload: Any) -> list[tuple[str, list[str]]]:
    return [(error["code"], error["field"]) for error in payload["errors"]]


def record(schema: BuiltSchema, type_: str) -> Record:
    return schema.registry.records[type_]


async def listed(graph: Graph, schema: BuiltSchema, type_: str, id_: str, arguments: str = "", **who: Any) -> bool:
    field = camel(record(schema, type_).plural.replace(" ", "_"))
    source = f'{{ {field}(where: {{id: {{eq: "{id_}"}}}} {arguments}) {{ totalCount nodes {{ id }} }} }}'
    found = (await graph.data(source, **who))[field]
    assert found["totalCount"] == len(found["nodes"])
    return bool(found["nodes"])


async def counted(graph: Graph, schema: BuiltSchema, type_: str, id_: str) -> int:
    field = camel(record(schema, type_).plural.replace(" ", "_")) + "Aggregate"
    data = await graph.data(f'{{ {field}(where: {{id: {{eq: "{id_}"}}}}) {{ groups {{ count }} }} }}')
    return int(data[field]["groups"][0]["count"])


async def parts(graph: Graph, schema: BuiltSchema, type_: str, id_: str) -> list[int]:
    """Return how many parts of a record are stored, and how many of these are in the bin."""
    stored = gone = 0
    for table, column in parts_of(record(schema, type_).table):
        source = f"SELECT count(*), count(deleted_at) FROM {table.name} WHERE {column.name} = $1"
        ((all_, deleted),) = await graph.rows(source, id_.partition("_")[2])
        stored, gone = stored + all_, gone + deleted
    return [stored, gone]


def test_these_are_kept(schema: BuiltSchema) -> None:
    assert {each.name for each in schema.registry.records.values() if each.is_kept} == set(KEPT)
    for each in schema.registry.records.values():
        assert issubclass(each.model, Kept) == ("deletedAt" in each.columns) == ("archivedAt" in each.columns)
        whole = each.policy.parent
        part_of_kept = whole is not None and whole[0].type in KEPT
        assert ("deleted_at" in each.table.c) == (each.is_kept or part_of_kept), each.name


@pytest.mark.parametrize("type_", KEPT)
async def test_a_record_goes_and_comes_back_with_its_parts(graph: Graph, schema: BuiltSchema, type_: str) -> None:
    id_ = await make(graph, type_)
    stored, _ = await parts(graph, schema, type_, id_)
    own = own_name(record(schema, type_))
    assert (await delete(graph, type_, id_, ifVersion=1))["deletedId"] == id_
    assert not await listed(graph, schema, type_, id_)
    assert await counted(graph, schema, type_, id_) == 0
    assert await graph.data(f'{{ {own}(id: "{id_}") {{ id }} node(id: "{id_}") {{ id }} }}') == {
        own: None,
        "node": None,
    }
    assert await listed(graph, schema, type_, id_, "deleted: true")
    assert await parts(graph, schema, type_, id_) == [stored, stored]
    restored = await step(graph, "restore", type_, id_, ifVersion=2)
    assert restored == {own: {"id": id_, "version": 3, "archivedAt": None, "deletedAt": None}, "errors": []}
    assert await listed(graph, schema, type_, id_)
    assert not await listed(graph, schema, type_, id_, "deleted: true")
    assert await parts(graph, schema, type_, id_) == [stored, 0]
    events = await graph.rows("SELECT type FROM event WHERE entity_id = $1 ORDER BY seq", id_.partition("_")[2])
    assert [row["type"] for row in events][-2:] == [f"{type_}Deleted", f"{type_}Restored"]


@pytest.mark.parametrize("type_", KEPT)
async def test_what_is_archived_is_left_out_of_lists_and_counted(graph: Graph, schema: BuiltSchema, type_: str) -> None:
    id_ = await make(graph, type_)
    own = own_name(record(schema, type_))
    archived = await step(graph, "archive", type_, id_)
    assert archived["errors"] == []
    assert archived[own]["archivedAt"] is not None
    assert codes(await step(graph, "archive", type_, id_)) == [("ILLEGAL_TRANSITION", ["id"])]
    assert not await listed(graph, schema, type_, id_)
    assert await listed(graph, schema, type_, id_, "archived: true")
    assert await counted(graph, schema, type_, id_) == 1
    assert (await graph.data(f'{{ {own}(id: "{id_}") {{ id }} }}'))[own] == {"id": id_}
    assert (await delete(graph, type_, id_))["errors"] == []
    assert await listed(graph, schema, type_, id_, "deleted: true")
    assert (await step(graph, "restore", type_, id_))[own]["archivedAt"] is not None
    assert (await step(graph, "unarchive", type_, id_))["errors"] == []
    assert codes(await step(graph, "unarchive", type_, id_)) == [("ILLEGAL_TRANSITION", ["id"])]
    assert await listed(graph, schema, type_, id_)


@pytest.mark.parametrize("type_", KEPT)
async def test_what_cannot_be_done(graph: Graph, type_: str) -> None:
    id_ = await make(graph, type_)
    assert codes(await step(graph, "restore", type_, id_)) == [("NOT_FOUND", ["id"])]
    assert codes(await delete(graph, type_, id_, ifVersion=7)) == [("CONFLICT", ["ifVersion"])]
    await delete(graph, type_, id_)
    for verb in ("delete", "archive"):
        done = await (delete(graph, type_, id_) if verb == "delete" else step(graph, verb, type_, id_))
        assert codes(done) == [("NOT_FOUND", ["id"])]
    assert codes(await step(graph, "restore", type_, id_, ifVersion=1)) == [("CONFLICT", ["ifVersion"])]
    assert (await step(graph, "restore", type_, id_))["errors"] == []
    assert codes(await step(graph, "restore", type_, id_)) == [("NOT_FOUND", ["id"])]


async def test_a_value_is_free_while_its_record_is_in_the_bin(graph: Graph) -> None:
    given = {"externalId": "BIN-1"}
    first = await make(graph, "Customer", **given)
    await delete(graph, "Customer", first)
    second = await make(graph, "Customer", **given)
    upserted = await mutate(graph, "upsertCustomer", {"id": "externalId:BIN-1", "name": "New"}, "customer { id }")
    assert upserted["customer"] == {"id": second}
    before = await graph.rows("SELECT * FROM customer WHERE id = $1", first[4:])
    assert codes(await step(graph, "restore", "Customer", first)) == [("TAKEN", ["externalId"])]
    assert await graph.rows("SELECT * FROM customer WHERE id = $1", first[4:]) == before
    await delete(graph, "Customer", second)
    third = await mutate(graph, "upsertCustomer", {"id": "externalId:BIN-1", "name": "New"}, "customer { id }")
    assert third["customer"]["id"] not in {first, second}
    assert (await delete(graph, "Customer", third["customer"]["id"]))["errors"] == []
    assert (await step(graph, "restore", "Customer", first))["errors"] == []


async def test_what_is_used_says_by_what(graph: Graph) -> None:
    customer = await make(graph, "Customer")
    contacts = [await make(graph, "Contact", customerId=customer) for _ in range(2)]
    ticket = await make(graph, "Ticket", customerId=customer)
    refused = await delete(graph, "Customer", customer)
    message = "This customer is still used by 2 contacts, a ticket."
    assert refused == {"deletedId": None, "errors": [{"code": "IN_USE", "message": message, "field": []}]}
    for contact in contacts:
        await delete(graph, "Contact", contact)
    assert (await delete(graph, "Customer", customer))["errors"][0]["message"].endswith("used by a ticket.")
    await delete(graph, "Ticket", ticket)
    assert (await delete(graph, "Customer", customer))["errors"] == []
    restored = await step(graph, "restore", "Contact", contacts[0])
    assert restored["errors"][0]["message"] == (
        "What it points to by `customerId` is in the recycle bin: restore that first."
    )
    assert codes(restored) == [("NOT_FOUND", ["customerId"])]
    assert codes(await mutate(graph, "createContact", {"customerId": customer, "name": "New"})) == [
        ("NOT_FOUND", ["customerId"])
    ]
    assert (await step(graph, "restore", "Customer", customer))["errors"] == []
    assert (await step(graph, "restore", "Contact", contacts[0]))["errors"] == []


async def test_a_part_that_points_to_what_is_in_the_bin_keeps_its_whole_there(graph: Graph) -> None:
    product = await make(graph, "Product")
    order = await make(graph, "Order", lines=[{"productId": product, "unitPrice": "1"}])
    assert (await delete(graph, "Product", product))["errors"][0]["message"].endswith("used by an order line.")
    await delete(graph, "Order", order)
    assert (await delete(graph, "Product", product))["errors"] == []
    assert codes(await step(graph, "restore", "Order", order)) == [("NOT_FOUND", ["productId"])]
    await step(graph, "restore", "Product", product)
    assert (await step(graph, "restore", "Order", order))["errors"] == []


async def test_what_one_does_not_see_is_not_named(graph: Graph) -> None:
    """The message counts what the viewer may see, and the refusal is the same."""
    customer = await make(graph, "Customer")
    await make(graph, "Opportunity", customerId=customer)
    grants = [{"type": "Customer", "verbs": [{"verb": verb, "scope": "ALL"} for verb in ("read", "delete")]}]
    source = "mutation ($input: CreateRoleInput!) { createRole(input: $input) { errors { message } } }"
    await graph.data(source, {"input": {"name": "cleaner", "grants": grants}})
    claims = await graph.claims("analyst")
    await graph.rows("UPDATE member_role SET role = 'cleaner' WHERE member_id = $1", claims.member_id)
    refused = await mutate(graph, "deleteCustomer", {"id": customer}, claims=claims)
    assert refused["errors"][0]["message"] == "This customer is still used by other records."


async def test_who_may_delete_sees_the_bin(graph: Graph, schema: BuiltSchema) -> None:
    id_ = await make(graph, "Customer")
    await delete(graph, "Customer", id_)
    assert await listed(graph, schema, "Customer", id_, "deleted: true", role="admin")
    assert not await listed(graph, schema, "Customer", id_, "deleted: true", role="sales_rep")
    body = await graph.execute(
        "mutation ($input: RestoreCustomerInput!) { restoreCustomer(input: $input) { errors { code } } }",
        {"input": {"id": id_}},
        role="sales_rep",
    )
    assert body["errors"][0]["extensions"]["code"] == "FORBIDDEN"


async def test_decided_deals_approved_orders_and_what_was_sent_are_archived_only(graph: Graph) -> None:
    deal = await make(graph, "Opportunity", amount={"amount": "1", "currency": "CNY"})
    stage = await graph.value(
        "SELECT stage.id FROM stage JOIN opportunity USING (workspace_id, pipeline_id)"
        " WHERE opportunity.id = $1 AND kind = 'WON'",
        deal[4:],
    )
    assert (await mutate(graph, "moveOpportunity", {"id": deal, "stageId": encode_id("stg", stage)}))["errors"] == []
    order = await make(graph, "Order")
    for field in ("submitOrder", "approveOrder"):
        source = f'mutation {{ {field}(input: {{id: "{order}"}}) {{ errors {{ code }} }} }}'
        assert (await graph.data(source))[field]["errors"] == []
    ticket = await make(graph, "Ticket")
    assert (await mutate(graph, "addTicketReply", {"ticketId": ticket, "body": "Sent."}))["errors"] == []
    campaign = await make(graph, "Campaign")
    source = f'mutation {{ launchCampaign(input: {{id: "{campaign}"}}) {{ errors {{ code }} }} }}'
    assert (await graph.data(source))["launchCampaign"]["errors"] == []
    for type_, id_, why in (
        ("Opportunity", deal, "it is WON"),
        ("Order", order, "it is APPROVED"),
        ("Ticket", ticket, "it was answered"),
        ("Campaign", campaign, "it is ACTIVE"),
    ):
        refused = await delete(graph, type_, id_)
        assert codes(refused) == [("ILLEGAL_TRANSITION", ["id"])]
        expected = f"This {type_.lower()} cannot be deleted, since {why}: archive it."
        assert refused["errors"][0]["message"] == expected
        assert (await step(graph, "archive", type_, id_))["errors"] == []
    await mutate(graph, "cancelOrder", {"id": order, "reason": "Changed."})
    assert codes(await delete(graph, "Order", order)) == [("ILLEGAL_TRANSITION", ["id"])]


async def test_many_go_and_come_back(graph: Graph) -> None:
    ids = [await make(graph, "Customer", externalId=f"M-{number}") for number in range(3)]
    inputs = [{"id": id_} for id_ in (*ids, encode_id("cus", "0" * 31 + "9"))]
    source = """mutation ($inputs: [DeleteCustomerInput!]!, $onError: OnRefusal!) {
      deleteCustomers(inputs: $inputs, onError: $onError) { results { deletedId errors { code } } } }"""
    refused = (await graph.data(source, {"inputs": inputs, "onError": "REJECT_ALL"}))["deleteCustomers"]["results"]
    assert [each["deletedId"] for each in refused] == [None] * 4
    done = (await graph.data(source, {"inputs": inputs, "onError": "REJECT_FAILED"}))["deleteCustomers"]["results"]
    assert [each["deletedId"] for each in done] == [*ids, None]
    await make(graph, "Customer", externalId="M-1")
    source = """mutation ($inputs: [RestoreCustomerInput!]!, $onError: OnRefusal!) {
      restoreCustomers(inputs: $inputs, onError: $onError) { results { customer { id } errors { code field } } } }"""
    back = (await graph.data(source, {"inputs": inputs, "onError": "REJECT_FAILED"}))["restoreCustomers"]["results"]
    assert [codes(each) for each in back] == [[], [("TAKEN", ["externalId"])], [], [("NOT_FOUND", ["id"])]]
    assert [each["customer"] for each in back] == [{"id": ids[0]}, None, {"id": ids[2]}, None]
    assert [codes(each) for each in back] == [[], [("TAKEN", ["externalId"])], [], [("NOT_FOUND", ["id"])]]


async def test_it_takes_the_statements_that_it_took(graph: Graph) -> None:
    """A deletion: the locked row, and one statement that writes; a list: one."""
    for _ in range(2):
        order = await make(graph, "Order")
        await delete(graph, "Order", order)
    assert graph.statements == 2
    await step(graph, "restore", "Order", order)
    assert graph.statements == 4  # what it points to is held before it is written; the payload
    await graph.data("{ orders(first: 2) { totalCount nodes { id } } }")
    assert graph.statements == 1


async def test_what_a_team_leaves_in_the_bin(graph: Graph) -> None:
    """Rows in the bin keep nothing from being removed for good: they let go of it."""
    team = await mutate(graph, "createTeam", {"name": "Binned"}, "team { id }")
    id_ = team["team"]["id"]
    ticket = await make(graph, "Ticket", queueId=id_)
    assert (await mutate(graph, "deleteTeam", {"id": id_}, "deletedId"))["errors"][0]["code"] == "IN_USE"
    await delete(graph, "Ticket", ticket)
    assert (await mutate(graph, "deleteTeam", {"id": id_}, "deletedId"))["errors"] == []
    assert (await step(graph, "restore", "Ticket", ticket))["errors"] == []
    assert await graph.value("SELECT queue_id FROM ticket WHERE id = $1", ticket[4:]) is None


async def purge(graph: Graph, schema: BuiltSchema, days: int) -> None:
    services = replace(graph.engine.services, clock=lambda: system_clock() + timedelta(days=days))
    await make_worker(schema, services).chores[PURGE]()


@pytest.mark.parametrize("type_", KEPT)
async def test_what_was_long_in_the_bin_is_purged(graph: Graph, schema: BuiltSchema, type_: str) -> None:
    id_, kept = await make(graph, type_), await make(graph, type_)
    await delete(graph, type_, id_)
    key = id_.partition("_")[2]
    assert PURGE in {each.kind for each in SCHEDULES}
    table = record(schema, type_).table.name
    await purge(graph, schema, DAYS - 1)
    assert await graph.value(f"SELECT count(*) FROM {table} WHERE id = $1", key) == 1
    await purge(graph, schema, DAYS + 1)
    assert await graph.value(f"SELECT count(*) FROM {table} WHERE id = $1", key) == 0
    assert await parts(graph, schema, type_, id_) == [0, 0]
    assert await listed(graph, schema, type_, kept)
    (event,) = await graph.rows(
        "SELECT type, actor, changes FROM event WHERE entity_id = $1 ORDER BY seq DESC LIMIT 1", key
    )
    assert (event["type"], event["actor"]) == (f"{type_}Purged", None)
    assert event["changes"]["id"][0].replace("-", "") == key
    assert codes(await step(graph, "restore", type_, id_)) == [("NOT_FOUND", ["id"])]


async def test_purging_goes_in_chunks_and_in_order(
    graph: Graph, schema: BuiltSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chain of customers with a contact each, and one to which something still points: that one waits."""
    monkeypatch.setattr("crm_graph.domains.platform.jobs.purging.BATCH", 2)
    chain: list[str] = []
    for _ in range(3):
        chain.append(await make(graph, "Customer", **({"parentId": chain[-1]} if chain else {})))
    contacts = [await make(graph, "Contact", customerId=each) for each in chain]
    for type_, ids in (("Contact", contacts), ("Customer", chain[::-1])):
        for id_ in ids:
            assert (await delete(graph, type_, id_))["errors"] == []
    waits = await make(graph, "Customer")
    pointing = await make(graph, "Contact", customerId=waits)
    await graph.rows("UPDATE customer SET deleted_at = now() WHERE id = $1", waits[4:])
    await purge(graph, schema, DAYS + 1)
    gone = await graph.value("SELECT count(*) FROM customer WHERE id = ANY($1)", [each[4:] for each in chain])
    left = await graph.value("SELECT count(*) FROM contact WHERE id = ANY($1)", [each[4:] for each in contacts])
    assert (gone, left) == (0, 0)
    stays = "SELECT (SELECT count(*) FROM customer WHERE id = $1) + (SELECT count(*) FROM contact WHERE id = $2)"
    assert await graph.value(stays, waits[4:], pointing[4:]) == 2


@dataclass(frozen=True)
class Live:
    """A running engine, and who asks it."""

    running: Running
    admin: Claims


@pytest.fixture(scope="module")
async def live(postgres: str, database_url: str, schema: BuiltSchema) -> AsyncIterator[Live]:
    assert database_url, "makes the template"
    async with running(postgres, schema, f"bin_{abs(hash(database_url)) % 10**6}") as live:
        yield Live(live, await live.member("admin"))


async def tried(live: Live, field: str, input_: Any, selection: str) -> Any:
    name = f"{field[0].upper()}{field[1:]}Input"
    source = f"mutation ($input: {name}!) {{ {field}(input: $input) {{ {selection} errors {{ code field }} }} }}"
    return (await live.running.data(live.admin, source, {"input": input_}))[field]


async def test_one_of_two_deletions_at_once_is_done(live: Live) -> None:
    id_ = (await tried(live, "createCustomer", {"name": "Raced"}, "customer { id }"))["customer"]["id"]
    for field in ("deleteCustomer", "restoreCustomer"):
        outcomes = await asyncio.gather(*(tried(live, field, {"id": id_}, "") for _ in range(2)))
        assert sorted(map(codes, outcomes)) == [[], [("NOT_FOUND", ["id"])]]
    outcomes = await asyncio.gather(
        *(tried(live, f"{verb}Customer", {"id": id_}, "") for verb in ("delete", "restore"))
    )
    assert codes(outcomes[0]) == []
    assert codes(outcomes[1]) in ([], [("NOT_FOUND", ["id"])])


async def test_nothing_comes_to_point_into_the_bin(live: Live) -> None:
    """A contact is added, or brought back, while its customer is deleted: one of both is refused."""
    for number in range(12):
        customer = (await tried(live, "createCustomer", {"name": "Raced"}, "customer { id }"))["customer"]["id"]
        field, input_ = "createContact", {"customerId": customer, "name": "Raced"}
        if number % 2:
            contact = (await tried(live, field, input_, "contact { id }"))["contact"]["id"]
            assert codes(await tried(live, "deleteContact", {"id": contact}, "")) == []
            field, input_ = "restoreContact", {"id": contact}
        deleted, added = await asyncio.gather(
            tried(live, "deleteCustomer", {"id": customer}, ""), tried(live, field, input_, "")
        )
        assert (codes(deleted), codes(added)) in (
            ([("IN_USE", [])], []),
            ([], [("NOT_FOUND", ["customerId"])]),
        )


FEED = """query ($after: Cursor) { changes(after: $after, types: ["Customer"]) {
  cursor nodes { kind event recordId changedFields node { id } } } }"""


async def test_copies_are_told(live: Live) -> None:
    """A copy drops what is deleted, and has it again when it is restored; purging tells nobody anything."""
    await live.running.settled()
    cursor = (await live.running.data(live.admin, FEED))["changes"]["cursor"]
    id_ = (await tried(live, "createCustomer", {"name": "Copied"}, "customer { id }"))["customer"]["id"]
    for verb in ("archive", "delete", "restore", "delete"):
        assert codes(await tried(live, f"{verb}Customer", {"id": id_}, "")) == []
    services = replace(live.running.engine.services, clock=lambda: system_clock() + timedelta(days=DAYS + 1))
    await make_worker(live.running.engine.schema, services).chores[PURGE]()
    await live.running.settled()
    changes = (await live.running.data(live.admin, FEED, {"after": cursor}))["changes"]["nodes"]
    assert [(each["kind"], each["event"], each["changedFields"]) for each in changes[1:]] == [
        ("UPDATED", "CustomerArchived", ["archivedAt"]),
        ("DELETED", "CustomerDeleted", []),
        ("ENTERED", "CustomerRestored", ["deletedAt"]),
        ("DELETED", "CustomerDeleted", []),
    ]
    assert {each["recordId"] for each in changes} == {id_}
    assert all(each["node"] is None for each in changes), "as it is now"
