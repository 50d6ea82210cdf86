"""Identity providers: who may do what with them, what cannot be configured, and where the secret is not."""

from __future__ import annotations

from typing import Any

import pytest

from crm_graph.domains.identity.providers.directory import find_provider, providers_for_sign_in
from crm_graph.domains.identity.providers.secret import open_secret
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.kernel.settings import Settings
from crm_graph.permissions.roles import BUILT_IN
from tests.support.graph import Graph
from tests.support.sign_on import CREATE, LINK, UPDATE

DELETE = """mutation ($input: DeleteIdentityProviderInput!) {
  deleteIdentityProvider(input: $input) { deletedId errors { code message field } }
}"""
UNLINK = """mutation ($input: UnlinkMemberIdentityInput!) {
  unlinkMemberIdentity(input: $input) { deletedId errors { code message field } }
}"""
READ = """query ($id: ID!, $link: ID!) {
  identityProvider(id: $id) { name issuer }
  node(id: $id) { id }
  memberIdentity(id: $link) { subject }
  identityProviders { totalCount nodes { name rules } }
  memberIdentities { totalCount }
}"""
UNSEEN = {
    "identityProvider": None,
    "node": None,
    "memberIdentity": None,
    "identityProviders": {"totalCount": 0, "nodes": []},
    "memberIdentities": {"totalCount": 0},
}
ISSUER = "https://accounts.acme.example"
SECRET = "hunter2-but-long"
GOOD = {"name": "Acme", "issuer": ISSUER, "clientId": "crm", "clientSecret": SECRET}
TABLES = ("identity_provider", "identity_provider_secret", "member_identity", "event")


async def make(graph: Graph, **values: Any) -> str:
    payload = (await graph.data(CREATE, {"input": {**GOOD, **values}}))["createIdentityProvider"]
    assert payload["errors"] == [], payload
    id_: str = payload["identityProvider"]["id"]
    return id_


async def link(graph: Graph, provider_id: str, subject: str = "s") -> str:
    member = f"mem_{(await graph.claims('analyst')).member_id}"
    given = {"providerId": provider_id, "subject": subject, "memberId": member}
    payload = (await graph.data(LINK, {"input": given}))["linkMemberIdentity"]
    assert payload["errors"] == [], payload
    id_: str = payload["memberIdentity"]["id"]
    return id_


async def counts(graph: Graph) -> list[int]:
    return [await graph.value(f"SELECT count(*) FROM {table}") for table in TABLES]


async def test_an_administrator_keeps_providers(graph: Graph) -> None:
    rule = {"claim": "groups", "operator": "CONTAINS", "value": "chiefs", "roles": ["admin"]}
    id_ = await make(graph, rules=[rule], emailDomains=["acme.example"])
    identity = await link(graph, id_)
    data = await graph.data(READ, {"id": id_, "link": identity})
    assert data == {
        "identityProvider": {"name": "Acme", "issuer": ISSUER},
        "node": {"id": id_},
        "memberIdentity": {"subject": "s"},
        "identityProviders": {"totalCount": 1, "nodes": [{"name": "Acme", "rules": [rule]}]},
        "memberIdentities": {"totalCount": 1},
    }
    changes = {"id": id_, "ifVersion": 1, "enabled": False, "clientSecret": None}
    payload = (await graph.data(UPDATE, {"input": changes}))["updateIdentityProvider"]
    assert payload == {"identityProvider": {"id": id_, "version": 2}, "errors": []}
    assert (await graph.data(UNLINK, {"input": {"id": identity}}))["unlinkMemberIdentity"]["errors"] == []
    await link(graph, id_)
    assert (await graph.data(DELETE, {"input": {"id": id_}}))["deleteIdentityProvider"]["deletedId"] == id_
    assert (await counts(graph))[:3] == [0, 0, 0]
    events = await graph.rows(
        "SELECT type FROM event WHERE entity IN ('IdentityProvider', 'MemberIdentity') ORDER BY seq"
    )
    assert [row["type"] for row in events] == [
        "IdentityProviderCreated",
        "IdentityProviderSecretChanged",
        "IdentityLinked",
        "IdentityProviderUpdated",
        "IdentityProviderSecretChanged",
        "IdentityUnlinked",
        "IdentityLinked",
        "IdentityUnlinked",
        "IdentityProviderDeleted",
    ]


