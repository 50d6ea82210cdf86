"""Who may see and change webhooks: administrators, and whom a role of the workspace grants it, within the roles that
they hold themselves (`operations`)."""

from __future__ import annotations

from crm_graph.db.base import HOUSEKEEPING, columns_of, table_of
from crm_graph.domains.platform.webhooks.events import WebhookEndpointUpdated
from crm_graph.domains.platform.webhooks.model import WebhookDelivery, WebhookEndpoint, WebhookSecret
from crm_graph.permissions.policy import Policy, Writer
from crm_graph.permissions.rights import Image, refuse_beyond


async def hold_roles(work: Writer, before: Image | None, after: Image | None) -> None:
    """The rule of what an endpoint is told, and where: it tells what its roles may read, so its writer holds them,
    before and after. Raises Refused FORBIDDEN."""
    if before is not None:
        refuse_beyond(work, before["roles"], "id")
    if after is not None:
        refuse_beyond(work, after["roles"])


WEBHOOK_ENDPOINT = Policy(
    "WebhookEndpoint",
    table_of(WebhookEndpoint),
    decides={name: hold_roles for name in columns_of(WebhookEndpoint) if name not in HOUSEKEEPING},
)
WEBHOOK_DELIVERY = Policy("WebhookDelivery", table_of(WebhookDelivery))
"""Its bodies hold what the endpoint's roles may read: whoever may read deliveries reads that."""
WEBHOOK_SECRET = Policy(
    "WebhookSecret", table_of(WebhookSecret), parent=(WEBHOOK_ENDPOINT, "id"), in_version=WebhookEndpointUpdated
)
"""Not a type of the schema: nothing reads it but the deliverer."""
