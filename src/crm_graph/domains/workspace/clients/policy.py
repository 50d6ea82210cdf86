"""Who may see and change API clients: administrators."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.domains.workspace.clients.events import ApiClientUpdated
from crm_graph.domains.workspace.clients.model import ApiClient, ApiKey, TrustedDocument
from crm_graph.permissions.policy import Policy

API_CLIENT = Policy("ApiClient", table_of(ApiClient), directory=True)
API_KEY = Policy(
    "ApiKey", table_of(ApiKey), parent=(API_CLIENT, "client_id"), in_version=ApiClientUpdated, directory=True
)
TRUSTED_DOCUMENT = Policy(
    "TrustedDocument", table_of(TrustedDocument), parent=(API_CLIENT, "client_id"), in_version=False
)
"""Not a type of the schema: it names the entity in the event log. Who may change a client may change its documents,
which builds push by the hundred while somebody edits the client: they leave its version alone."""
