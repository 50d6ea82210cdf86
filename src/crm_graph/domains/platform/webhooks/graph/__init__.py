"""Webhooks in the schema."""

from __future__ import annotations

from crm_graph.domains.platform.webhooks import events
from crm_graph.domains.platform.webhooks.graph.mutations import Mutations
from crm_graph.domains.platform.webhooks.graph.types import Queries, WebhookDelivery, WebhookEndpoint
from crm_graph.domains.platform.webhooks.operations import forget_bodies
from crm_graph.graph.schema.build import Slice

SLICE = Slice(
    "webhooks",
    records=(WebhookEndpoint, WebhookDelivery),
    queries=(Queries,),
    mutations=(Mutations,),
    events=events.EVENTS,
    traces=(forget_bodies,),
)

__all__ = ["SLICE", "WebhookDelivery", "WebhookEndpoint"]
