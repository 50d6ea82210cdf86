"""Roles of a workspace: defined, in force with the next request, checked, audited, and never a way to more rights."""

from __future__ import annotations

import json
from typing import Any

import pytest

from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.sales.opportunities.graph import Opportunity
from crm_graph.domains.workspace.members.graph import Member
from crm_graph.identity.tokens import Claims
from tests.support.graph import Graph

CREATE = """mutation ($input: CreateRoleInput!) { createRole(input: $input) {
    role { name builtIn customised version grants {
        type default verbs { verb scope } fields { field level scope verbs audited } } }
    errors { code message field } } }"""
UPDATE = """mutation ($input: UpdateRoleInput!) { updateRole(input: $input) {
    role { name customised version description } errors { code field } } }"""
DELETE = "mutation ($input: DeleteRoleInput!) { deleteRole(input: $input) { deletedId errors { code field } } }"
SET = "mutation ($input: SetMemberRolesInput!) { setMemberRoles(input: $input) { errors { code message field } } }"
JUNIOR: dict[str, Any] = {
    "name": "junior",
    "description": "Learns to sell.",
    "grants": [
        {
            "type": "Opportunity",
            "verbs": [
                {"verb": "read", "scope": "TEAM"},
                {"verb": "update", "scope": "TEAM"},
                {"verb": "create", "scope": "OWN"},
            ],
            "default": "WRITE",
            "fields": [
                {"field": "amount", "level": "WRITE", "scope": "OWN", "verbs": ["create"]},
                {"field": "nextStep", "level": "WRITE", "scope": "OWN"},
                {"field": "nextStep", "level": "READ"},
                {"field": "source", "level": "NONE"},
            ],
        },
        {"type": "Stage", "verbs": [{"verb": "read", "scope": "ALL"}]},
        {"type": "Pipeline", "verbs": [{"verb": "read", "scope": "ALL"}]},
        {
            "type": "Member",
            "verbs": [{"verb": "read", "scope": "ALL"}],
            "fields": [{"field": "email", "level": "MASKED"}],
        },
    ],
}


