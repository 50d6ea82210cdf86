"""API keys: shown once, kept as a hash, rotated with an overlap, revoked at once, and no way to more rights."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm_graph.domains.identity.clients.keys import MARK, PREFIX_LENGTH, ApiKeys, verify_key
from crm_graph.identity.tokens import Claims
from crm_graph.kernel.errors import Unauthenticated
from tests.domains.identity.test_api_clients import CREATE, DELETE, UPDATE
from tests.support.graph import Graph

CREATE_KEY = """mutation ($input: CreateApiKeyInput!) {
  createApiKey(input: $input) { key apiKey { id prefix expiresAt revokedAt lastUsedAt client { name } }
    errors { code message field } } }"""
ROTATE = """mutation ($input: RotateApiKeyInput!) {
  rotateApiKey(input: $input) { key apiKey { id name expiresAt } errors { code field } } }"""
REVOKE = "mutation ($id: ID!) { revokeApiKey(input: {id: $id}) { apiKey { revokedAt } errors { code field } } }"
KEYS = "query ($id: ID!) { apiClient(id: $id) { keys { nodes { id prefix lastUsedAt expiresAt revokedAt } } } }"
COUNT = "{ customers { totalCount } viewer { roles member { name } } }"


async def make_client(graph: Graph, *roles: str, name: str = "sync", **values: Any) -> str:
    given = {"name": name, "roles": list(roles), **values} if roles else {"name": name, **values}
    payload = (await graph.data(CREATE, {"input": given}))["createApiClient"]
    assert payload["errors"] == []
    id_: str = payload["apiClient"]["id"]
    return id_


async def make_key(graph: Graph, client: str, **values: Any) -> dict[str, Any]:
    payload = (await graph.data(CREATE_KEY, {"input": {"clientId": client, "name": "ci", **values}}))["createApiKey"]
    assert payload["errors"] == [], payload
    assert isinstance(payload, dict)
    return payload


async def claims_of(graph: Graph, key: str) -> Claims:
    keys = ApiKeys(graph.database)
    found = await keys(key)
    await keys.close()
    assert found is not None
    return found


async def test_a_key_acts_as_its_client(graph: Graph) -> None:
    client = await make_client(graph, "integration")
    made = await make_key(graph, client)
    key = made["key"]
    assert key.startswith(MARK)
    assert len(key) == len(MARK) + 86
    assert made["apiKey"]["prefix"] == key[:PREFIX_LENGTH]
    assert made["apiKey"]["client"] == {"name": "sync"}
    claims = await claims_of(graph, key)
    data = await graph.data(COUNT, claims=claims)
    assert data["viewer"] == {"roles": ["integration"], "member": {"name": "sync"}}
    assert data["customers"]["totalCount"] > 0
    member = await graph.rows("SELECT kind, email FROM member WHERE id = $1", claims.member_id)
    assert member == [("SERVICE", f"client-{client.removeprefix('apc_')}@service.invalid")]


async def test_nothing_keeps_the_text(graph: Graph) -> None:
    """Neither a row nor the event log; and no column that is read tells the hash."""
    client = await make_client(graph, "integration")
    key = (await make_key(graph, client))["key"]
    secret = key[PREFIX_LENGTH:]
    for table in ("api_key", "api_client", "event"):
        assert await graph.value(f"SELECT count(*) FROM {table} WHERE {table}::text LIKE '%' || $1 || '%'", secret) == 0
    sha256 = await graph.value("SELECT sha256 FROM api_key")
    assert await graph.value("SELECT count(*) FROM event WHERE event::text LIKE '%' || $1 || '%'", sha256) == 0
    error = await graph.error("query ($id: ID!) { apiClient(id: $id) { keys { nodes { sha256 } } } }", {"id": client})
    assert error["extensions"]["code"] == "VALIDATION_FAILED"


def _other_secret(key: str) -> str:
    return key[:60] + ("A" if key[60] != "A" else "B") + key[61:]


BAD_KEYS = {
    "another secret": _other_secret,
    "cut": lambda key: key[:-1],
    "longer": lambda key: key + "A",
    "an id that is none": lambda key: MARK + "A" * 86,
    "no Base64": lambda key: key[:-3] + "!!!",
    "other last bits": lambda key: key[:-1] + chr(ord(key[-1]) + 1),
    "not ASCII": lambda key: key[:-1] + "é",
    "a NUL": lambda key: key[:-1] + "\0",
    "the mark alone": lambda _: MARK,
    "100 kB": lambda key: key + "A" * 100_000,
}


@pytest.mark.parametrize("spoil", BAD_KEYS.values(), ids=BAD_KEYS.keys())
async def test_keys_that_are_none(graph: Graph, spoil: Any) -> None:
    key = (await make_key(graph, await make_client(graph, "integration")))["key"]
    keys = ApiKeys(graph.database)
    assert await keys(key) is not None
    with pytest.raises(Unauthenticated) as caught:
        await keys(spoil(key))
    assert caught.value.message == "The API key is unknown, revoked or over."
    assert await verify_key(graph.database.primary_reader(), spoil(key), datetime.now(UTC)) is None


async def test_what_is_no_key_is_left_to_others(graph: Graph) -> None:
    assert await ApiKeys(graph.database)("eyJhbGciOi.x.y") is None


async def test_revoked_is_out_with_the_next_request(graph: Graph) -> None:
    """Also in a process that remembers the key: the guard of the request says so."""
    made = await make_key(graph, await make_client(graph, "integration"))
    keys = ApiKeys(graph.database)
    claims = await keys(made["key"])
    assert claims is not None
    assert await graph.data(COUNT, claims=claims)
    payload = (await graph.data(REVOKE, {"id": made["apiKey"]["id"]}))["revokeApiKey"]
    assert payload["apiKey"]["revokedAt"] is not None
    assert (await graph.error(COUNT, claims=claims))["extensions"]["code"] == "UNAUTHENTICATED"
    with pytest.raises(Unauthenticated):
        await ApiKeys(graph.database)(made["key"])
    again = (await graph.data(REVOKE, {"id": made["apiKey"]["id"]}))["revokeApiKey"]
    assert again == {"apiKey": None, "errors": [{"code": "ILLEGAL_TRANSITION", "field": ["id"]}]}


async def test_a_key_is_over_when_its_time_is(graph: Graph) -> None:
    until = datetime.now(UTC) + timedelta(hours=1)
    made = await make_key(graph, await make_client(graph, "integration"), expiresAt=until.isoformat())
    later = ApiKeys(graph.database, lambda: until)
    with pytest.raises(Unauthenticated):
        await later(made["key"])
    now = datetime.now(UTC)
    moving = ApiKeys(graph.database, lambda: now)
    assert await moving(made["key"]) is not None
    now = until
    assert moving.known(made["key"]) is None


async def test_rotation_overlaps(graph: Graph) -> None:
    client = await make_client(graph, "integration")
    old = await make_key(graph, client)
    payload = (await graph.data(ROTATE, {"input": {"id": old["apiKey"]["id"], "overlapHours": 2}}))["rotateApiKey"]
    assert payload["errors"] == []
    assert payload["apiKey"]["name"] == "ci"
    assert payload["apiKey"]["expiresAt"] is None
    assert payload["key"] != old["key"]
    for key in (old["key"], payload["key"]):
        assert await graph.data(COUNT, claims=await claims_of(graph, key))
    after = ApiKeys(graph.database, lambda: datetime.now(UTC) + timedelta(hours=2, minutes=1))
    with pytest.raises(Unauthenticated):
        await after(old["key"])
    assert await after(payload["key"]) is not None
    types = await graph.rows("SELECT type FROM event WHERE entity = 'ApiKey' ORDER BY seq")
    assert [row["type"] for row in types] == ["ApiKeyCreated", "ApiKeyCreated", "ApiKeyRotated"]


async def test_the_last_use_is_noted_once_a_minute(graph: Graph) -> None:
    made = await make_key(graph, await make_client(graph, "integration"))
    now = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
    keys = ApiKeys(graph.database, lambda: now)
    used = "SELECT last_used_at, version FROM api_key"
    await keys(made["key"])
    await keys.close()
    (first,) = await graph.rows(used)
    now += timedelta(seconds=59)
    await keys(made["key"])
    await keys.close()
    assert await graph.rows(used) == [first]
    now += timedelta(seconds=1)
    await asyncio.gather(*(keys(made["key"]) for _ in range(5)))
    await keys.close()
    (second,) = await graph.rows(used)
    assert datetime.fromisoformat(second[0]) - datetime.fromisoformat(first[0]) == timedelta(minutes=1)
    assert first[1] == second[1] == 1


async def test_a_client_without_roles_does_not_act_by_itself(graph: Graph) -> None:
    key = (await make_key(graph, await make_client(graph)))["key"]
    with pytest.raises(Unauthenticated) as caught:
        await ApiKeys(graph.database)(key)
    assert "acts for members only" in caught.value.message
    live = await verify_key(graph.database.primary_reader(), key, datetime.now(UTC))
    assert live is not None
    assert live.member_id is None


async def test_a_deleted_client_s_key_is_gone(graph: Graph) -> None:
    client = await make_client(graph, "integration")
    claims = await claims_of(graph, (await make_key(graph, client))["key"])
    assert (await graph.data(DELETE, {"input": {"id": client}}))["deleteApiClient"]["errors"] == []
    assert await graph.value("SELECT count(*) FROM api_key") == 0
    assert await graph.value("SELECT status FROM member WHERE id = $1", claims.member_id) == "SUSPENDED"
    with pytest.raises(Unauthenticated):
        await graph.execute("{ viewer { roles } }", claims=claims)


async def test_roles_bound_a_client(graph: Graph) -> None:
    client = await make_client(graph, "integration", "sales_rep", memberRoles=["sales_rep"])
    claims = await claims_of(graph, (await make_key(graph, client))["key"])
    assert (await graph.data(COUNT, claims=claims))["viewer"]["roles"] == ["sales_rep"]
    await graph.data(UPDATE, {"input": {"id": client, "memberRoles": None, "roles": ["analyst"]}})
    assert (await graph.data(COUNT, claims=claims))["viewer"]["roles"] == ["analyst"]


async def _role_that_keeps_clients(graph: Graph, claims: Claims) -> None:
    """Let a member's role `integration` keep clients and members, which no built-in role but `admin` may."""
    every = {"read": "ALL", "create": "ALL", "update": "ALL", "delete": "ALL", "default": "WRITE"}
    await graph.rows(
        "INSERT INTO role (workspace_id, id, name, grants, version, created_at, updated_at)"
        " VALUES ($1, gen_random_uuid(), 'integration', $2::jsonb, 1, now(), now())",
        claims.workspace_id,
        {"ApiClient": every, "Member": {**every, "setRoles": "ALL"}},
    )


