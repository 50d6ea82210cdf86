"""Statements of a batch do not grow with it: what is asked at one step is one statement, and faults are halved for."""

from __future__ import annotations

from typing import Any

import pytest

from crm_graph.db.sending import NAMED
from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.kernel.ids import encode_id
from tests.bulk.test_customers import DELETE, UPDATE, create
from tests.bulk.test_orders import MANY, ONE, order_of
from tests.support.graph import Graph

TICKETS = """mutation ($inputs: [CreateTicketInput!]!) { createTickets(inputs: $inputs) {
  results { ticket { number } errors { code field message } } errors { code } } }"""
CAMPAIGN = """mutation { createCampaign(input: {name: "Bulk", channel: EMAIL}) { campaign { id version } } }"""
MEMBERS = """mutation ($inputs: [AddCampaignMemberInput!]!, $onError: OnRefusal! = REJECT_ALL) {
  addCampaignMembers(inputs: $inputs, onError: $onError) {
    results { member { id } errors { code field message } } errors { code } } }"""
STAGES = """mutation ($inputs: [CreateStageInput!]!) { createStages(inputs: $inputs, onError: REJECT_FAILED) {
  results { stage { position } errors { code field message } } errors { code } } }"""
PIPELINE = """mutation { createPipeline(input: {name: "Bulk"}) { pipeline { id stages { nodes { position } } } } }"""


@pytest.mark.parametrize("many", [2, 100])
async def test_tickets_take_numbers_at_once(graph: Graph, many: int) -> None:
    await graph.data(TICKETS, {"inputs": [{"subject": "Bulk"}] * 2})
    made = (await graph.data(TICKETS, {"inputs": [{"subject": "Bulk"}] * many}))["createTickets"]
    numbers = [int(each["ticket"]["number"].removeprefix("T-")) for each in made["results"]]
    assert numbers == list(range(numbers[0], numbers[0] + many))
    assert graph.statements == 9


@pytest.mark.parametrize("lines", [2, 100])
async def test_lines_that_are_named_by_their_product_are_found_at_once(graph: Graph, lines: int) -> None:
    given = await order_of(graph, lines)
    sku = await graph.value("SELECT sku FROM product WHERE id = $1", given["lines"][0]["productId"].split("_")[1])
    given["lines"] = [{**each, "productId": f"sku:{sku}"} for each in given["lines"]]
    for _ in range(2):
        made = (await graph.data(ONE, {"input": given}))["createOrder"]
    assert made["errors"] == []
    assert graph.statements == 8


@pytest.mark.parametrize("lines", [2, 100])
@pytest.mark.parametrize("orders", [1, 2])
async def test_orders_are_as_many_statements_whatever_their_lines(graph: Graph, lines: int, orders: int) -> None:
    given = await order_of(graph, lines)
    for _ in range(2):
        made = (await graph.data(MANY, {"inputs": [given] * orders}))["createOrders"]
    assert made["errors"] == []
    assert graph.statements == 18


@pytest.mark.parametrize("many", [2, 40])
async def test_members_are_added_to_one_campaign_at_once(graph: Graph, many: int) -> None:
    campaign = (await graph.data(CAMPAIGN))["createCampaign"]["campaign"]["id"]
    customers = [each["customer"]["id"] for each in (await create(graph, [{"name": "Bulk"}] * (many + 2)))["results"]]
    inputs = [{"campaignId": campaign, "customerId": each} for each in customers]
    await graph.data(MEMBERS, {"inputs": inputs[:2]})
    made = (await graph.data(MEMBERS, {"inputs": inputs[2:]}))["addCampaignMembers"]
    assert made["errors"] == []
    assert graph.statements == 11
    again = (await graph.data(MEMBERS, {"inputs": [inputs[0]] * 2, "onError": "REJECT_FAILED"}))["addCampaignMembers"]
    assert [each["errors"][0]["code"] for each in again["results"]] == ["TAKEN"] * 2