async def make(graph: Graph, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = (await graph.data(CREATE, {"input": {**JUNIOR, **changes}}))["createRole"]
    return found


async def become(graph: Graph, *roles: str) -> Claims:
    """Give the sales representative these roles instead, and return their claims."""
    claims = await graph.claims("sales_rep")
    id_ = await graph.id_of(Member, f"id = '{claims.member_id}'")
    done = await graph.data(SET, {"input": {"id": id_, "roles": list(roles)}})
    assert done["setMemberRoles"]["errors"] == []
    return claims


def mates(claims: Claims) -> str:
    """Return the SQL of the members of the same team."""
    return f"(SELECT id FROM member WHERE team_id = (SELECT team_id FROM member WHERE id = '{claims.member_id}'))"


async def test_a_role_is_defined_and_in_force_with_the_next_request(graph: Graph) -> None:
    made = await make(graph)
    assert made["errors"] == []
    assert made["role"]["version"] == 1
    assert (made["role"]["builtIn"], made["role"]["customised"]) == (False, True)
    amount = next(each for each in made["role"]["grants"] if each["type"] == "Opportunity")["fields"][0]
    assert amount == {"field": "amount", "level": "WRITE", "scope": "OWN", "verbs": ["create"], "audited": False}
    claims = await become(graph, "junior")
    body = await graph.execute(
        "{ viewer { roles } opportunities(first: 1) { totalCount nodes { source owner { email } } } }", claims=claims
    )
    assert body["data"]["viewer"]["roles"] == ["junior"]
    assert body["data"]["opportunities"]["totalCount"] > 0
    assert body["data"]["opportunities"]["nodes"][0]["source"] is None
    assert "***@" in body["data"]["opportunities"]["nodes"][0]["owner"]["email"]
    assert body["extensions"]["withheld"] == ["Member.email", "Opportunity.source"]
    assert await graph.data("{ customers { totalCount } }", claims=claims) == {"customers": {"totalCount": 0}}


async def test_a_change_is_in_force_with_the_next_request(graph: Graph) -> None:
    await make(graph)
    claims = await become(graph, "junior")
    ask = "{ opportunities(first: 1) { nodes { source name } } }"
    assert (await graph.execute(ask, claims=claims))["extensions"]["withheld"] == ["Opportunity.source"]
    grants = [{**JUNIOR["grants"][0], "fields": []}]
    changed = await graph.data(UPDATE, {"input": {"name": "junior", "ifVersion": 1, "grants": grants}})
    assert changed["updateRole"]["role"]["version"] == 2
    assert "extensions" not in await graph.execute(ask, claims=claims)
    events = await graph.rows("SELECT type, changes FROM event WHERE entity = 'Role' ORDER BY seq")
    assert [row["type"] for row in events] == ["RoleCreated", "RoleUpdated"]
    assert "source" in json.dumps(events[1]["changes"])


async def test_a_verb_has_several_scopes(graph: Graph) -> None:
    granted = [("read", "OWN"), ("read", "TEAM"), ("read", "ACCOUNT_TEAM"), ("update", "TEAM"), ("assign", "NONE")]
    verbs = [{"verb": verb, "scope": scope} for verb, scope in granted]
    made = await make(graph, grants=[{"type": "Customer", "verbs": verbs[:4]}, {"type": "Ticket", "verbs": verbs[4:]}])
    assert made["errors"] == []
    told = [(each["verb"], each["scope"]) for grant in made["role"]["grants"] for each in grant["verbs"]]
    assert sorted(told) == sorted(granted), "what is told can be sent back"
    claims = await become(graph, "junior")
    permissions = "{ viewer { permissions { type verbs { verb scopes } } } }"
    told = (await graph.data(permissions, claims=claims))["viewer"]["permissions"]
    customer = next(each for each in told if each["type"] == "Customer")
    scopes = {each["verb"]: each["scopes"] for each in customer["verbs"]}
    assert scopes["read"] == ["ACCOUNT_TEAM", "TEAM"], "own customers lie in both"
    teams = f"(owner_id IN {mates(claims)} OR owner_id = '{claims.member_id}')"
    of_account = f"id IN (SELECT customer_id FROM account_team_member WHERE member_id = '{claims.member_id}')"
    count = "SELECT count(*) FROM customer WHERE workspace_id = $1 AND "
    add = "mutation ($i: AddAccountTeamMemberInput!) { addAccountTeamMember(input: $i) { errors { code } } }"
    given = {
        "customerId": await graph.id_of(Customer, f"NOT ({teams}) AND NOT ({of_account})"),
        "memberId": await graph.id_of(Member, f"id = '{claims.member_id}'"),
    }
    assert (await graph.data(add, {"i": given}))["addAccountTeamMember"]["errors"] == []
    seen = (await graph.data("{ customers { totalCount } }", claims=claims))["customers"]["totalCount"]
    assert seen == await graph.value(f"{count} ({teams} OR {of_account})", claims.workspace_id)
    for alone in (teams, of_account):
        assert seen > await graph.value(f"{count} {alone}", claims.workspace_id) > 0


async def test_a_built_in_role_is_redefined_and_comes_back(graph: Graph) -> None:
    ask = "{ customers(first: 1) { totalCount } }"
    claims = await graph.claims("sales_rep")
    before = await graph.data(ask, claims=claims)
    grants = [{"type": "Customer", "verbs": [{"verb": "read", "scope": "OWN"}]}]
    done = await graph.data(UPDATE, {"input": {"name": "sales_rep", "grants": grants}})
    assert done["updateRole"]["role"] == {"name": "sales_rep", "customised": True, "version": 1, "description": None}
    assert (await graph.data(ask, claims=claims))["customers"]["totalCount"] < before["customers"]["totalCount"]
    assert (await graph.data(DELETE, {"input": {"name": "sales_rep"}}))["deleteRole"]["errors"] == []
    assert await graph.data(ask, claims=claims) == before


@pytest.mark.parametrize(
    ("grants", "path"),
    [
        ([{"type": "Nothing", "verbs": []}], ["grants", "Nothing"]),
        ([{"type": "Order", "verbs": [{"verb": "read", "scope": "QUEUE"}]}], ["grants", "Order", "read"]),
        ([{"type": "Order", "verbs": [{"verb": "fly", "scope": "ALL"}]}], ["grants", "Order", "fly"]),
        (
            [{"type": "Order", "verbs": [], "fields": [{"field": "secret", "level": "READ"}]}],
            ["grants", "Order", "fields", "secret"],
        ),
        (
            [{"type": "Opportunity", "verbs": [], "fields": [{"field": "version", "level": "NONE"}]}],
            ["grants", "Opportunity", "fields", "version"],
        ),
        (
            [{"type": "Order", "verbs": [], "fields": [{"field": "total", "level": "READ", "verbs": ["create"]}]}],
            ["grants", "Order", "fields", "total"],
        ),
    ],
)
async def test_grants_that_cannot_be_meant(graph: Graph, grants: list[Any], path: list[str]) -> None:
    made = await make(graph, grants=grants)
    assert made["role"] is None
    (error,) = made["errors"]
    assert (error["code"], error["field"]) == ("INVALID", path)
    assert await graph.value("SELECT count(*) FROM role") == 0


@pytest.mark.parametrize("name", ["", "Junior", "a b", "x" * 64, "1st", "admin", "sales_rep"])
async def test_names_that_no_role_has(graph: Graph, name: str) -> None:
    (error,) = (await make(graph, name=name))["errors"]
    assert error["field"] == ["name"]
    assert error["code"] == ("TAKEN" if name in {"admin", "sales_rep"} else "INVALID")


async def test_admin_cannot_be_redefined_nor_a_held_role_deleted(graph: Graph) -> None:
    done = await graph.data(UPDATE, {"input": {"name": "admin", "grants": []}})
    assert done["updateRole"]["errors"] == [{"code": "INVALID", "field": ["name"]}]
    await make(graph)
    await become(graph, "junior")
    done = await graph.data(DELETE, {"input": {"name": "junior"}})
    assert done["deleteRole"]["errors"] == [{"code": "IN_USE", "field": ["name"]}]
    done = await graph.data(UPDATE, {"input": {"name": "junior", "ifVersion": 7, "description": "x"}})
    assert done["updateRole"]["errors"] == [{"code": "CONFLICT", "field": ["ifVersion"]}]


async def test_only_administrators_see_and_change_roles(graph: Graph) -> None:
    """Also not whoever is granted every verb on Role: that would be to be an administrator."""
    verbs = [{"verb": verb, "scope": "ALL"} for verb in ("read", "create", "update", "delete")]
    await make(graph, grants=[{"type": "Role", "verbs": verbs}])
    claims = await become(graph, "junior")
    for document, variables in (
        (CREATE, {"input": {**JUNIOR, "name": "mine"}}),
        (DELETE, {"input": {"name": "junior"}}),
    ):
        assert (await graph.error(document, variables, claims=claims))["extensions"]["code"] == "FORBIDDEN"
    assert (await graph.error("{ roles { name } }", role="marketer"))["extensions"]["code"] == "FORBIDDEN"
    assert await graph.value("SELECT count(*) FROM role") == 1


async def test_nobody_gives_roles_that_they_do_not_have(graph: Graph) -> None:
    verbs = [{"verb": verb, "scope": "ALL"} for verb in ("read", "create", "update", "setRoles")]
    await make(graph, grants=[{"type": "Member", "verbs": verbs, "default": "WRITE"}])
    claims = await become(graph, "junior")
    mine = await graph.id_of(Member, f"id = '{claims.member_id}'")
    refused = await graph.data(SET, {"input": {"id": mine, "roles": ["junior", "admin"]}}, claims=claims)
    assert [error["code"] for error in refused["setMemberRoles"]["errors"]] == ["FORBIDDEN"]
    create = "mutation ($i: CreateMemberInput!) { createMember(input: $i) { errors { code field } } }"
    friend = {"name": "Friend", "email": "friend@example.com", "roles": ["admin"]}
    refused = await graph.data(create, {"i": friend}, claims=claims)
    assert refused["createMember"]["errors"] == [{"code": "FORBIDDEN", "field": ["roles"]}]
    assert (await graph.data(create, {"i": {**friend, "roles": ["junior"]}}, claims=claims))["createMember"][
        "errors"
    ] == []
    # Without the verb itself, an update of members does not do.
    await graph.data(UPDATE, {"input": {"name": "junior", "grants": [{"type": "Member", "verbs": verbs[:3]}]}})
    error = await graph.error(SET, {"input": {"id": mine, "roles": ["junior"]}}, claims=claims)
    assert error["extensions"]["code"] == "FORBIDDEN"


async def test_fields_are_written_on_the_rows_of_their_scope_and_by_their_verbs(graph: Graph) -> None:
    await make(graph)
    claims = await become(graph, "junior")
    own = await graph.id_of(Opportunity, f"owner_id = '{claims.member_id}' AND status = 'OPEN'")
    others = await graph.value(
        "SELECT id FROM opportunity WHERE workspace_id = $1 AND owner_id <> $2"
        f" AND owner_id IN {mates(claims)} LIMIT 1",
        claims.workspace_id,
        claims.member_id,
    )
    update = "mutation ($i: UpdateOpportunityInput!) { updateOpportunity(input: $i) { errors { code field } } }"
    done = await graph.data(update, {"i": {"id": own, "nextStep": "call"}}, claims=claims)
    assert done["updateOpportunity"]["errors"] == []
    before = await graph.rows("SELECT * FROM opportunity WHERE id = $1", others)
    done = await graph.data(update, {"i": {"id": f"opp_{others}", "nextStep": "call", "name": "x"}}, claims=claims)
    assert done["updateOpportunity"]["errors"] == [{"code": "FORBIDDEN", "field": ["nextStep"]}]
    assert await graph.rows("SELECT * FROM opportunity WHERE id = $1", others) == before
    error = await graph.error(update, {"i": {"id": own, "amount": {"amount": "1", "currency": "USD"}}}, claims=claims)
    assert error["message"] == "Your roles do not allow to write Opportunity.amount."
    create = """mutation ($i: CreateOpportunityInput!) { createOpportunity(input: $i) {
        opportunity { amount { amount } } errors { code } } }"""
    made = await graph.data(create, {"i": {"name": "New", "amount": {"amount": "5", "currency": "USD"}}}, claims=claims)
    assert made["createOpportunity"] == {"opportunity": {"amount": {"amount": "5"}}, "errors": []}


async def test_what_the_viewer_may_do(graph: Graph) -> None:
    await make(graph)
    claims = await become(graph, "junior")
    ask = "{ viewer { permissions { type verbs { verb scopes } fields { field level partial writableBy } } } }"
    found = {each["type"]: each for each in (await graph.data(ask, claims=claims))["viewer"]["permissions"]}
    assert found.keys() == {"Member", "Opportunity", "OpportunityLine", "Pipeline", "Stage", "StageMove"}
    verbs = {each["verb"]: each["scopes"] for each in found["Opportunity"]["verbs"]}
    assert verbs == {"read": ["TEAM"], "create": ["OWN"], "update": ["TEAM"], "move": ["TEAM"]}
    fields = {each["field"]: each for each in found["Opportunity"]["fields"]}
    assert "source" not in fields
    assert fields["amount"] == {"field": "amount", "level": "WRITE", "partial": True, "writableBy": ["create"]}


async def test_why_somebody_sees_what_they_see(graph: Graph) -> None:
    ask = """query ($id: ID!, $field: String, $member: ID) { explainAccess(id: $id, field: $field, memberId: $member) {
        type visible level summary member { id } rules { role grant holds } } }"""
    claims = await graph.claims("sales_rep")
    rep = await graph.id_of(Member, f"id = '{claims.member_id}'")
    own = await graph.id_of(Customer, f"owner_id = '{claims.member_id}'")
    found = (await graph.data(ask, {"id": own, "field": "phone"}, claims=claims))["explainAccess"]
    assert (found["visible"], found["level"]) == (True, "WRITE")
    assert found["summary"] == "The member has WRITE on Customer.phone of this record by the role sales_rep."
    assert {(each["grant"], each["holds"]) for each in found["rules"]} == {
        ("read ACCOUNT_TEAM", True),
        ("read OWN", True),
        ("read TEAM", True),
        ("phone: WRITE ALL", True),
    }
    others = await graph.id_of(
        Customer,
        f"owner_id NOT IN {mates(claims)}",
    )
    analyst = await graph.id_of(Member, f"id = '{(await graph.claims('analyst')).member_id}'")
    found = (await graph.data(ask, {"id": others, "field": "phone", "member": analyst}))["explainAccess"]
    assert (found["level"], found["member"]) == ("MASKED", {"id": analyst})
    error = await graph.error(ask, {"id": others, "member": rep}, role="marketer")
    assert error["extensions"]["code"] == "FORBIDDEN"
    unseen = await graph.id_of(
        Opportunity,
        f"owner_id NOT IN {mates(claims)}",
    )
    unknown = f"opp_{'0' * 32}"
    for id_ in (unseen, unknown, "nonsense"):
        assert await graph.data(ask, {"id": id_}, claims=claims) == {"explainAccess": None}
    found = (await graph.data(ask, {"id": unseen, "field": "amount", "member": rep}))["explainAccess"]
    assert (found["visible"], found["level"]) == (False, "NONE")
    assert found["summary"] == "The member does not see this Opportunity: no role grants to read it."
