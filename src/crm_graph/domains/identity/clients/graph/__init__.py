"""API clients, their keys and their documents in the schema."""

from __future__ import annotations

from crm_graph.domains.identity.clients import events
from crm_graph.domains.identity.clients.graph import clients, documents, keys
from crm_graph.domains.identity.clients.graph.types import ApiClient, ApiKey, Queries
from crm_graph.graph.schema.build import Slice

SLICE = Slice(
    "clients",
    records=(ApiClient, ApiKey),
    queries=(Queries,),
    mutations=(clients.Mutations, keys.Mutations, documents.Mutations),
    events=events.EVENTS,
)

__all__ = ["SLICE", "ApiClient", "ApiKey"]
