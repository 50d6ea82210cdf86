"""What nobody may set by sending it: not in the schema, or set exactly as the role says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from graphql import GraphQLInputObjectType, get_named_type

from tests.permissions.tables.actions import WRITES, input_of, mutation, prepare
from tests.permissions.tables.table import Table, Write
from tests.permissions.world import World

SENSITIVE = (
    *("id", "workspaceId", "workspace", "version", "createdAt", "updatedAt", "ownerId", "owner", "assigneeId"),
    *("role", "roles", "status", "total", "subtotal", "amountTotal", "authorId", "memberId", "managerId", "teamId"),
    *("approvedById", "approvedAt", "submittedAt", "closedAt", "closedOn", "openedOn", "stageSince", "pipelineId"),
    *("number", "lifecycleSince", "directoryVersion", "passwordHash", "totpSecret", "recordId", "isAdmin", "__proto__"),
)
ADDRESSING = frozenset({"id"})
"""Names the record that is changed, or is the id of a new one (`test_foreign_ids`)."""
IN_THE_SCHEMA: dict[str, set[str]] = {
    "createMember": {"roles", "teamId", "managerId"},
    "updateMember": {"teamId", "managerId"},
    "setMemberRoles": {"roles"},
    "inviteMember": {"roles", "teamId", "managerId"},
    "createTeam": {"managerId"},
    "updateTeam": {"managerId"},
    "removeSecondFactorOfMember": {"memberId"},
    "revokeSessionsOfMember": {"memberId"},
    "createCustomer": {"ownerId"},
    "updateCustomer": {"ownerId"},
    "createApiClient": {"roles"},
    "updateApiClient": {"roles"},
    "createWebhookEndpoint": {"roles"},
    "updateWebhookEndpoint": {"roles", "status"},
    "linkMemberIdentity": {"memberId"},
    "addAccountTeamMember": {"memberId"},
    "createStage": {"pipelineId"},
    "createOpportunity": {"ownerId"},
    "updateOpportunity": {"ownerId"},
    "createOrder": {"ownerId", "number"},
    "createOrderFromOpportunity": {"number"},
    "updateOrder": {"ownerId", "number"},
    "createCampaign": {"ownerId", "teamId"},
    "updateCampaign": {"ownerId", "teamId"},
    "createTicket": {"assigneeId"},
    "assignTicket": {"assigneeId"},
    "setCampaignMemberStatus": {"status"},
}
"""What may be sent all the same. A name that comes to an input must come here, with a test of who may set it."""


@pytest.mark.parametrize(("table", "write"), WRITES, ids=lambda each: getattr(each, "name", ""))
async def test_what_is_in_no_input_cannot_be_sent(world: World, table: Table, write: Write) -> None:
    core = world.graph.schema.core
    assert core.mutation_type is not None
    type_ = get_named_type(core.mutation_type.fields[write.name].args["input"].type)
    assert isinstance(type_, GraphQLInputObjectType)
    known = {name for name in SENSITIVE if name in type_.fields} - ADDRESSING
    assert known == IN_THE_SCHEMA.get(write.name, set())
    await prepare(world, table, write)
    claims, base = await world.become("admin"), input_of(world, table, write, table.place)
    before, source = await world.digest(), mutation(world, write)
    for name in SENSITIVE:
        if name in type_.fields:
            continue
        body = await world.graph.execute(source, {"input": {**base, name: "x"}}, claims=claims)
        assert [error["extensions"]["code"] for error in body["errors"]] == ["BAD_USER_INPUT"]
        assert "data" not in body
        if not name.startswith("__"):
            literal = f'mutation {{ {write.name}(input: {{{name}: "x"}}) {{ __typename }} }}'
            body = await world.graph.execute(literal, claims=claims)
            assert {error["extensions"]["code"] for error in body["errors"]} == {"VALIDATION_FAILED"}
    assert await world.digest() == before


OWNED = {
    "createOpportunity": ("ownerId", "sales_rep", {"name": "x"}),
    "createOrder": ("ownerId", "sales_rep", {}),
}


@pytest.mark.parametrize("name", OWNED)
async def test_who_may_only_create_their_own_creates_for_nobody_else(world: World, name: str) -> None:
    field, role, given = OWNED[name]
    table, write = next(each for each in WRITES if each[1].name == name)
    source, claims = mutation(world, write), await world.become(role)
    for place in ("team", "outside"):
        before = await world.digest()
        sent = {**input_of(world, table, write, "own"), **given, field: world.id("Member", place)}
        body = await world.graph.execute(source, {"input": sent}, claims=claims)
        assert [error["extensions"]["code"] for error in body["errors"]] == ["FORBIDDEN"]
        assert body["data"] == {name: None}
        assert await world.digest() == before
    sent = {**input_of(world, table, write, "own"), **given, field: world.id("Member")}
    assert (await world.graph.data(source, {"input": sent}, claims=claims))[name]["errors"] == []


async def test_a_field_of_the_team_is_not_set_on_a_row_that_is_not_the_team_s(world: World) -> None:
    """Who writes revenue and phone of the team's customers does not write those of one made for another team."""
    of_team = ["WRITE TEAM", "MASKED ALL"]
    fields = {"phone": of_team, "annualRevenue": of_team}
    seller = {"read": "ALL", "create": "ALL", "update": "TEAM", "default": "WRITE", "fields": fields}
    await world.define("seller", {"Customer": seller, "Member": {"read": "ALL", "default": "READ"}})
    claims = await world.become("seller")
    for place in ("team", "outside"):
        await world.become("sales_rep", place=place)
    source = """mutation ($input: CreateCustomerInput!) {
      createCustomer(input: $input) { customer { id } errors { code field } } }"""
    for field, value in (("phone", "+1 2"), ("annualRevenue", {"amount": "1", "currency": "EUR"})):
        before = await world.digest()
        sent = {"name": "x", "ownerId": world.id("Member", "outside"), field: value}
        payload = (await world.graph.data(source, {"input": sent}, claims=claims))["createCustomer"]
        assert payload == {"customer": None, "errors": [{"code": "FORBIDDEN", "field": [field]}]}
        assert await world.digest() == before
        sent["ownerId"] = world.id("Member", "team")
        payload = (await world.graph.data(source, {"input": sent}, claims=claims))["createCustomer"]
        assert payload["errors"] == []