async def test_the_secret_is_kept_sealed_and_told_to_nobody(graph: Graph) -> None:
    id_ = await make(graph)
    services = graph.engine.services
    provider = await find_provider(graph.database.primary_reader(), id_.removeprefix("idp_"))
    assert provider is not None
    assert provider.sealed_secret is not None
    assert open_secret(services, provider.workspace_id, provider.sealed_secret) == SECRET
    for table in ("identity_provider", "identity_provider_secret", "event"):
        text = str(await graph.rows(f"SELECT {table}::text FROM {table}"))
        assert SECRET not in text
        assert table == "identity_provider_secret" or provider.sealed_secret not in text
    printed = str(graph.schema.strawberry.as_str())
    assert "clientSecret" not in printed.partition("type IdentityProvider ")[2].partition("\n}")[0]
    await graph.data(UPDATE, {"input": {"id": id_, "clientSecret": "another one"}})
    changed = await find_provider(graph.database.primary_reader(), id_.removeprefix("idp_"))
    assert changed is not None
    assert open_secret(services, changed.workspace_id, changed.sealed_secret) == "another one"


@pytest.mark.parametrize("role", [role for role in BUILT_IN if role != "admin"])
async def test_nobody_else_sees_or_changes_them(graph: Graph, role: str) -> None:
    id_ = await make(graph)
    identity = await link(graph, id_)
    before = await counts(graph)
    assert (await graph.execute(READ, {"id": id_, "link": identity}, role=role))["data"] == UNSEEN
    member = f"mem_{(await graph.claims(role)).member_id}"
    for mutation, input_ in (
        (CREATE, {**GOOD, "name": "Mine"}),
        (UPDATE, {"id": id_, "defaultRoles": [role]}),
        (DELETE, {"id": id_}),
        (LINK, {"providerId": id_, "subject": "mine", "memberId": member}),
        (UNLINK, {"id": identity}),
    ):
        error = await graph.error(mutation, {"input": input_}, role=role)
        assert error["extensions"]["code"] == "FORBIDDEN"
    assert await counts(graph) == before


async def test_no_role_of_the_workspace_s_own_makes_one_an_administrator(graph: Graph) -> None:
    id_ = await make(graph)
    claims = await graph.claims("analyst")
    everything = {"read": "ALL", "create": "ALL", "update": "ALL", "delete": "ALL", "default": "WRITE"}
    grants = dict.fromkeys(("IdentityProvider", "MemberIdentity", "Member"), everything)
    await graph.rows(
        "INSERT INTO role (workspace_id, id, name, description, grants, version, created_at, updated_at)"
        " VALUES ($1, $2, 'keeper', '', $3, 1, now(), now())",
        claims.workspace_id,
        "0" * 31 + "1",
        grants,
    )
    await graph.rows(
        "INSERT INTO member_role (workspace_id, member_id, role) VALUES ($1, $2, 'keeper')",
        claims.workspace_id,
        claims.member_id,
    )
    assert (await graph.data("{ identityProviders { totalCount } }", claims=claims)) == {
        "identityProviders": {"totalCount": 1}
    }
    before = await counts(graph)
    admin = f"mem_{(await graph.claims('admin')).member_id}"
    for mutation, input_ in (
        (CREATE, {**GOOD, "name": "Mine"}),
        (UPDATE, {"id": id_, "emailDomains": ["example.com"]}),
        (LINK, {"providerId": id_, "subject": "mine", "memberId": admin}),
    ):
        error = await graph.error(mutation, {"input": input_}, claims=claims)
        assert error["extensions"]["code"] == "FORBIDDEN"
        assert error["message"] == "Only administrators configure identity providers: who does can sign in as anybody."
    assert await counts(graph) == before


