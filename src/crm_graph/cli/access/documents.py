"""`crm-graph documents`: trusting documents, of one client or of all."""

from __future__ import annotations

from collections.abc import Sequence

from crm_graph.cli.access.clients import clients_in
from crm_graph.cli.place import Place
from crm_graph.domains.identity.clients.documents import (
    ListedDocument,
    NewDocument,
    Pushed,
    list_documents,
    push_documents,
    remove_documents,
)


async def trust(
    place: Place, workspace: str | None, client: str | None, documents: Sequence[NewDocument], schema: str
) -> Pushed:
    """Trust documents that are valid against the schema of this hash. Raises OperatorError and Refused."""
    async with clients_in(place, workspace, client) as clients, clients.work() as work:
        return await push_documents(work, clients.client_id, documents, schema)


async def documents_of(place: Place, workspace: str | None, client: str | None) -> list[ListedDocument]:
    """Return the documents that are trusted for a client, or all of the workspace. Raises OperatorError."""
    async with clients_in(place, workspace, client) as clients:
        reader = clients.database.primary_reader()
        return await list_documents(reader, clients.workspace_id, clients.client_id, everything=client is None)


async def untrust(place: Place, workspace: str | None, client: str | None, ids: Sequence[str]) -> list[str]:
    """Trust documents no more; returns their hashes. Raises OperatorError and Refused: all of them, or none."""
    async with clients_in(place, workspace, client) as clients, clients.work() as work:
        return await remove_documents(work, clients.client_id, ids)
