"""Records named by what no two have, changed where they are there and made where they are not."""

from __future__ import annotations

from typing import Any

import pytest
from graphql import GraphQLInputObjectType

from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.kernel.ids import encode_id
from tests.permissions.test_hidden_edges import ALL, somebody
from tests.support.graph import Graph

MANY = """mutation ($inputs: [UpsertCustomerInput!]!, $onError: OnRefusal! = REJECT_ALL) {
  upsertCustomers(inputs: $inputs, onError: $onError) {
    results { customer { id name externalId version parent { externalId } } errors { code field message } }
    errors { code } } }"""
ONE = """mutation ($input: UpsertCustomerInput!) { upsertCustomer(input: $input) {
  customer { id name externalId version } errors { code field message } } }"""
DEAL = """mutation ($input: CreateOpportunityInput!) { createOpportunity(input: $input) {
  opportunity { customer { externalId } } errors { code field message } } }"""
DELETE = """mutation ($inputs: [DeleteCustomerInput!]!) { deleteCustomers(inputs: $inputs) {
  results { errors { code field } } } }"""


async def upsert(graph: Graph, *inputs: dict[str, Any], **more: Any) -> Any:
    return (await graph.data(MANY, {"inputs": inputs, **more}))["upsertCustomers"]


async def test_the_same_batch_twice_makes_and_then_changes(graph: Graph) -> None:
    inputs = [{"id": f"externalId:erp-{number}", "name": f"Upsert {number}"} for number in range(30)]
    made = await upsert(graph, *inputs)
    assert {each["customer"]["version"] for each in made["results"]} == {1}
    assert [each["customer"]["externalId"] for each in made["results"]] == [f"erp-{number}" for number in range(30)]
    again = await upsert(graph, *[{**each, "name": f"{each['name']} again"} for each in inputs])
    assert [each["customer"]["id"] for each in again["results"]] == [each["customer"]["id"] for each in made["results"]]
    assert {each["customer"]["version"] for each in again["results"]} == {2}
    few = graph.statements
    await upsert(graph, *[{**each, "name": f"{each['name']} more"} for each in inputs[:2]])
    assert graph.statements <= few


async def test_records_are_pointed_to_by_what_no_two_have(graph: Graph) -> None:
    await upsert(graph, {"id": "externalId:mother", "name": "Mother"})
    made = await upsert(graph, {"id": "externalId:child", "name": "Child", "parentId": "externalId:mother"})
    assert made["results"][0]["customer"]["parent"] == {"externalId": "mother"}
    deal = (await graph.data(DEAL, {"input": {"name": "Deal", "customerId": "externalId:mother"}}))["createOpportunity"]
    assert deal["opportunity"] == {"customer": {"externalId": "mother"}}
    deal = (await graph.data(DEAL, {"input": {"name": "Deal", "customerId": "externalId:none"}}))["createOpportunity"]
    assert deal["errors"] == [{"code": "NOT_FOUND", "field": ["customerId"], "message": "There is no such customer."}]
    gone = (await graph.data(DELETE, {"inputs": [{"id": "externalId:child"}]}))["deleteCustomers"]
    assert gone["results"] == [{"errors": []}]


async def test_a_new_record_needs_what_new_records_need(graph: Graph) -> None:
    found = (await graph.data(ONE, {"input": {"id": "externalId:nameless", "city": "Köln"}}))["upsertCustomer"]
    assert found["errors"] == [{"code": "REQUIRED", "field": ["name"], "message": "`name` must have a value."}]


async def test_two_inputs_about_one_record(graph: Graph) -> None:
    made = await upsert(graph, {"id": "externalId:one", "name": "One"})
    id_ = made["results"][0]["customer"]["id"]
    both = [{"id": "externalId:one", "name": "A"}, {"id": id_, "name": "B"}]
    found = await upsert(graph, *both, onError="REJECT_FAILED")
    assert [[each["code"] for each in result["errors"]] for result in found["results"]] == [[], ["INVALID"]]
    new = [{"id": "externalId:two", "name": "A"}, {"id": "externalId:two", "name": "B"}]
    found = await upsert(graph, *new, onError="REJECT_FAILED")
    assert [[each["code"] for each in result["errors"]] for result in found["results"]] == [[], ["INVALID"]]


async def test_another_name_than_that_in_the_id(graph: Graph) -> None:
    input_ = {"id": "externalId:one", "externalId": "two", "name": "One"}
    found = (await graph.data(ONE, {"input": input_}))["upsertCustomer"]
    assert [(each["code"], each["field"]) for each in found["errors"]] == [("INVALID", ["externalId"])]


@pytest.mark.parametrize(
    "id_", ["", "externalId:", "externalId: ", "externalId:\t\u3000", "name:Zebra", "nonsense", "opp_00", "industry:x"]
)
async def test_what_names_nothing(graph: Graph, id_: str) -> None:
    found = (await graph.data(ONE, {"input": {"id": id_, "name": "One"}}))["upsertCustomer"]
    message = "`id` is not the id of a customer, nor `externalId:...`."
    assert found["errors"] == [{"code": "NOT_FOUND", "field": ["id"], "message": message}]


