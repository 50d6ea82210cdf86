"""The only writers of webhook endpoints, beside the deliverer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from crm_graph.db.statements import Statement
from crm_graph.domains.identity.clients.model import ApiClient
from crm_graph.domains.identity.clients.policy import API_CLIENT
from crm_graph.domains.platform.webhooks import events
from crm_graph.domains.platform.webhooks.model import (
    DeliveryStatus,
    EndpointStatus,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookSecret,
)
from crm_graph.domains.platform.webhooks.policy import WEBHOOK_DELIVERY, WEBHOOK_ENDPOINT, WEBHOOK_SECRET
from crm_graph.domains.platform.webhooks.rules import (
    DEFINITIONS,
    SelectionCheck,
    check_event_types,
    check_roles,
    check_url,
    viewer_of,
)
from crm_graph.domains.platform.webhooks.signing import message_id, new_secret, seal_secret
from crm_graph.events.log import end
from crm_graph.identity.services import Services
from crm_graph.identity.tokens import CLIENT_PREFIX
from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.errors import Refused
from crm_graph.kernel.ids import decode_id, encode_id, new_id
from crm_graph.permissions.rights import refuse_beyond
from crm_graph.referring import Copied
from crm_graph.work import CREATE, DELETE, UPDATE, Work

PING = "WebhookPing"
"""The type of a test request. No event of the log has it."""
PREFIX = "whe"
MAX_OVERLAP_HOURS = 720
_COUNT = Statement("SELECT count(*) FROM webhook_endpoint WHERE workspace_id = $1", ("workspace_id",), {})
_ALONE = Statement(
    "SELECT pg_advisory_xact_lock(hashtextextended('webhook selections ' || $1::uuid, 0))", ("workspace_id",), {}
)
"""Selections of a workspace are stored one after another, or two would both find room."""
_SELECTIONS = Statement(
    "SELECT selection FROM webhook_endpoint WHERE workspace_id = $1 AND id <> $2 AND selection IS NOT NULL"
    " AND status <> 'DISABLED'",
    ("workspace_id", "id"),
    {},
)
_SECRET = Statement(
    "SELECT sealed FROM webhook_secret WHERE workspace_id = $1 AND id = $2 FOR UPDATE", ("workspace_id", "id"), {}
)
_ROTATE = Statement(
    "UPDATE webhook_secret SET previous = sealed, previous_until = $4, sealed = $3, version = version + 1,"
    " updated_at = $5 WHERE workspace_id = $1 AND id = $2",
    ("workspace_id", "id", "sealed", "until", "now"),
    {},
)
_TRY_AGAIN = Statement(
    "UPDATE webhook_delivery SET attempts = 0, first_attempt_at = NULL, next_attempt_at = $3"
    " WHERE workspace_id = $1 AND endpoint_id = $2 AND status = 'PENDING'",
    ("workspace_id", "id", "now"),
    {},
)


@dataclass(frozen=True, slots=True)
class Edge:
    """What operations on endpoints ask of the process."""

    services: Services
    check: SelectionCheck


async def create_endpoint(work: Work, edge: Edge, values: Mapping[str, Any], given: tuple[str, ...]) -> tuple[str, str]:
    """Tell events to an address, from now on; returns the endpoint's id and its signing secret. Raises Refused."""
    work.may(WEBHOOK_ENDPOINT, CREATE, given)
    await work.alone()
    limit = edge.services.settings.max_webhook_endpoints
    (count,) = await work.session.fetch(_COUNT, work.viewer.binds)
    if count[0] >= limit:
        raise Refused("INVALID", f"A workspace can have no more than {limit} webhook endpoints.", ())
    cursor = await end(work.session)
    endpoint: WebhookEndpoint = WebhookEndpoint.make(
        **{
            **dict.fromkeys(("description", "filter", "selection", "without_client")),
            "status": EndpointStatus.ACTIVE.value,
            **values,
        },
        status_reason=None,
        member_id=work.viewer.member_id,
        cursor=cursor.encode(),
    )
    await _check_client(work, endpoint.without_client)
    await _check(work, edge, endpoint)
    await _check_total(work, edge, endpoint)
    await work.create(endpoint, WEBHOOK_ENDPOINT, events.WebhookEndpointCreated(), given)
    secret = new_secret()
    sealed = seal_secret(edge.services, work.viewer.workspace_id, secret)
    part = WebhookSecret.make(id=endpoint.id, sealed=sealed, previous=None, previous_until=None)
    await work.add_part(part, WEBHOOK_SECRET)
    return endpoint.id, secret


