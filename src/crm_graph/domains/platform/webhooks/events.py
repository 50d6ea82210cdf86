"""What happens to webhook endpoints. That a request was sent is no event: a webhook about it would never end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WebhookEndpointCreated:
    """Events are told to an address from now on."""


@dataclass(frozen=True, slots=True)
class WebhookEndpointUpdated:
    """An endpoint's address, events, selection, roles or state were changed by somebody."""


@dataclass(frozen=True, slots=True)
class WebhookEndpointDeleted:
    """An endpoint was removed with all of its deliveries."""


@dataclass(frozen=True, slots=True)
class WebhookSecretRotated:
    """An endpoint has a new signing secret. The log does not hold it."""

    overlap_hours: int
    """How long requests are signed with the old one too."""


@dataclass(frozen=True, slots=True)
class WebhookEndpointPinged:
    """Somebody had a test request sent to an endpoint."""


@dataclass(frozen=True, slots=True)
class WebhookEndpointReplayed:
    """An endpoint is told again what happened since a position of the log."""

    after: str


@dataclass(frozen=True, slots=True)
class WebhookEndpointPaused:
    """The deliverer paused an endpoint: its selection is not valid under its roles any more."""

    reason: str


@dataclass(frozen=True, slots=True)
class WebhookEndpointDisabled:
    """The deliverer disabled an endpoint: it answered 410, or failed for as long as it is retried."""

    reason: str


@dataclass(frozen=True, slots=True)
class WebhookRedeliveryRequested:
    """Somebody asked for a request to be sent again."""


EVENTS = (
    WebhookEndpointCreated,
    WebhookEndpointUpdated,
    WebhookEndpointDeleted,
    WebhookSecretRotated,
    WebhookEndpointPinged,
    WebhookEndpointReplayed,
    WebhookEndpointPaused,
    WebhookEndpointDisabled,
    WebhookRedeliveryRequested,
)
