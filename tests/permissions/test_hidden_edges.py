"""What is beyond an edge that may not be seen, or beside a field that is hidden, shows through no other door."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import pytest

from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.sales.opportunities.graph import Opportunity
from crm_graph.domains.service.tickets.graph import Ticket
from crm_graph.domains.workspace.members.graph import Member, Team
from crm_graph.identity.tokens import Claims
from tests.permissions.oracle.roles import install_roles
from tests.support.graph import Graph

_NUMBERS = itertools.count()
ALL = {"read": "ALL", "create": "ALL", "update": "ALL", "delete": "ALL"}


async def somebody(graph: Graph, *roles: Mapping[str, Any]) -> Claims:
    """Return the claims of a member who has just these roles."""
    claims = await graph.claims("sales_rep")
    named = {f"tried_{next(_NUMBERS)}": role for role in roles}
    await install_roles(graph, claims.workspace_id, named)
    await graph.rows("DELETE FROM member_role WHERE member_id = $1", claims.member_id)
    for name in named:
        insert = "INSERT INTO member_role (workspace_id, member_id, role) VALUES ($1, $2, $3)"
        await graph.rows(insert, claims.workspace_id, claims.member_id, name)
    return claims


@pytest.mark.parametrize("executor", ["planned", "reference"])
async def test_who_may_not_see_the_customer_of_a_deal_does_not_find_it_at_the_customer(
    graph: Graph, executor: str
) -> None:
    graph.use(executor)
    source = "{ customers { nodes { opportunities { totalCount nodes { name } } } } }"
    claims = await somebody(graph, {"Customer": ALL, "Opportunity": ALL})
    shown = (await graph.data(source, claims=claims))["customers"]["nodes"]
    assert sum(each["opportunities"]["totalCount"] for each in shown) > 0
    hidden = {"Customer": ALL, "Opportunity": {**ALL, "fields": {"customer": ["NONE ALL"]}}}
    claims = await somebody(graph, hidden)
    body = await graph.execute(source, claims=claims)
    assert {repr(each["opportunities"]) for each in body["data"]["customers"]["nodes"]} == {
        repr({"totalCount": 0, "nodes": []})
    }
    assert body["extensions"]["withheld"] == ["Opportunity.customer"]
    across = "{ customers(where: {opportunities: {some: {}}}) { totalCount } }"
    assert (await graph.error(across, claims=claims))["extensions"]["code"] == "FORBIDDEN"


async def test_only_the_deals_whose_customer_may_be_seen_are_at_the_customer(graph: Graph) -> None:
    own = {"Customer": ALL, "Opportunity": {**ALL, "fields": {"customer": ["READ OWN"]}}}
    claims = await somebody(graph, own)
    source = "{ customers(first: 200) { nodes { opportunities { totalCount } } } }"
    nodes = (await graph.data(source, claims=claims))["customers"]["nodes"]
    mine = await graph.value("SELECT count(*) FROM opportunity WHERE owner_id = $1", claims.member_id)
    assert sum(each["opportunities"]["totalCount"] for each in nodes) == mine > 0


async def test_a_record_that_may_not_be_seen_is_told_by_no_key(graph: Graph) -> None:
    """Not by filtering for its id, or for any, nor by a group of its own."""
    claims = await somebody(graph, {"Order": ALL, "Opportunity": {"read": "OWN"}})
    await graph.rows("UPDATE opportunity SET owner_id = NULL WHERE workspace_id = $1", claims.workspace_id)
    seen = await graph.value(
        "SELECT opportunity_id FROM sales_order WHERE workspace_id = $1 AND opportunity_id IS NOT NULL LIMIT 1",
        claims.workspace_id,
    )
    source = """query($id: ID!) {
        by: orders(where: {opportunityId: {eq: $id}}) { totalCount }
        any: orders(where: {opportunityId: {isNull: false}}) { totalCount }
        not: orders(where: {not: {opportunityId: {ne: $id}}}) { totalCount }
        groups: ordersAggregate(groupBy: [{field: OPPORTUNITY}]) { groups { key { opportunity { id } } count } }
    }"""
    data = await graph.data(source, {"id": f"opp_{seen}"}, claims=claims)
    assert [data[each]["totalCount"] for each in ("by", "any", "not")] == [0, 0, 0]
    total = await graph.value("SELECT count(*) FROM sales_order WHERE workspace_id = $1", claims.workspace_id)
    assert data["groups"]["groups"] == [{"key": {"opportunity": None}, "count": total}]
    await graph.rows("UPDATE opportunity SET owner_id = $2 WHERE id = $1", seen, claims.member_id)
    data = await graph.data(source, {"id": f"opp_{seen}"}, claims=claims)
    assert all(data[each]["totalCount"] > 0 for each in ("by", "any", "not"))
    assert data["groups"]["groups"][0]["key"] == {"opportunity": {"id": f"opp_{seen}"}}


async def test_a_currency_does_not_tell_that_there_is_a_hidden_amount(graph: Graph) -> None:
    claims = await somebody(graph, {"Campaign": {**ALL, "fields": {"cost": ["NONE ALL"]}}})
    only_cost = "UPDATE campaign SET budget = NULL, cost = 5, currency = 'CNY' WHERE workspace_id = $1"
    await graph.rows(only_cost, claims.workspace_id)
    source = """{
        some: campaigns(where: {currency: {isNull: false}}) { totalCount }
        groups: campaignsAggregate(groupBy: [{field: CURRENCY}]) { groups { key { currency } } }
    }"""
    data = await graph.data(source, claims=claims)
    assert data == {"some": {"totalCount": 0}, "groups": {"groups": [{"key": {"currency": None}}]}}


async def test_a_masked_amount_has_its_currency(graph: Graph) -> None:
    claims = await somebody(graph, {"Opportunity": {**ALL, "fields": {"amount": ["MASKED ALL"]}}})
    id_ = await graph.id_of(Opportunity)
    await graph.rows("UPDATE opportunity SET amount = 12345, currency = 'EUR' WHERE id = $1", id_[4:])
    source = "query($id: ID!) { opportunity(id: $id) { amount { amount currency } } }"
    data = await graph.data(source, {"id": id_}, claims=claims)
    assert data == {"opportunity": {"amount": {"amount": "10000", "currency": "EUR"}}}


async def test_an_edge_to_what_is_never_seen_is_joined_to_nothing(graph: Graph) -> None:
    """Where the edge itself is shown on some rows only, which takes a column that the joined record does not need."""
    claims = await somebody(graph, {"Opportunity": {**ALL, "fields": {"owner": ["READ TEAM"]}}})
    source = "{ opportunities(orderBy: [{field: CREATED_AT}]) { nodes { name owner { name } customer { name } } } }"
    nodes = (await graph.data(source, claims=claims))["opportunities"]["nodes"]
    assert nodes
    assert {repr(each["owner"]) for each in nodes} == {"None"}


async def test_nobody_writes_a_field_of_a_record_without_owner_by_a_grant_on_their_own(graph: Graph) -> None:
    changes, writes = {**ALL, "default": "READ"}, {"read": "ALL", "update": "TEAM", "fields": {"name": ["WRITE ALL"]}}
    claims = await somebody(graph, {"Customer": changes}, {"Customer": writes})
    id_ = await graph.id_of(Customer)
    await graph.rows("UPDATE customer SET owner_id = NULL, name = 'Before' WHERE id = $1", id_[4:])
    source = "mutation($input: UpdateCustomerInput!) { updateCustomer(input: $input) { errors { code field } } }"
    data = await graph.data(source, {"input": {"id": id_, "name": "After"}}, claims=claims)
    assert data["updateCustomer"]["errors"] == [{"code": "FORBIDDEN", "field": ["name"]}]
    assert await graph.value("SELECT name FROM customer WHERE id = $1", id_[4:]) == "Before"
    await graph.rows("UPDATE customer SET owner_id = $2 WHERE id = $1", id_[4:], claims.member_id)
    data = await graph.data(source, {"input": {"id": id_, "name": "After"}}, claims=claims)
    assert data["updateCustomer"]["errors"] == []


async def test_suspending_is_a_verb_of_its_own(graph: Graph) -> None:
    claims = await somebody(graph, {"Member": {**ALL, "suspend": "NONE"}})
    other = await graph.id_of(Member, f"id <> '{claims.member_id}'")
    source = "mutation($id: ID!) { suspendMember(input: {id: $id}) { member { id } } }"
    assert (await graph.error(source, {"id": other}, claims=claims))["extensions"]["code"] == "FORBIDDEN"


async def test_a_ticket_moves_to_another_queue(graph: Graph) -> None:
    ticket, team = await graph.id_of(Ticket), await graph.id_of(Team)
    source = "mutation($input: UpdateTicketInput!) { updateTicket(input: $input) { ticket { queue { id } } } }"
    data = await graph.data(source, {"input": {"id": ticket, "queueId": team}})
    assert data == {"updateTicket": {"ticket": {"queue": {"id": team}}}}


async def test_a_built_in_role_is_redefined_without_a_description(graph: Graph) -> None:
    grants = [{"type": "Customer", "verbs": [{"verb": "read", "scope": "ALL"}]}]
    source = "mutation($input: UpdateRoleInput!) { updateRole(input: $input) { role { name } errors { code } } }"
    data = await graph.data(source, {"input": {"name": "sales_rep", "grants": grants}})
    assert data == {"updateRole": {"role": {"name": "sales_rep"}, "errors": []}}


async def test_a_part_may_be_seen_whose_whole_may_not(graph: Graph) -> None:
    claims = await somebody(graph, {"ApiKey": ALL, "OrderLine": ALL})
    source = 'mutation { createApiClient(input: {name: "shop"}) { apiClient { id } } }'
    made = await graph.data(source)
    key = """INSERT INTO api_key (workspace_id, id, version, created_at, updated_at, client_id, name, prefix, sha256)
        VALUES ($1, $2, 1, now(), now(), $2, 'key', 'crmk_', 'x')"""
    await graph.rows(key, claims.workspace_id, made["createApiClient"]["apiClient"]["id"][4:])
    source = "{ apiKeys { nodes { name client { name } } } }"
    data = await graph.data(source, claims=claims)
    assert data == {"apiKeys": {"nodes": [{"name": "key", "client": None}]}}