@pytest.mark.parametrize(("many", "statements"), [(16, 32), (256, 52)])
async def test_one_that_is_taken_is_halved_for(graph: Graph, many: int, statements: int) -> None:
    """Five statements for each time that the number doubles."""
    await create(graph, [{"name": "Bulk", "externalId": "bulk-taken"}])
    inputs: list[dict[str, Any]] = [{"name": "Bulk", "externalId": f"bulk-{place}"} for place in range(many)]
    inputs[many // 2]["externalId"] = "bulk-taken"
    made = await create(graph, inputs, onError="REJECT_FAILED")
    assert [place for place, each in enumerate(made["results"]) if each["errors"]] == [many // 2]
    assert graph.statements == statements


async def test_changes_of_different_fields_share_a_savepoint(graph: Graph) -> None:
    fields = {"city": "A", "industry": "B", "website": "https://c.example"}
    made = await create(graph, [{"name": f"Bulk {number}"} for number in range(8)])
    ids = [each["customer"]["id"] for each in made["results"]]
    inputs = [
        {"id": id_, "name": "Bulk x", **{name: fields[name] for bit, name in enumerate(fields) if place >> bit & 1}}
        for place, id_ in enumerate(ids)
    ]
    found = (await graph.data(UPDATE, {"inputs": inputs}))["updateCustomers"]
    assert found["errors"] == []
    assert graph.statements == 9 + len(ids)


async def test_what_is_removed_does_not_depend_on_strangers(graph: Graph) -> None:
    """A parent goes with its child, whatever else is in the set, and whatever is refused of it."""
    used = await graph.id_of(Customer, "id IN (SELECT customer_id FROM opportunity)")
    for more in ([], [used]):
        for turned in (False, True):
            parent = (await create(graph, [{"name": "Bulk parent"}]))["results"][0]["customer"]["id"]
            child = (await create(graph, [{"name": "Bulk", "parentId": parent}]))["results"][0]["customer"]["id"]
            ids = [parent, *more, child]
            ids = ids[::-1] if turned else ids
            inputs = [{"id": id_} for id_ in ids]
            found = (await graph.data(REMOVE, {"inputs": inputs}))["deleteCustomers"]
            assert [result["deletedId"] for result in found["results"]] == [id_ if id_ != used else None for id_ in ids]


REMOVE = DELETE.replace("(inputs: $inputs)", "(inputs: $inputs, onError: REJECT_FAILED)")


async def test_a_chain_goes_whatever_stays(graph: Graph) -> None:
    """Each is the parent of the next, among more that are in use than are left out one by one."""
    used = await graph.rows("SELECT DISTINCT customer_id FROM opportunity WHERE customer_id IS NOT NULL LIMIT 15")
    strangers = [encode_id("cus", row[0]) for row in used]
    assert len(strangers) > NAMED
    chain: list[str] = []
    for number in range(12):
        parent = {"parentId": chain[-1]} if chain else {}
        made = await create(graph, [{"name": f"Bulk {number}", **parent}])
        chain.append(made["results"][0]["customer"]["id"])
    ids = [*chain[:4], *strangers[:8], *chain[4:], *strangers[8:]]
    found = (await graph.data(REMOVE, {"inputs": [{"id": id_} for id_ in ids]}))["deleteCustomers"]
    assert [each["deletedId"] for each in found["results"]] == [None if id_ in strangers else id_ for id_ in ids]


async def test_a_parent_of_one_that_stays_stays(graph: Graph) -> None:
    used = await graph.id_of(Customer, "id IN (SELECT customer_id FROM opportunity)")
    parent, other = [each["customer"]["id"] for each in (await create(graph, [{"name": "Bulk"}] * 2))["results"]]
    await graph.data(UPDATE, {"inputs": [{"id": used, "parentId": parent}]})
    found = (await graph.data(REMOVE, {"inputs": [{"id": each} for each in (parent, used, other)]}))["deleteCustomers"]
    assert [[each["code"] for each in result["errors"]] for result in found["results"]] == [["IN_USE"], ["IN_USE"], []]


async def test_a_pipeline_has_room_for_a_hundred_stages(graph: Graph) -> None:
    pipeline = (await graph.data(PIPELINE))["createPipeline"]["pipeline"]
    room = 100 - len(pipeline["stages"]["nodes"])
    inputs = [
        {"pipelineId": pipeline["id"], "name": f"Bulk {n}", "position": 0, "kind": "OPEN", "probability": 1}
        for n in range(room + 3)
    ]
    made = (await graph.data(STAGES, {"inputs": inputs}))["createStages"]
    message = "A pipeline may have at most 100 stages."
    assert [each["errors"] for each in made["results"]] == [[]] * room + [
        [{"code": "LIMIT", "field": ["pipelineId"], "message": message}]
    ] * 3


async def test_too_many_lines_are_one_fault_singly_and_in_a_batch(graph: Graph) -> None:
    given = await order_of(graph, 501)
    given["customerId"] = "cus_none"
    one = (await graph.data(ONE, {"input": given}))["createOrder"]["errors"]
    many = (await graph.data(MANY, {"inputs": [given]}))["createOrders"]["results"][0]["errors"]
    assert one == many
    message = "`lines` has 501 items: 500 is the most."
    assert one == [{"code": "INVALID", "field": ["lines"], "message": message}]
