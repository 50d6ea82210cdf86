"""The enums of webhooks."""

from __future__ import annotations

from crm_graph.domains.platform.webhooks.model import DeliveryStatus, EndpointStatus
from crm_graph.graph.records.enums import describe

describe(
    EndpointStatus,
    "Whether a webhook endpoint is told anything.",
    {
        "ACTIVE": "The endpoint is told what happens.",
        "PAUSED": "The endpoint is told nothing for a while; when it is ACTIVE again it is told what happened in"
        " between.",
        "DISABLED": "The endpoint is told nothing: it answered 410, failed for days, or somebody decided so.",
    },
    name="WebhookEndpointStatus",
)
describe(
    DeliveryStatus,
    "What became of a request to a webhook endpoint.",
    {
        "PENDING": "The request is going to be sent, or sent again.",
        "DELIVERED": "The endpoint answered with a status of 200 to 299.",
        "FAILED": "The delivery was given up.",
        "DROPPED": "The request was not sent: the endpoint's roles may not see the record any more.",
    },
    name="WebhookDeliveryStatus",
)

__all__ = ["DeliveryStatus", "EndpointStatus"]
