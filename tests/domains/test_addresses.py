"""E-mail and web addresses of customers and contacts: what a frontend may link to, at every door."""

from __future__ import annotations

import pytest

from crm_graph.domains.customers.contacts.graph import Contact
from crm_graph.domains.customers.customers.graph import Customer
from tests.support.graph import Graph

BAD = {
    "no address": ("email", "not an email"),
    "two addresses": ("email", "a@example.com, b@example.com"),
    "a script": ("website", "javascript:alert(1)"),
    "data": ("website", "data:text/html,x"),
    "no host": ("website", "https://"),
    "no scheme": ("website", "example.com"),
    "a blank": ("website", "https://exa mple.com"),
    "a port that is none": ("website", "https://example.com:99999"),
}
GOOD = ("https://example.com", "http://例子.example/产品?a=b#c", "https://example.com:8443/x")
UPDATE = "mutation ($input: UpdateCustomerInput!) { updateCustomer(input: $input) { errors { code field message } } }"
CREATE = """mutation ($inputs: [CreateCustomerInput!]!) {
    createCustomers(inputs: $inputs) { results { errors { code field } } } }"""


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_address_is_refused(graph: Graph, case: str) -> None:
    field, value = BAD[case]
    id_ = await graph.id_of(Customer)
    (error,) = (await graph.data(UPDATE, {"input": {"id": id_, field: value}}))["updateCustomer"]["errors"]
    assert (error["code"], error["field"]) == ("INVALID", [field])
    data = await graph.data(CREATE, {"inputs": [{"name": "New", field: value}]})
    (result,) = data["createCustomers"]["results"]
    assert [(each["code"], each["field"][-1]) for each in result["errors"]] == [("INVALID", field)]


@pytest.mark.parametrize("value", GOOD)
async def test_a_good_one_is_taken(graph: Graph, value: str) -> None:
    id_ = await graph.id_of(Customer)
    data = await graph.data(UPDATE, {"input": {"id": id_, "website": value}})
    assert data["updateCustomer"]["errors"] == []


async def test_what_was_stored_before_stays(graph: Graph) -> None:
    """A rule is asked of what is written: an old row can still be changed elsewhere."""
    id_ = await graph.id_of(Customer)
    await graph.rows("UPDATE customer SET website = 'javascript:1' WHERE id = $1", id_[4:])
    data = await graph.data(UPDATE, {"input": {"id": id_, "city": "Berlin"}})
    assert data["updateCustomer"]["errors"] == []


async def test_contacts_too(graph: Graph) -> None:
    source = "mutation ($input: UpdateContactInput!) { updateContact(input: $input) { errors { code field } } }"
    data = await graph.data(source, {"input": {"id": await graph.id_of(Contact), "email": "ada at example.com"}})
    assert data["updateContact"]["errors"] == [{"code": "INVALID", "field": ["email"]}]
