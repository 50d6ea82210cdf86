"""Webhook endpoints and deliveries as records."""

from __future__ import annotations

from datetime import datetime

import strawberry

from crm_graph.domains.platform.webhooks import model, policy
from crm_graph.domains.platform.webhooks.graph.enums import DeliveryStatus, EndpointStatus
from crm_graph.domains.platform.webhooks.operations import PREFIX
from crm_graph.graph.records import roots
from crm_graph.graph.records.record import Node, column, record, to_many, to_one
from crm_graph.graph.records.scalars import JSON
from crm_graph.graph.records.types import Connection


@record(PREFIX, model.WebhookEndpoint, policy.WEBHOOK_ENDPOINT)
class WebhookEndpoint(Node):
    """Where a program is told what happens, by signed requests (Standard Webhooks). Events of a record come in their
    order; a request can come twice, with the same `webhook-id`."""

    url: str = column("Where requests are sent.")
    description: str | None = column("What it is for.")
    event_types: list[str] | None = column("The events that it is told, as listed in schema/events.json.")
    filter: JSON | None = column(
        "Which records to tell of: for each record type a filter, like the `where` of its list; null for all records."
    )
    selection: str | None = column("The query that is run for each event with the record's id as `$id`.")
    roles: list[str] | None = column(
        "The roles whose permissions decide what is sent. The endpoint owns no rows and is in no team:"
        " grants for own rows, or for rows of a team, show it nothing."
    )
    without_client: strawberry.ID | None = column("The API client whose own changes it is not told of.")
    status: EndpointStatus = column("Whether the endpoint is told anything.")
    status_reason: str | None = column("Why it was paused or disabled, where nobody did so.")
    cursor: str | None = column("The position of the event log up to which its deliveries were made.")
    deliveries: Connection[WebhookDelivery] = to_many("endpoint_id", "What was sent to it, and what is going to be.")
    version: int = column("Counts the changes of this record; send it as `ifVersion` to refuse a lost update.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


@record("whd", model.WebhookDelivery, policy.WEBHOOK_DELIVERY)
class WebhookDelivery(Node):
    """One event that is told to one endpoint."""

    endpoint: WebhookEndpoint | None = to_one("endpoint_id", "The endpoint that is told of the event.")
    message_id: str = column("The `webhook-id` header: the same however often it is sent.")
    event_type: str = column("What happened; `WebhookPing` for a test.")
    event_cursor: str | None = column("The event's position in the log; null for a test.")
    record_id: strawberry.ID | None = column("The id of the record that it happened to.")
    status: DeliveryStatus = column("What became of the delivery.")
    attempts: int | None = column("How often the request was sent.")
    next_attempt_at: datetime | None = column("When the request is sent, or sent again.")
    response_status: int | None = column("The HTTP status of the last answer; null where there was none.")
    response_body: str | None = column("The last answer's body, its beginning.")
    request_body: JSON | None = column("What was last sent: what the endpoint's roles were allowed to read.")
    duration_ms: int | None = column("How long the last attempt took, in milliseconds.")
    error: str | None = column("Why the last attempt failed.")
    version: int = column("Counts the changes.")
    created_at: datetime = column("When the deliverer read the event.")
    updated_at: datetime = column("When the request was last sent.")


class Queries:
    """Fields of Query."""

    webhook_endpoint: WebhookEndpoint | None = roots.one("A webhook endpoint by id.")
    webhook_endpoints: Connection[WebhookEndpoint] = roots.many("The webhook endpoints of the workspace.")
    webhook_delivery: WebhookDelivery | None = roots.one("A request to a webhook endpoint by id.")
    webhook_deliveries: Connection[WebhookDelivery] = roots.many("The requests to all webhook endpoints.")