async def update_endpoint(
    work: Work, edge: Edge, id_: str, values: Mapping[str, Any], given: tuple[str, ...], if_version: int | None
) -> str:
    """Change an endpoint; see `create_endpoint`. The viewer answers for it from now on. One that becomes ACTIVE goes on
    where it was: what happened in between is told, and what waits is tried anew. Raises Refused."""
    work.may(WEBHOOK_ENDPOINT, UPDATE, given)
    endpoint = await work.get(WebhookEndpoint, WEBHOOK_ENDPOINT, id_, UPDATE, if_version, given=given)
    await _check_client(work, values.get("without_client"))
    refuse_beyond(work, endpoint.roles, "id")
    was = endpoint.status
    for name, value in values.items():
        setattr(endpoint, name, value)
    if endpoint.status != was:
        endpoint.status_reason = None
    endpoint.member_id = work.viewer.member_id
    await _check(work, edge, endpoint)
    became_active = endpoint.status == EndpointStatus.ACTIVE.value and was != endpoint.status
    if "selection" in values or became_active:
        await _check_total(work, edge, endpoint)
    await work.save(endpoint, WEBHOOK_ENDPOINT, events.WebhookEndpointUpdated())
    if became_active:
        await work.session.execute(_TRY_AGAIN, {**work.viewer.binds, "id": endpoint.id, "now": work.now})
    return endpoint.id


async def delete_endpoint(work: Work, id_: str, if_version: int | None) -> None:
    """Tell an address nothing more; its deliveries go too, those that wait included."""
    endpoint = await work.get(WebhookEndpoint, WEBHOOK_ENDPOINT, id_, DELETE, if_version)
    await work.delete(endpoint, WEBHOOK_ENDPOINT, events.WebhookEndpointDeleted())


async def rotate_secret(work: Work, edge: Edge, id_: str, overlap_hours: int) -> tuple[str, str]:
    """Make a new signing secret; for the overlap requests are signed with the old one too. Raises Refused."""
    if not 0 <= overlap_hours <= MAX_OVERLAP_HOURS:
        raise Refused("INVALID", f"`overlapHours` must be 0 to {MAX_OVERLAP_HOURS}.", ("overlapHours",))
    endpoint = await _get(work, id_)
    secret = new_secret()
    binds = {**work.viewer.binds, "id": endpoint.id}
    await work.session.execute(_SECRET, binds)
    rotated = {
        "sealed": seal_secret(edge.services, work.viewer.workspace_id, secret),
        "until": work.now + timedelta(hours=overlap_hours),
        "now": work.now,
    }
    await work.session.execute(_ROTATE, {**binds, **rotated})
    await work.save(endpoint, WEBHOOK_ENDPOINT, events.WebhookSecretRotated(overlap_hours), beside={})
    return endpoint.id, secret


async def ping(work: Work, id_: str) -> str:
    """Have a test request sent; returns the delivery's id. Raises Refused ILLEGAL_TRANSITION unless it is ACTIVE."""
    endpoint = await _get(work, id_)
    _require_active(endpoint)
    delivery_id = new_id()
    row: WebhookDelivery = WebhookDelivery.make(
        id=delivery_id,
        **dict.fromkeys(
            [
                "event_cursor",
                "first_attempt_at",
                "claimed_until",
                "claim",
                "response_status",
                "response_body",
                "request_body",
                "duration_ms",
                "error",
            ]
        ),
        endpoint_id=endpoint.id,
        message_id=message_id(endpoint.id, delivery_id),
        event_type=PING,
        event_seq=0,
        entity_id=endpoint.id,
        record_id=encode_id(PREFIX, endpoint.id),
        status=DeliveryStatus.PENDING.value,
        attempts=0,
        next_attempt_at=work.now,
    )
    await work.add_part(row, WEBHOOK_DELIVERY)
    await work.record(WEBHOOK_ENDPOINT, endpoint.id, events.WebhookEndpointPinged(), {})
    return delivery_id


async def replay(work: Work, id_: str, after: str) -> str:
    """Tell an endpoint again what happened since a position of the log, each with the `webhook-id` that it had. Raises
    Refused INVALID for what is no position, and for one that is not behind the endpoint's."""
    endpoint = await _get(work, id_)
    position, current = LogCursor.decode(after), LogCursor.decode(endpoint.cursor)
    assert current is not None
    if position is None:
        raise Refused("INVALID", "`after` is not a cursor of the event log, `1a2b-3c`.", ("after",))
    if position > current:
        raise Refused("INVALID", f"`after` lies ahead of the endpoint, which is at `{endpoint.cursor}`.", ("after",))
    endpoint.cursor = position.encode()
    await work.save(endpoint, WEBHOOK_ENDPOINT, events.WebhookEndpointReplayed(after))
    return endpoint.id