async def test_a_value_that_is_hidden_names_nothing(graph: Graph) -> None:
    """Else whoever may not read it would learn which values there are."""
    await upsert(graph, {"id": "externalId:secret", "name": "One"})
    claims = await somebody(graph, {"Customer": {**ALL, "fields": {"externalId": ["NONE ALL"]}}})
    data = await graph.data(ONE, {"input": {"id": "externalId:secret", "name": "Two"}}, claims=claims)
    assert [(each["code"], each["field"]) for each in data["upsertCustomer"]["errors"]] == [("FORBIDDEN", ["id"])]


TICKET = """mutation ($input: UpsertTicketInput!) { upsertTicket(input: $input) {
  ticket { id number subject } errors { code field message } } }"""


async def test_a_name_that_new_records_do_not_take_makes_none(graph: Graph) -> None:
    before = (await graph.rows("SELECT count(*) FROM ticket"))[0][0]
    input_ = {"id": "number:T-900000", "subject": "New"}
    found = (await graph.data(TICKET, {"input": input_}))["upsertTicket"]
    message = (
        "There is no such ticket, and a new one cannot be made by this name: only by an id made by the client or"
        " `externalId:...`."
    )
    assert found == {"ticket": None, "errors": [{"code": "INVALID", "field": ["id"], "message": message}]}
    assert (await graph.rows("SELECT count(*) FROM ticket"))[0][0] == before
    made = (await graph.data(TICKET, {"input": {**input_, "id": "externalId:t-1"}}))["upsertTicket"]["ticket"]
    input_ = {"id": f"number:{made['number']}", "subject": "Changed"}
    assert (await graph.data(TICKET, {"input": input_}))["upsertTicket"]["ticket"] == {**made, "subject": "Changed"}


def test_what_names_a_new_record_is_what_a_new_record_takes(schema: BuiltSchema) -> None:
    for name, record in schema.registry.records.items():
        upsert = schema.core.type_map.get(f"Upsert{name}Input")
        if not isinstance(upsert, GraphQLInputObjectType):
            continue
        create = schema.core.type_map[f"Create{name}Input"]
        assert isinstance(create, GraphQLInputObjectType)
        assert record.new_keys == record.keys.keys() & create.fields.keys()
        described = upsert.fields["id"].description or ""
        for key in record.keys:
            assert (f"or `{key}:...` of one that is there" in described) == (key not in record.new_keys)


async def test_a_name_is_as_long_as_its_value_may_be(graph: Graph) -> None:
    longest = "x" * 500
    for version in (1, 2):
        input_ = {"id": f"externalId:{longest}", "name": f"Long {version}"}
        found = (await graph.data(ONE, {"input": input_}))["upsertCustomer"]
        assert found["customer"]["externalId"] == longest
        assert found["customer"]["version"] == version
    found = (await graph.data(ONE, {"input": {"id": f"externalId:{longest}x", "name": "Long"}}))["upsertCustomer"]
    assert [(each["code"], each["field"]) for each in found["errors"]] == [("INVALID", ["externalId"])]


async def test_what_was_deleted_is_told_by_its_id(graph: Graph) -> None:
    made = await upsert(graph, {"id": "externalId:one", "name": "One"}, {"id": "externalId:two", "name": "Two"})
    one, two = (each["customer"]["id"] for each in made["results"])
    source = "mutation ($input: DeleteCustomerInput!) { deleteCustomer(input: $input) { deletedId } }"
    assert await graph.data(source, {"input": {"id": "externalId:one"}}) == {"deleteCustomer": {"deletedId": one}}
    source = (
        "mutation ($inputs: [DeleteCustomerInput!]!) { deleteCustomers(inputs: $inputs) { results { deletedId } } }"
    )
    found = await graph.data(source, {"inputs": [{"id": "externalId:two"}]})
    assert found == {"deleteCustomers": {"results": [{"deletedId": two}]}}


async def test_a_field_that_may_not_be_written_is_named(graph: Graph) -> None:
    await upsert(graph, {"id": "externalId:one", "name": "One"})
    owner = (await graph.data("{ members(first: 1) { nodes { id } } }"))["members"]["nodes"][0]["id"]
    fields = {"owner": ["READ ALL"], "city": ["READ ALL"]}
    claims = await somebody(graph, {"Customer": {**ALL, "fields": fields}, "Member": {"read": "ALL"}})
    inputs = [
        {"id": "externalId:one", "name": "Two"},
        {"id": "externalId:two", "name": "Two", "city": "Köln"},
        {"id": "externalId:three", "name": "Three", "ownerId": owner},
    ]
    data = await graph.data(MANY, {"inputs": inputs, "onError": "REJECT_FAILED"}, claims=claims)
    assert [
        [(each["code"], each["field"]) for each in result["errors"]] for result in data["upsertCustomers"]["results"]
    ] == [
        [],
        [("FORBIDDEN", ["city"])],
        [("FORBIDDEN", ["ownerId"])],
    ]


async def test_members_are_named_by_their_addresses_in_any_case(graph: Graph) -> None:
    email, id_ = next(
        iter(await graph.rows("SELECT email, id FROM member WHERE status = 'ACTIVE' ORDER BY id LIMIT 1"))
    )
    source = "mutation ($input: UpsertCustomerInput!) { upsertCustomer(input: $input) { customer { owner { id } } } }"
    input_ = {"id": "externalId:owned", "name": "Owned", "ownerId": f"email:{email.upper()}"}
    found = (await graph.data(source, {"input": input_}))["upsertCustomer"]
    assert found == {"customer": {"owner": {"id": encode_id("mem", id_)}}}