ROLES: dict[str, dict[str, Any]] = {
    "createMember": {"name": "x", "email": "x@new.example", "roles": ["admin"]},
    "inviteMember": {"name": "x", "email": "x@new.example", "roles": ["admin"]},
    "setMemberRoles": {"roles": ["admin"]},
    "createApiClient": {"name": "x", "roles": ["admin"]},
    "createWebhookEndpoint": {"url": "https://x.example", "eventTypes": ["CustomerCreated"], "roles": ["admin"]},
    "updateWebhookEndpoint": {"roles": ["admin"]},
}


@pytest.mark.parametrize("name", ROLES)
async def test_whoever_may_change_members_gives_no_rights_beyond_their_own(world: World, name: str) -> None:
    """A role that keeps the directory but may not give roles makes nobody an administrator, itself included."""
    whole = {"read": "ALL", "create": "ALL", "update": "ALL", "default": "WRITE"}
    grants = {"Member": {**whole, "setRoles": "NONE"}, "ApiClient": whole, "WebhookEndpoint": whole}
    await world.define("clerk", grants)
    claims = await world.become("clerk")
    table, write = next(each for each in WRITES if each[1].name == name)
    before = await world.digest()
    for place in ("own", "team"):
        sent = {**ROLES[name], **({} if write.verb == "create" else {"id": world.id(table.type, place)})}
        body = await world.graph.execute(mutation(world, write), {"input": sent}, claims=claims)
        refused = [error["extensions"]["code"] for error in body.get("errors", ())]
        refused += [error["code"] for error in ((body["data"] or {}).get(name) or {}).get("errors", ())]
        assert refused == ["FORBIDDEN"], json.dumps(body)
        assert await world.digest() == before
