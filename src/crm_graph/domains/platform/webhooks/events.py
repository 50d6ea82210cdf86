"""What happens to webhook endpoints. That a request was sent is no event: a webhook about it would never end."""

from __future__ import annotations

from crm_graph.events.effects import Changes, Creates, Mentions, Removes


class WebhookEndpointCreated(Creates):
    """Events are told to an address from now on."""


class WebhookEndpointUpdated(Changes):
    """An endpoint's address, events, selection, roles or state were changed by somebody."""


class WebhookEndpointDeleted(Removes):
    """An endpoint was removed with all of its deliveries."""


class WebhookSecretRotated(Changes):
    """An endpoint has a new signing secret. The log does not hold it."""

    overlap_hours: int
    """How long requests are signed with the old one too."""


class WebhookEndpointPinged(Mentions):
    """Somebody had a test request sent to an endpoint."""


class WebhookEndpointReplayed(Changes):
    """An endpoint is told again what happened since a position of the log."""

    after: str


class WebhookEndpointPaused(Changes):
    """The deliverer paused an endpoint: its selection is not valid under its roles any more."""

    reason: str


class WebhookEndpointDisabled(Changes):
    """The deliverer disabled an endpoint: it answered 410, or failed for as long as it is retried."""

    reason: str


class WebhookRedeliveryRequested(Changes):
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
