"""Who may see and change webhooks: administrators, and whom a role of the workspace grants it, within the roles that
they hold themselves (`operations`)."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.domains.workspace.webhooks.events import WebhookEndpointUpdated
from crm_graph.domains.workspace.webhooks.model import WebhookDelivery, WebhookEndpoint, WebhookSecret
from crm_graph.permissions.policy import Policy

WEBHOOK_ENDPOINT = Policy("WebhookEndpoint", table_of(WebhookEndpoint))
WEBHOOK_DELIVERY = Policy("WebhookDelivery", table_of(WebhookDelivery))
"""Its bodies hold what the endpoint's roles may read: whoever may read deliveries reads that."""
WEBHOOK_SECRET = Policy(
    "WebhookSecret", table_of(WebhookSecret), parent=(WEBHOOK_ENDPOINT, "id"), in_version=WebhookEndpointUpdated
)
"""Not a type of the schema: nothing reads it but the deliverer."""