async def test_nobody_gets_more_than_they_hold(graph: Graph) -> None:
    """Whoever may make clients or change members does not become an administrator by that."""
    client = await make_client(graph, "integration")
    above = await make_client(graph, "admin", name="above")
    claims = await claims_of(graph, (await make_key(graph, client))["key"])
    await _role_that_keeps_clients(graph, claims)
    forbidden = {"code": "FORBIDDEN", "field": ["roles"]}
    payload = await graph.data(CREATE, {"input": {"name": "x", "roles": ["admin"]}}, claims=claims)
    assert payload["createApiClient"] == {"apiClient": None, "errors": [forbidden]}
    payload = await graph.data(UPDATE, {"input": {"id": client, "roles": ["admin", "integration"]}}, claims=claims)
    assert payload["updateApiClient"] == {"apiClient": None, "errors": [forbidden]}
    payload = await graph.data(CREATE_KEY, {"input": {"clientId": above, "name": "x"}}, claims=claims)
    assert [error["code"] for error in payload["createApiKey"]["errors"]] == ["FORBIDDEN"]
    assert payload["createApiKey"]["key"] is None
    set_roles = """mutation ($id: ID!, $r: [String!]!) {
      setMemberRoles(input: {id: $id, roles: $r}) { errors { code } } }"""
    own = {"id": f"mem_{claims.member_id}", "r": ["admin"]}
    assert (await graph.data(set_roles, own, claims=claims))["setMemberRoles"]["errors"] == [{"code": "FORBIDDEN"}]
    admin = {"id": f"mem_{(await graph.claims('admin')).member_id}", "r": ["integration"]}
    assert (await graph.data(set_roles, admin, claims=claims))["setMemberRoles"]["errors"] == [{"code": "FORBIDDEN"}]
    assert await graph.value("SELECT count(*) FROM api_key") == 1
    payload = await graph.data(CREATE, {"input": {"name": "x", "roles": ["integration"]}}, claims=claims)
    assert payload["createApiClient"]["errors"] == []