async def redeliver(work: Work, id_: str) -> str:
    """Send a request again, with the permissions and the selection of now. Raises Refused ILLEGAL_TRANSITION while it
    waits anyway, or its endpoint is not ACTIVE."""
    delivery = await work.get(WebhookDelivery, WEBHOOK_DELIVERY, id_, UPDATE)
    reads = {"status": Copied("status")}
    endpoint = await work.refer(WebhookEndpoint, WEBHOOK_ENDPOINT, delivery.endpoint_id, "id", reads, ("roles",))
    refuse_beyond(work, endpoint.roles, "id")
    _require_active(endpoint)
    if delivery.status == DeliveryStatus.PENDING.value:
        raise Refused("ILLEGAL_TRANSITION", "This delivery is still PENDING: it is going to be sent.", ("id",))
    delivery.status = DeliveryStatus.PENDING.value
    delivery.attempts, delivery.first_attempt_at, delivery.next_attempt_at = 0, None, work.now
    await work.save(delivery, WEBHOOK_DELIVERY, events.WebhookRedeliveryRequested())
    return delivery.id


async def _get(work: Work, id_: str) -> WebhookEndpoint:
    """Return an endpoint that the viewer may update, with roles that they hold."""
    endpoint: WebhookEndpoint = await work.get(WebhookEndpoint, WEBHOOK_ENDPOINT, id_, UPDATE)
    refuse_beyond(work, endpoint.roles, "id")
    return endpoint


def _require_active(endpoint: WebhookEndpoint) -> None:
    if endpoint.status != EndpointStatus.ACTIVE.value:
        raise Refused(
            "ILLEGAL_TRANSITION", f"The endpoint is {endpoint.status}: nothing is sent until it is ACTIVE.", ("id",)
        )


async def _check_client(work: Work, id_: str | None) -> None:
    """Raise Refused NOT_FOUND for a client that the viewer does not use and may not see."""
    client_id = None if id_ is None else decode_id(CLIENT_PREFIX, id_)
    if id_ is None or (client_id is not None and client_id == work.viewer.client_id):
        return
    if client_id is None:
        raise Refused("NOT_FOUND", "`withoutClient` is not the id of an API client.", ("withoutClient",))
    await work.refer(ApiClient, API_CLIENT, client_id, "withoutClient")


async def _check(work: Work, edge: Edge, endpoint: WebhookEndpoint) -> None:
    """Raise Refused for an endpoint that cannot be meant, at the field that is wrong."""
    check_url(endpoint.url)
    check_event_types(endpoint.event_types, edge.check.event_types)
    await check_roles(work, endpoint.roles)
    if endpoint.filter is None and endpoint.selection is None:
        return
    workspace_id = work.viewer.workspace_id
    answers = {"member_id": endpoint.member_id, "changed_at": work.now}
    binds = {"workspace_id": workspace_id, "roles": endpoint.roles, **answers}
    (row,) = await work.session.fetch(DEFINITIONS, binds)
    viewer = viewer_of(workspace_id, endpoint.id, endpoint.roles, tuple(row))
    edge.check.check_filter(viewer, endpoint.filter)
    if endpoint.selection is not None:
        await edge.check.check(viewer, endpoint.selection)


async def _check_total(work: Work, edge: Edge, endpoint: WebhookEndpoint) -> None:
    """Raise Refused where the selections of all endpoints cost too much together: each event executes many of them."""
    if endpoint.selection is None:
        return
    await work.session.execute(_ALONE, work.viewer.binds)
    others = await work.session.fetch(_SELECTIONS, {**work.viewer.binds, "id": endpoint.id})
    most, own = edge.services.settings.max_webhook_cost, edge.check.cost(endpoint.selection)
    total = own + sum(edge.check.cost(row["selection"]) for row in others)
    if total > most:
        message = (
            f"This selection costs {own:,}; with those of the other endpoints it is {total:,}, and a workspace may have"
            f" {most:,}: select less."
        )
        raise Refused("INVALID", message, ("selection",))


async def forget_bodies(work: Work) -> None:
    """Forget what was sent to the endpoints of a workspace and what they answered: any of it may show a person who is
    erased. What is being sent is nobody's any more, so that it does not write down what it shows, and is sent anew."""
    await work.session.execute(_FORGET_BODIES, {"workspace_id": work.viewer.workspace_id})


_FORGET_BODIES = Statement(
    "UPDATE webhook_delivery SET request_body = NULL, response_body = NULL, error = NULL, claim = NULL,"
    " claimed_until = NULL WHERE workspace_id = $1"
    " AND (request_body IS NOT NULL OR response_body IS NOT NULL OR error IS NOT NULL OR claim IS NOT NULL)",
    ("workspace_id",),
    {},
)
