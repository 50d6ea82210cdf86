"""The only writers of API clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm_graph.domains.workspace.clients.events import ApiClientCreated, ApiClientDeleted, ApiClientUpdated
from crm_graph.domains.workspace.clients.model import ApiClient, ClientKind, DocumentMode
from crm_graph.domains.workspace.clients.policy import API_CLIENT
from crm_graph.work import CREATE, DELETE, UPDATE, Work


async def create_api_client(work: Work, values: Mapping[str, Any], given: tuple[str, ...]) -> str:
    """Make a client known. Raises Refused TAKEN for a name in use."""
    work.may(API_CLIENT, CREATE, given)
    client: ApiClient = ApiClient.make(
        **{
            "document_mode": DocumentMode.OPEN.value,
            "kind": ClientKind.CONFIDENTIAL.value,
            "redirect_uris": [],
            "first_party": False,
            **values,
        }
    )
    await work.create(client, API_CLIENT, ApiClientCreated(), given)
    return client.id


async def update_api_client(
    work: Work, id_: str, values: Mapping[str, Any], given: tuple[str, ...], if_version: int | None
) -> str:
    """Rename a client, or change what it may run. Raises Refused TAKEN for a name in use."""
    client = await work.get(ApiClient, API_CLIENT, id_, UPDATE, if_version, given=given)
    for name, value in values.items():
        setattr(client, name, value)
    await work.save(client, API_CLIENT, ApiClientUpdated())
    return client.id


async def delete_api_client(work: Work, id_: str, if_version: int | None) -> None:
    """Remove a client with its trusted documents; the tokens that name it stop working."""
    client = await work.get(ApiClient, API_CLIENT, id_, DELETE, if_version)
    await work.delete(client, API_CLIENT, ApiClientDeleted())