async def test_another_workspace_s_administrator_sees_nothing(graph: Graph) -> None:
    id_ = await make(graph)
    identity = await link(graph, id_)
    before = await counts(graph)
    assert await graph.data(READ, {"id": id_, "link": identity}, workspace="other") == UNSEEN
    own = f"mem_{(await graph.claims('admin', 'other')).member_id}"
    for mutation, input_, field in (
        (UPDATE, {"id": id_, "name": "x"}, "id"),
        (DELETE, {"id": id_}, "id"),
        (UNLINK, {"id": identity}, "id"),
        (LINK, {"providerId": id_, "subject": "mine", "memberId": own}, "providerId"),
    ):
        (payload,) = (await graph.data(mutation, {"input": input_}, workspace="other")).values()
        assert [(each["code"], each["field"]) for each in payload["errors"]] == [("NOT_FOUND", [field])]
    assert await counts(graph) == before


RULE = {"claim": "groups", "operator": "CONTAINS", "value": "x", "roles": ["analyst"]}
REFUSED: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "a name in use": ({}, "TAKEN", ["name"]),
    "a blank name": ({"name": " "}, "INVALID", ["name"]),
    "an issuer over http": ({"issuer": "http://acme.example"}, "INVALID", ["issuer"]),
    "a scheme in capitals": ({"issuer": "HTTPS://acme.example"}, "INVALID", ["issuer"]),
    "an issuer with a query": ({"issuer": f"{ISSUER}/?a=b"}, "INVALID", ["issuer"]),
    "an issuer in capitals": ({"issuer": "https://Acme.example"}, "INVALID", ["issuer"]),
    "the address of the metadata": (
        {"issuer": f"{ISSUER}/.well-known/openid-configuration"},
        "INVALID",
        ["issuer"],
    ),
    "a file for an issuer": ({"issuer": "file:///etc/passwd"}, "INVALID", ["issuer"]),
    "an issuer that looks alike": ({"issuer": "https://аcme.example"}, "INVALID", ["issuer"]),
    "an issuer that cannot be decoded": ({"issuer": "https://xn--a"}, "INVALID", ["issuer"]),
    "a client id with a space": ({"clientId": "a b"}, "INVALID", ["clientId"]),
    "an empty secret": ({"clientSecret": ""}, "INVALID", ["clientSecret"]),
    "no openid": ({"scopes": ["email"]}, "INVALID", ["scopes"]),
    "a scope of two": ({"scopes": ["openid", "a b"]}, "INVALID", ["scopes"]),
    "tokens for anybody": ({"acceptTokens": True}, "REQUIRED", ["audiences"]),
    "ID tokens as access tokens": ({"acceptTokens": True, "audiences": ["crm"]}, "INVALID", ["audiences"]),
    "a domain with a star": ({"emailDomains": ["*.example"]}, "INVALID", ["emailDomains", "0"]),
    "a domain in capitals": ({"emailDomains": ["a.example", "B.example"]}, "INVALID", ["emailDomains", "1"]),
    "a domain that looks alike": ({"emailDomains": ["аcme.example"]}, "INVALID", ["emailDomains", "0"]),
    "everybody an administrator": ({"defaultRoles": ["admin"]}, "INVALID", ["defaultRoles"]),
    "a role that is not there": ({"defaultRoles": ["chief"]}, "INVALID", ["defaultRoles"]),
    "a rule with a role that is not there": (
        {"rules": [RULE, {**RULE, "roles": ["chief"]}]},
        "INVALID",
        ["rules", "1", "roles"],
    ),
    "a rule with a team that is not there": ({"rules": [{**RULE, "team": "x"}]}, "INVALID", ["rules", "0", "team"]),
    "a rule that gives nothing": ({"rules": [{**RULE, "roles": []}]}, "INVALID", ["rules", "0"]),
    "a rule about no claim": ({"rules": [{**RULE, "claim": " "}]}, "INVALID", ["rules", "0", "claim"]),
    "a thousand rules": ({"rules": [RULE] * 1_000}, "INVALID", ["rules"]),
    "a condition about nothing": (
        {"required": [{"claim": "a", "operator": "EQUALS", "value": ""}]},
        "INVALID",
        ["required", "0", "value"],
    ),
}