async def test_a_service_is_no_last_administrator(graph: Graph) -> None:
    """With a client that may do all left, a workspace would have nobody who can sign in and mend it."""
    await make_client(graph, "admin")
    admins = await graph.rows(
        "SELECT member_id FROM member_role JOIN member ON member.id = member_id WHERE role = 'admin'"
        " AND kind = 'PERSON' AND member_role.workspace_id = $1",
        (await graph.claims("admin")).workspace_id,
    )
    suspend = "mutation ($id: ID!) { suspendMember(input: {id: $id}) { errors { code } } }"
    claims = await graph.claims("admin")
    for row in admins:
        if row[0] != claims.member_id:
            await graph.data(suspend, {"id": f"mem_{row[0]}"}, claims=claims)
    refused = (await graph.data(suspend, {"id": f"mem_{claims.member_id}"}, claims=claims))["suspendMember"]["errors"]
    assert refused == [{"code": "INVALID"}]


REFUSED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "over already": (CREATE_KEY, {"expiresAt": "2020-01-01T00:00:00Z"}, {"code": "INVALID", "field": ["expiresAt"]}),
    "a blank name": (CREATE_KEY, {"name": " "}, {"code": "INVALID", "field": ["name"]}),
    "no client": (CREATE_KEY, {"clientId": f"apc_{'0' * 32}"}, {"code": "NOT_FOUND", "field": ["clientId"]}),
}


