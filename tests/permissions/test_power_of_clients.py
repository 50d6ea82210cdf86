"""What a client has, keys and documents, is given and taken by who holds the roles that the client may use."""

from __future__ import annotations

from typing import Any

import pytest

from tests.permissions.fixtures import shared_world, world
from tests.permissions.world import World

__all__ = ["shared_world", "world"]

ROLE = "builder"
PUSH = """mutation ($input: PushTrustedDocumentsInput!) {
  made: pushTrustedDocuments(input: $input) { errors { code field } } }"""
REMOVE = """mutation ($input: RemoveTrustedDocumentsInput!) {
  made: removeTrustedDocuments(input: $input) { errors { code field } } }"""
KEY = "mutation ($input: CreateApiKeyInput!) { made: createApiKey(input: $input) { errors { code field } } }"
RENAME = "mutation ($input: UpdateApiClientInput!) { made: updateApiClient(input: $input) { errors { code field } } }"
DOCUMENTS = [{"source": "{ viewer { roles } }", "aliases": ["viewer-1"]}]
MINE = {"roles": [ROLE], "first_party": False, "member_id": None}
BEYOND: dict[str, tuple[dict[str, Any], list[str]]] = {
    "all roles of whoever signs in": ({"roles": None}, ["memberRoles"]),
    "a role that is not held": ({"roles": [ROLE, "admin"]}, ["memberRoles"]),
    "no consent": ({"first_party": True}, ["firstParty"]),
}


async def _builder(world: World, **client: Any) -> str:
    """Let the member at `own` change clients, and a client be as given; returns its id."""
    await world.define(ROLE, {"ApiClient": {"read": "ALL", "update": "ALL", "default": "WRITE"}})
    await world.become(ROLE)
    await world.put("ApiClient", "own", **{**MINE, **client})
    await world.move_directory()
    return world.id("ApiClient")


async def _errors(world: World, source: str, **input_: Any) -> list[Any]:
    body = await world.graph.execute(source, {"input": input_}, claims=world.claims())
    assert "errors" not in body, body
    found: list[Any] = body["data"]["made"]["errors"]
    return found


@pytest.mark.parametrize(("client", "field"), BEYOND.values(), ids=BEYOND.keys())
async def test_a_client_with_more_power(world: World, client: dict[str, Any], field: list[str]) -> None:
    id_ = await _builder(world, **client)
    before = await world.digest()
    refused = [{"code": "FORBIDDEN", "field": field}]
    assert await _errors(world, PUSH, clientId=id_, documents=DOCUMENTS) == refused
    assert await _errors(world, REMOVE, clientId=id_, ids=["viewer-1"]) == refused
    assert await _errors(world, KEY, clientId=id_, name="x") == refused
    assert await _errors(world, RENAME, id=id_, name="the bank") == refused
    assert await world.digest() == before


async def test_a_client_within_one_s_own_roles(world: World) -> None:
    id_ = await _builder(world)
    assert await _errors(world, PUSH, clientId=id_, documents=DOCUMENTS) == []
    assert await _errors(world, REMOVE, clientId=id_, ids=["viewer-1"]) == []
    assert await _errors(world, KEY, clientId=id_, name="x") == []
    assert await _errors(world, RENAME, id=id_, name="the bank") == []


@pytest.mark.parametrize("source", [PUSH, REMOVE])
async def test_what_all_clients_run_is_for_administrators(world: World, source: str) -> None:
    await _builder(world)
    input_ = {"documents": DOCUMENTS} if source == PUSH else {"ids": ["viewer-1"]}
    body = await world.graph.execute(source, {"input": input_}, claims=world.claims())
    assert [each["extensions"]["code"] for each in body["errors"]] == ["FORBIDDEN"]
    await world.become("admin")
    body = await world.graph.execute(source, {"input": input_}, claims=world.claims())
    assert body["data"]["made"]["errors"] == ([] if source == PUSH else [{"code": "NOT_FOUND", "field": ["ids", "0"]}])