@pytest.mark.parametrize(("values", "code", "field"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_cannot_be_configured(graph: Graph, values: dict[str, Any], code: str, field: list[str]) -> None:
    id_ = await make(graph)
    before = await counts(graph)
    payload = (await graph.data(CREATE, {"input": {**GOOD, "name": "Second", **(values or {"name": "Acme"})}}))[
        "createIdentityProvider"
    ]
    assert [(each["code"], each["field"]) for each in payload["errors"]] == [(code, field)]
    if values and "issuer" not in values:
        given = {"id": id_, **values}
        payload = (await graph.data(UPDATE, {"input": given}))["updateIdentityProvider"]
        assert [(each["code"], each["field"]) for each in payload["errors"]] == [(code, field)]
    assert await counts(graph) == before


@pytest.mark.parametrize("issuer", ["https://crm.example.com", "https://crm.example.com/", "https://id.example.com"])
async def test_this_installation_is_no_provider(graph: Graph, schema: BuiltSchema, issuer: str) -> None:
    """Everybody has tokens of it, those of all other workspaces too."""
    public = Graph(schema, graph.database, Settings(public_url="https://CRM.example.com/"))
    public.authority.issuer = "https://id.example.com"
    payload = (await public.data(CREATE, {"input": {**GOOD, "issuer": issuer}}))["createIdentityProvider"]
    assert [(each["code"], each["field"]) for each in payload["errors"]] == [("INVALID", ["issuer"])]
    assert "this very installation" in payload["errors"][0]["message"]


async def test_what_is_given_by_nobody(graph: Graph) -> None:
    """Mass assignment, and an id that another workspace's address would find."""
    for extra in ({"id": "idp_" + "0" * 32}, {"workspaceId": "wsp_x"}, {"version": 7}, {"createdAt": "2026-01-01"}):
        error = await graph.error(CREATE, {"input": {**GOOD, **extra}})
        assert error["extensions"]["code"] == "BAD_USER_INPUT", error
    id_ = await make(graph)
    error = await graph.error(UPDATE, {"input": {"id": id_, "issuer": "https://evil.example"}})
    assert error["extensions"]["code"] == "BAD_USER_INPUT", error


async def test_links_that_cannot_be(graph: Graph) -> None:
    id_ = await make(graph)
    await link(graph, id_)
    member = f"mem_{(await graph.claims('analyst')).member_id}"
    another = f"mem_{(await graph.claims('admin')).member_id}"
    foreign = f"mem_{(await graph.claims('admin', 'other')).member_id}"
    before = await counts(graph)
    for subject, whom, wanted in (
        ("s", another, ("TAKEN", ["subject"])),
        ("t", member, ("TAKEN", ["memberId"])),
        ("t", foreign, ("NOT_FOUND", ["memberId"])),
        ("", another, ("INVALID", ["subject"])),
        ("x" * 300, another, ("INVALID", ["subject"])),
    ):
        given = {"providerId": id_, "subject": subject, "memberId": whom}
        payload = (await graph.data(LINK, {"input": given}))["linkMemberIdentity"]
        assert [(each["code"], each["field"]) for each in payload["errors"]] == [wanted]
    assert await counts(graph) == before


async def test_a_workspace_has_so_many(graph: Graph) -> None:
    for index in range(graph.engine.settings.max_providers):
        await make(graph, name=f"Provider {index}")
    payload = (await graph.data(CREATE, {"input": GOOD}))["createIdentityProvider"]
    assert [each["message"] for each in payload["errors"]] == [
        "A workspace can have no more than 20 identity providers."
    ]


async def test_what_a_sign_in_page_offers(graph: Graph) -> None:
    await make(graph, name="Zeta")
    first = await make(graph, name="Acme", issuer="https://b.example")
    await make(graph, name="Off", enabled=False)
    reader = graph.database.primary_reader()
    of_demo = (await graph.claims("admin")).workspace_id
    assert [name for _, name in await providers_for_sign_in(reader, of_demo)] == ["Acme", "Zeta"]
    assert (await providers_for_sign_in(reader, of_demo))[0] == (first, "Acme")
    assert await providers_for_sign_in(reader, (await graph.claims("admin", "other")).workspace_id) == []
    assert await providers_for_sign_in(reader) == [], "there are two workspaces: which, nobody said"
