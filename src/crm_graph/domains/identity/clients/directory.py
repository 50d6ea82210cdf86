"""Finding the clients of a workspace."""

from __future__ import annotations

from collections.abc import Mapping

from crm_graph.db.session import ReadSession
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.clients.enums import DocumentMode

_CLIENTS = Statement(
    "SELECT id, name, document_mode FROM api_client WHERE workspace_id = $1 ORDER BY name", ("workspace_id",), {}
)


async def list_clients(session: ReadSession, workspace_id: str) -> Mapping[str, tuple[str, DocumentMode]]:
    """Return the clients of a workspace by name: id and mode."""
    rows = await session.fetch(_CLIENTS, {"workspace_id": workspace_id})
    return {row["name"]: (row["id"], DocumentMode(row["document_mode"])) for row in rows}
