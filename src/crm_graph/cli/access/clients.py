"""`crm-graph client`: what it does with the programs that use the API, as the first administrator."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from crm_graph.cli.access.accounts import find_account, find_client_id
from crm_graph.cli.acting import operator_work
from crm_graph.cli.opening import find_workspace, opened
from crm_graph.cli.place import Place
from crm_graph.db.pool import Database
from crm_graph.domains.identity.clients.directory import list_clients
from crm_graph.domains.identity.clients.documents import find_client
from crm_graph.domains.identity.clients.enums import DocumentMode, OnError
from crm_graph.domains.identity.clients.keys import ListedKey, list_keys
from crm_graph.domains.identity.clients.operations import (
    create_api_client,
    create_api_key,
    revoke_api_key,
    update_api_client,
)
from crm_graph.domains.identity.clients.policy import API_CLIENT, API_KEY, TRUSTED_DOCUMENT
from crm_graph.domains.workspace.members.policy import MEMBER
from crm_graph.permissions.roles import ADMIN
from crm_graph.work import Work


@dataclass(frozen=True, slots=True)
class Clients:
    """The clients of a workspace, and the one that was named, if one was."""

    database: Database
    workspace_id: str
    client_id: str | None

    @property
    def named(self) -> str:
        """The id of the client that was named."""
        assert self.client_id is not None
        return self.client_id

    @asynccontextmanager
    async def work(self) -> AsyncIterator[Work]:
        """Lend a unit of work of the operator, acting as the first administrator."""
        actor = await find_account(self.database, self.workspace_id, None, ADMIN)
        policies = MEMBER, API_CLIENT, API_KEY, TRUSTED_DOCUMENT
        async with operator_work(self.database, self.workspace_id, actor.member_id, *policies) as work:
            yield work


@asynccontextmanager
async def clients_in(place: Place, workspace: str | None, client: str | None = None) -> AsyncIterator[Clients]:
    """Lend the clients of a workspace. Raises OperatorError for a name that none of them has."""
    async with opened(place) as database:
        workspace_id = await find_workspace(database, workspace)
        client_id = None if client is None else await find_client_id(database, workspace_id, client)
        yield Clients(database, workspace_id, client_id)


async def make_client(
    place: Place, workspace: str | None, values: Mapping[str, Any], roles: Sequence[str], key: str | None
) -> str | None:
    """Make a client of these values, with roles of its own if any; returns the text of its first key, where `key` says
    what to call one. Raises OperatorError and Refused."""
    async with clients_in(place, workspace) as clients, clients.work() as work:
        id_ = await create_api_client(work, values, (), roles or None)
        return None if key is None else (await create_api_key(work, id_, key, None))[1]


async def make_key(place: Place, workspace: str | None, client: str, name: str, days: int | None) -> str:
    """Make another key of a client, good for so many days or always; returns its text. Raises OperatorError."""
    async with clients_in(place, workspace, client) as clients, clients.work() as work:
        until = None if days is None else work.now + timedelta(days=days)
        return (await create_api_key(work, clients.named, name, until))[1]


async def keys_of(place: Place, workspace: str | None, client: str) -> list[ListedKey]:
    """Return the keys of a client. Raises OperatorError."""
    async with clients_in(place, workspace, client) as clients:
        return await list_keys(clients.database.primary_reader(), clients.workspace_id, clients.named)


async def revoke_key(place: Place, workspace: str | None, key_id: str) -> None:
    """Revoke a key. Raises OperatorError and Refused."""
    async with clients_in(place, workspace) as clients, clients.work() as work:
        await revoke_api_key(work, key_id)


async def on_error_of(place: Place, workspace: str | None, client: str, chosen: OnError | None) -> OnError:
    """Set, where one is chosen, and return what an error does to the answers of a client. Raises OperatorError."""
    async with clients_in(place, workspace, client) as clients:
        if chosen is not None:
            async with clients.work() as work:
                await update_api_client(work, clients.named, {"on_error": chosen.value}, (), None)
        stored = await find_client(clients.database.primary_reader(), clients.workspace_id, clients.named)
    assert stored is not None
    return stored.on_error or OnError.PROPAGATE


async def mode_of(place: Place, workspace: str | None, client: str, chosen: DocumentMode | None) -> DocumentMode:
    """Set, where one is chosen, and return what a client may run. Raises OperatorError."""
    async with clients_in(place, workspace, client) as clients:
        if chosen is not None:
            async with clients.work() as work:
                await update_api_client(work, clients.named, {"document_mode": chosen.value}, (), None)
        return (await list_clients(clients.database.primary_reader(), clients.workspace_id))[client][1]


async def clients_of(place: Place, workspace: str | None) -> dict[str, DocumentMode]:
    """Return the clients of a workspace by name, and what each may run. Raises OperatorError."""
    async with clients_in(place, workspace) as clients:
        listed = await list_clients(clients.database.primary_reader(), clients.workspace_id)
    return {name: mode for name, (_, mode) in listed.items()}
