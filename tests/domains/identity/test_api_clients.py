"""API clients: who may do what with them, and what their mutations write."""

from __future__ import annotations

from typing import Any

import pytest

from crm_graph.domains.identity.clients.graph import ApiClient
from crm_graph.permissions.roles import BUILT_IN
from tests.support.graph import Graph

CREATE = """mutation ($input: CreateApiClientInput!) {
  createApiClient(input: $input) { apiClient { id name documentMode version } errors { code field } }
}"""
UPDATE = """mutation ($input: UpdateApiClientInput!) {
  updateApiClient(input: $input) { apiClient { name documentMode version } errors { code field } }
}"""
DELETE = "mutation ($input: DeleteApiClientInput!) { deleteApiClient(input: $input) { deletedId errors { code } } }"
READ = "query ($id: ID!) { apiClient(id: $id) { name } node(id: $id) { id } apiClients { totalCount nodes { name } } }"
UNSEEN = {"apiClient": None, "node": None, "apiClients": {"totalCount": 0, "nodes": []}}


async def make(graph: Graph, name: str = "web", **options: Any) -> str:
    payload = (await graph.data(CREATE, {"input": {"name": name}}, **options))["createApiClient"]
    assert payload["errors"] == []
    id_: str = payload["apiClient"]["id"]
    return id_


async def count(graph: Graph) -> int:
    found: int = await graph.value("SELECT count(*) FROM api_client")
    return found


async def test_an_administrator_keeps_clients(graph: Graph) -> None:
    id_ = await make(graph)
    assert await graph.data(READ, {"id": id_}) == {
        "apiClient": {"name": "web"},
        "node": {"id": id_},
        "apiClients": {"totalCount": 1, "nodes": [{"name": "web"}]},
    }
    changes = {"id": id_, "ifVersion": 1, "name": "shop", "documentMode": "TRUSTED_ONLY"}
    payload = (await graph.data(UPDATE, {"input": changes}))["updateApiClient"]
    assert payload == {"apiClient": {"name": "shop", "documentMode": "TRUSTED_ONLY", "version": 2}, "errors": []}
    assert (await graph.data(DELETE, {"input": {"id": id_, "ifVersion": 2}}))["deleteApiClient"]["deletedId"] == id_
    events = await graph.rows("SELECT type FROM event WHERE entity = 'ApiClient' ORDER BY seq")
    assert [row["type"] for row in events] == ["ApiClientCreated", "ApiClientUpdated", "ApiClientDeleted"]


@pytest.mark.parametrize("role", [role for role in BUILT_IN if role != "admin"])
async def test_nobody_else_sees_or_changes_them(graph: Graph, role: str) -> None:
    id_ = await make(graph)
    body = await graph.execute(READ, {"id": id_}, role=role)
    assert body["data"] == UNSEEN, body
    for mutation, input_ in ((CREATE, {"name": "mine"}), (UPDATE, {"id": id_, "name": "x"}), (DELETE, {"id": id_})):
        error = await graph.error(mutation, {"input": input_}, role=role)
        assert error["extensions"]["code"] == "FORBIDDEN"
    assert (await count(graph), await graph.value("SELECT name FROM api_client")) == (1, "web")


async def test_another_workspace_s_administrator_sees_nothing(graph: Graph) -> None:
    id_ = await make(graph)
    assert await graph.data(READ, {"id": id_}, workspace="other") == UNSEEN
    refused = [{"code": "NOT_FOUND", "field": ["id"]}]
    payload = await graph.data(UPDATE, {"input": {"id": id_, "name": "x"}}, workspace="other")
    assert payload["updateApiClient"] == {"apiClient": None, "errors": refused}
    payload = await graph.data(DELETE, {"input": {"id": id_}}, workspace="other")
    assert payload["deleteApiClient"] == {"deletedId": None, "errors": [{"code": "NOT_FOUND"}]}
    await make(graph, workspace="other")
    assert await count(graph) == 2


REFUSED: dict[str, tuple[str, dict[str, object], dict[str, object]]] = {
    "a name in use": (CREATE, {"name": "web"}, {"code": "TAKEN", "field": ["name"]}),
    "a blank name": (CREATE, {"name": "  "}, {"code": "INVALID", "field": ["name"]}),
    "a version that was": (UPDATE, {"name": "x", "ifVersion": 7}, {"code": "CONFLICT", "field": ["ifVersion"]}),
}


@pytest.mark.parametrize(("mutation", "input_", "wanted"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_refused(
    graph: Graph, mutation: str, input_: dict[str, object], wanted: dict[str, object]
) -> None:
    id_ = await make(graph)
    given = {"id": id_, **input_} if mutation == UPDATE else input_
    (payload,) = (await graph.data(mutation, {"input": given})).values()
    current = {"name": "web", "documentMode": "OPEN", "version": 1} if wanted["code"] == "CONFLICT" else None
    assert (payload["apiClient"], payload["errors"]) == (current, [wanted])
    assert await graph.rows("SELECT name, version FROM api_client") == [("web", 1)]


async def test_nobody_chooses_an_id(graph: Graph) -> None:
    """A client that was deleted keeps its name: another workspace's under it would get those who still come."""
    id_ = await make(graph)
    assert (await graph.data(DELETE, {"input": {"id": id_}}))["deleteApiClient"]["errors"] == []
    error = await graph.error(CREATE, {"input": {"name": "web", "id": id_}}, workspace="other")
    assert error["extensions"]["code"] == "BAD_USER_INPUT", error


async def test_the_id_prefix(graph: Graph) -> None:
    assert (await make(graph)) == await graph.id_of(ApiClient)
