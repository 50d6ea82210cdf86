"""Webhook endpoints, their secrets, and the requests that are to be sent to them."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import BigInteger, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Id, LongText, Paragraph, RoleNames, Row, indexed, refers
from crm_graph.db.placement import LOCAL
from crm_graph.db.sizes import SizedJson, SizedList, SizedText


class EndpointStatus(Enum):
    """Whether an endpoint is told anything."""

    ACTIVE = "ACTIVE"
    PAUSED = "PAUSED"
    DISABLED = "DISABLED"


class DeliveryStatus(Enum):
    """What became of a request."""

    PENDING = "PENDING"
    DELIVERED = "DELIVERED"
    FAILED = "FAILED"
    DROPPED = "DROPPED"


class WebhookEndpoint(Row):
    """Where events are told. Statuses are text in the table: the deliverer writes them past the unit of work."""

    __tablename__ = "webhook_endpoint"
    __placement__ = LOCAL
    __table_args__ = (
        refers("workspace_id", "workspace"),
        Index("ix_webhook_endpoint_active", "workspace_id", "id", postgresql_where=text("status = 'ACTIVE'")),
    )

    url: Mapped[str]
    description: Mapped[str | None]
    event_types: Mapped[list[str]] = mapped_column(SizedList(200, 200))
    filter: Mapped[dict[str, Any] | None] = mapped_column(SizedJson(20_000, none_as_null=True))
    """Of which records, by their type (`graph.stored`)."""
    selection: Mapped[LongText | None]
    roles: Mapped[RoleNames]
    """Under which events are judged and the selection is executed."""
    without_client: Mapped[str | None]
    """The API client whose changes it is not told of, as the API spells it."""
    member_id: Mapped[Id | None]
    """Who answers for it: the member who made it or changed it last. It is told nothing once they are suspended, or do
    not hold its roles any more. None for one from before this was kept."""
    status: Mapped[str]
    status_reason: Mapped[Paragraph | None]
    cursor: Mapped[str]
    """The position of the log up to which deliveries were written (`LogCursor.encode`). Moved by the deliverer."""


class WebhookSecret(Row):
    """The sealed signing secret of an endpoint, `id` being the endpoint's, and the one before it while it is good."""

    __tablename__ = "webhook_secret"
    __placement__ = LOCAL
    __table_args__ = (refers("id", "webhook_endpoint", on_delete="CASCADE"),)

    sealed: Mapped[str]
    previous: Mapped[str | None]
    previous_until: Mapped[datetime | None]


class WebhookDelivery(Row):
    """One event that is told to one endpoint. Written by the deliverer, in the transaction that moves the cursor."""

    __tablename__ = "webhook_delivery"
    __placement__ = LOCAL
    __table_args__ = (
        refers("endpoint_id", "webhook_endpoint", on_delete="CASCADE"),
        indexed("webhook_delivery", "endpoint_id"),
        Index(
            "ix_webhook_delivery_due",
            "workspace_id",
            "endpoint_id",
            "next_attempt_at",
            postgresql_where=text("status = 'PENDING'"),
        ),
        Index(
            "ix_webhook_delivery_entity",
            "workspace_id",
            "endpoint_id",
            "entity_id",
            "event_seq",
            postgresql_where=text("status = 'PENDING'"),
        ),
        Index("ix_webhook_delivery_finished", "updated_at", postgresql_where=text("status <> 'PENDING'")),
    )

    endpoint_id: Mapped[Id]
    message_id: Mapped[str]
    """The `webhook-id`: the same for one event and endpoint, however often it is sent."""
    event_type: Mapped[str]
    event_cursor: Mapped[str | None]
    """The event's position; None for a ping."""
    event_seq: Mapped[int] = mapped_column(BigInteger)
    """The event's number: the order of the events of a record. 0 for a ping."""
    entity_id: Mapped[Id]
    """The record's; the endpoint's own for a ping."""
    record_id: Mapped[str]
    """As the API spells it."""
    status: Mapped[str]
    attempts: Mapped[int]
    first_attempt_at: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None]
    claimed_until: Mapped[datetime | None]
    """Until then a process is about to send it; one that died leaves it to the others."""
    claim: Mapped[Id | None]
    """Names the claim: who was too slow does not write over what another has found."""
    response_status: Mapped[int | None]
    response_body: Mapped[str | None] = mapped_column(SizedText(16 * 1024))
    request_body: Mapped[dict[str, Any] | None] = mapped_column(SizedJson(128 * 1024))
    duration_ms: Mapped[int | None]
    error: Mapped[str | None]