@pytest.mark.parametrize(("mutation", "input_", "wanted"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_refused(graph: Graph, mutation: str, input_: dict[str, Any], wanted: dict[str, Any]) -> None:
    client = await make_client(graph, "integration")
    given = {"clientId": client, "name": "ci", **input_}
    (payload,) = (await graph.data(mutation, {"input": given})).values()
    assert payload["key"] is None
    assert [{"code": each["code"], "field": each["field"]} for each in payload["errors"]] == [wanted]
    assert await graph.value("SELECT count(*) FROM api_key") == 0


async def test_a_public_client_has_no_keys(graph: Graph) -> None:
    client = await make_client(graph, "integration", kind="PUBLIC")
    payload = await graph.data(CREATE_KEY, {"input": {"clientId": client, "name": "ci"}})
    assert [error["code"] for error in payload["createApiKey"]["errors"]] == ["INVALID"]


BAD_CLIENTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "an unknown role": ({"roles": ["owner"]}, ["roles"]),
    "an unknown role for members": ({"memberRoles": ["owner"]}, ["memberRoles"]),
    "no requests": ({"requestsPerMinute": 0}, ["requestsPerMinute"]),
    "a negative cost": ({"costPerMinute": -1}, ["costPerMinute"]),
    "plain http": ({"redirectUris": ["http://example.com/x"]}, ["redirectUris", "0"]),
    "a fragment": ({"redirectUris": ["https://example.com/#x"]}, ["redirectUris", "0"]),
    "userinfo": ({"redirectUris": ["https://example.com@evil.example/"]}, ["redirectUris", "0"]),
    "javascript": ({"redirectUris": ["javascript://x/%0aalert(1)"]}, ["redirectUris", "0"]),
    "a wildcard": ({"redirectUris": ["https://*.example.com/"]}, ["redirectUris", "0"]),
}


@pytest.mark.parametrize(("input_", "field"), BAD_CLIENTS.values(), ids=BAD_CLIENTS.keys())
async def test_clients_that_cannot_be_meant(graph: Graph, input_: dict[str, Any], field: list[str]) -> None:
    before = await graph.value("SELECT count(*) FROM member")
    payload = (await graph.data(CREATE, {"input": {"name": "x", **input_}}))["createApiClient"]
    assert payload == {"apiClient": None, "errors": [{"code": "INVALID", "field": field}]}
    assert await graph.value("SELECT count(*) FROM api_client") == 0
    assert await graph.value("SELECT count(*) FROM member") == before


PUSH = """mutation ($input: PushTrustedDocumentsInput!) {
  pushTrustedDocuments(input: $input) { added aliased unchanged errors { code field } } }"""
REMOVE = """mutation ($input: RemoveTrustedDocumentsInput!) {
  removeTrustedDocuments(input: $input) { removed errors { code } } }"""


async def test_a_build_pushes_its_documents(graph: Graph) -> None:
    client = await make_client(graph)
    documents = [{"source": "{ viewer { roles } }", "aliases": ["viewer-1"]}, {"source": "{ __typename }"}]
    pushed = (await graph.data(PUSH, {"input": {"clientId": client, "documents": documents}}))["pushTrustedDocuments"]
    assert (len(pushed["added"]), pushed["aliased"], pushed["unchanged"], pushed["errors"]) == (2, [], [], [])
    again = (await graph.data(PUSH, {"input": {"clientId": client, "documents": documents}}))["pushTrustedDocuments"]
    assert again["unchanged"] == pushed["added"]
    gone = (await graph.data(REMOVE, {"input": {"clientId": client, "ids": ["viewer-1"]}}))["removeTrustedDocuments"]
    assert gone == {"removed": pushed["added"][:1], "errors": []}
    error = await graph.error(PUSH, {"input": {"documents": documents}}, role="integration")
    assert error["extensions"]["code"] == "FORBIDDEN"


BAD_DOCUMENTS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "an unknown field": ({"source": "{ nothing }"}, ["documents", "1", "source"]),
    "no GraphQL": ({"source": "}"}, ["documents", "1", "source"]),
    "an alias that lies": ({"source": "{ __typename }", "aliases": ["sha256:x"]}, ["documents", "1", "aliases"]),
    "an alias of another": ({"source": "{ __typename }", "aliases": ["one"]}, ["documents", "1", "aliases"]),
}


@pytest.mark.parametrize(("bad", "field"), BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS.keys())
async def test_all_documents_or_none(graph: Graph, bad: dict[str, Any], field: list[str]) -> None:
    documents = [{"source": "{ viewer { roles } }", "aliases": ["one"]}, bad]
    pushed = (await graph.data(PUSH, {"input": {"documents": documents}}))["pushTrustedDocuments"]
    assert pushed["errors"] == [{"code": "INVALID", "field": field}]
    assert await graph.value("SELECT count(*) FROM trusted_document") == 0
