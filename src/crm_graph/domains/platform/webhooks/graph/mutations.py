"""Mutations of webhook endpoints."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import strawberry

from crm_graph.domains.platform.webhooks import model, operations
from crm_graph.domains.platform.webhooks.graph.enums import EndpointStatus
from crm_graph.domains.platform.webhooks.graph.types import WebhookDelivery, WebhookEndpoint
from crm_graph.domains.platform.webhooks.operations import Edge
from crm_graph.domains.platform.webhooks.policy import WEBHOOK_DELIVERY, WEBHOOK_ENDPOINT
from crm_graph.domains.platform.webhooks.rules import SelectionCheck
from crm_graph.graph.context import Info
from crm_graph.graph.idempotency.once import answer_once
from crm_graph.graph.idempotency.values import shown_once
from crm_graph.graph.payloads import (
    DeletePayload,
    Payload,
    field_names,
    given,
    key_of,
    perform,
    perform_delete,
    user_error,
)
from crm_graph.graph.reading.sizes import sized
from crm_graph.graph.records.record import by_key
from crm_graph.graph.records.scalars import JSON
from crm_graph.graph.writes import does
from crm_graph.permissions.grants import CREATE, DELETE, UPDATE
from crm_graph.work import Work

_TEXTS = {
    "url": "Where requests are sent: https; its address must be a public one unless the operator allows others.",
    "description": "What it is for.",
    "event_types": "The events to tell, as listed in schema/events.json.",
    "filter": "Which records to tell of: for each record type a filter, like the `where` of its list: "
    '`{"Opportunity": {"source": {"eq": "fair"}}}`. '
    "All records of a type that is not named are told of. A record that begins or ceases to match is told too:"
    " see `kind`.",
    "selection": "A query to run for each event under the endpoint's roles; its one variable, if any, is `$id: ID!`, "
    "the record's id.",
    "roles": "The roles whose permissions decide what is sent; you must hold them.",
    "without_client": "An API client, `apc_...`, whose own changes are not told: for a program that writes here and"
    " listens here, its own. What its changes bring or take of other records is told.",
    "status": "Whether the endpoint is told anything.",
}


def _maybe(name: str) -> Any:
    return strawberry.field(description=_TEXTS[name])


@sized(model.WebhookEndpoint)
@strawberry.input(description="A new webhook endpoint.")
class CreateWebhookEndpointInput:
    """See `operations.create_endpoint`."""

    url: str = _maybe("url")
    event_types: list[str] = _maybe("event_types")
    roles: list[str] = _maybe("roles")
    description: str | None = strawberry.field(description=_TEXTS["description"], default=None)
    filter: JSON | None = strawberry.field(description=_TEXTS["filter"], default=None)
    selection: str | None = strawberry.field(description=_TEXTS["selection"], default=None)
    without_client: strawberry.ID | None = strawberry.field(description=_TEXTS["without_client"], default=None)


@sized(model.WebhookEndpoint)
@strawberry.input(description="Changes to a webhook endpoint; what is left out stays.")
class UpdateWebhookEndpointInput:
    """See `operations.update_endpoint`."""

    id: strawberry.ID = strawberry.field(description="The endpoint.")
    if_version: int | None = strawberry.field(description="Refuse if the endpoint is at another version.", default=None)
    url: strawberry.Maybe[str] = _maybe("url")
    event_types: strawberry.Maybe[list[str]] = _maybe("event_types")
    roles: strawberry.Maybe[list[str]] = _maybe("roles")
    description: strawberry.Maybe[str | None] = _maybe("description")
    filter: strawberry.Maybe[JSON | None] = _maybe("filter")
    selection: strawberry.Maybe[str | None] = _maybe("selection")
    without_client: strawberry.Maybe[strawberry.ID | None] = _maybe("without_client")
    status: strawberry.Maybe[EndpointStatus] = _maybe("status")


@strawberry.input(description="A webhook endpoint to delete.")
class DeleteWebhookEndpointInput:
    """See `operations.delete_endpoint`."""

    id: strawberry.ID = strawberry.field(description="The endpoint.")
    if_version: int | None = strawberry.field(description="Refuse if the endpoint is at another version.", default=None)


@strawberry.input(description="A webhook endpoint that is to have a new signing secret.")
class RotateWebhookEndpointSecretInput:
    """See `operations.rotate_secret`."""

    id: strawberry.ID = strawberry.field(description="The endpoint.")
    overlap_hours: int = strawberry.field(
        description="For how many hours requests are signed with the old secret too, at most 720.", default=24
    )


@strawberry.input(description="A webhook endpoint to send a test request to.")
class PingWebhookEndpointInput:
    """See `operations.ping`."""

    id: strawberry.ID = strawberry.field(description="The endpoint.")


@strawberry.input(description="A webhook endpoint that is to be told again what happened.")
class ReplayWebhookEndpointInput:
    """See `operations.replay`."""

    id: strawberry.ID = strawberry.field(description="The endpoint.")
    after: str = strawberry.field(description="The position of the event log after which everything is told again.")


@strawberry.input(description="A request to send again.")
class RedeliverWebhookDeliveryInput:
    """See `operations.redeliver`."""

    id: strawberry.ID = strawberry.field(description="The delivery.")


@strawberry.type(description="A webhook endpoint, or why not.")
class WebhookEndpointPayload(Payload):
    """What mutations of endpoints return."""

    webhook_endpoint: WebhookEndpoint | None = by_key("record_id", "The endpoint; null when refused.")


@strawberry.type(description="A webhook endpoint with a new signing secret, or why not.")
class WebhookSecretPayload(Payload):
    """What mutations that make a secret return: here, and nowhere else, is its text."""

    webhook_endpoint: WebhookEndpoint | None = by_key("record_id", "The endpoint; null when refused.")
    secret: str | None = shown_once(
        "The signing secret, `whsec_...`, for a Standard Webhooks library. Keep it: it is not shown again.",
        "Make a new one by `rotateWebhookEndpointSecret`.",
        default=None,
    )


@strawberry.type(description="A request to a webhook endpoint, or why not.")
class WebhookDeliveryPayload(Payload):
    """What mutations of deliveries return."""

    webhook_delivery: WebhookDelivery | None = by_key("record_id", "The delivery; null when refused.")


class Mutations:
    """Fields of Mutation."""

    @strawberry.mutation(
        description="Tells events to an address from now on. The answer holds the signing secret, which is not shown "
        "again.",
        metadata=does(WEBHOOK_ENDPOINT, CREATE),
    )
    async def create_webhook_endpoint(self, info: Info, input: CreateWebhookEndpointInput) -> WebhookSecretPayload:
        return await _secret(
            info, lambda work: operations.create_endpoint(work, _edge(info), given(input), field_names(input))
        )

    @strawberry.mutation(
        description="Changes a webhook endpoint, whose roles you must hold. One that becomes ACTIVE goes on where it "
        "was: what happened in between is told.",
        metadata=does(WEBHOOK_ENDPOINT, UPDATE),
    )
    async def update_webhook_endpoint(self, info: Info, input: UpdateWebhookEndpointInput) -> WebhookEndpointPayload:
        leave_out = ("id", "if_version")
        return await perform(
            info,
            WebhookEndpointPayload,
            lambda work: operations.update_endpoint(
                work,
                _edge(info),
                key_of(WebhookEndpoint, input.id),
                given(input, *leave_out),
                field_names(input, *leave_out),
                input.if_version,
            ),
        )

    @strawberry.mutation(
        description="Deletes a webhook endpoint with all of its deliveries.", metadata=does(WEBHOOK_ENDPOINT, DELETE)
    )
    async def delete_webhook_endpoint(self, info: Info, input: DeleteWebhookEndpointInput) -> DeletePayload:
        return await perform_delete(
            info,
            input.id,
            lambda work: operations.delete_endpoint(work, key_of(WebhookEndpoint, input.id), input.if_version),
        )

    @strawberry.mutation(
        description="Makes a new signing secret. For the overlap each request has two signatures, one by the old one.",
        metadata=does(WEBHOOK_ENDPOINT, UPDATE),
    )
    async def rotate_webhook_endpoint_secret(
        self, info: Info, input: RotateWebhookEndpointSecretInput
    ) -> WebhookSecretPayload:
        return await _secret(
            info,
            lambda work: operations.rotate_secret(
                work, _edge(info), key_of(WebhookEndpoint, input.id), input.overlap_hours
            ),
        )

    @strawberry.mutation(
        description="Sends a test request, `WebhookPing`, to an ACTIVE endpoint.",
        metadata=does(WEBHOOK_ENDPOINT, UPDATE),
    )
    async def ping_webhook_endpoint(self, info: Info, input: PingWebhookEndpointInput) -> WebhookDeliveryPayload:
        return await perform(
            info, WebhookDeliveryPayload, lambda work: operations.ping(work, key_of(WebhookEndpoint, input.id))
        )

    @strawberry.mutation(
        description="Tells an endpoint again what happened after a position of the event log, each event with the "
        "`webhook-id` that it had, and with the permissions of now.",
        metadata=does(WEBHOOK_ENDPOINT, UPDATE),
    )
    async def replay_webhook_endpoint(self, info: Info, input: ReplayWebhookEndpointInput) -> WebhookEndpointPayload:
        return await perform(
            info,
            WebhookEndpointPayload,
            lambda work: operations.replay(work, key_of(WebhookEndpoint, input.id), input.after),
        )

    @strawberry.mutation(
        description="Sends a request again that was delivered, dropped or given up.",
        metadata=does(WEBHOOK_DELIVERY, UPDATE),
    )
    async def redeliver_webhook_delivery(
        self, info: Info, input: RedeliverWebhookDeliveryInput
    ) -> WebhookDeliveryPayload:
        return await perform(
            info, WebhookDeliveryPayload, lambda work: operations.redeliver(work, key_of(WebhookDelivery, input.id))
        )


def _edge(info: Info) -> Edge:
    return Edge(info.context.services, info.context.port(SelectionCheck))  # type: ignore[type-abstract]


async def _secret(info: Info, operation: Callable[[Work], Awaitable[tuple[str, str]]]) -> WebhookSecretPayload:
    """Perform an operation that makes a secret. Its text goes into the answer, and only once it is committed."""

    async def done(work: Work) -> WebhookSecretPayload:
        id_, text = await operation(work)
        return WebhookSecretPayload(record_id=id_, errors=[], secret=text)

    return await answer_once(
        info,
        WebhookSecretPayload,
        done,
        lambda refused: WebhookSecretPayload(record_id=None, errors=[user_error(refused)]),
    )
