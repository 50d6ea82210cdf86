"""What happens to API clients and to the documents that they may run."""

from __future__ import annotations

from crm_graph.events.effects import Changes, Creates, Removes


class ApiClientCreated(Creates):
    """A client of the API was made known."""


class ApiClientUpdated(Changes):
    """A client was renamed, or what it may do changed."""


class ApiClientDeleted(Removes):
    """A client was removed with its documents; the tokens that name it stop working."""


class ApiKeyCreated(Creates):
    """A key of a client was made; it was shown once, to whoever made it."""

    prefix: str


class ApiKeyRotated(Changes):
    """A key was followed by a new one, and goes on for the overlap only."""

    successor_id: str


class ApiKeyRevoked(Changes):
    """A key was revoked: it stops working with the next request."""


class TrustedDocumentAdded(Creates):
    """A document was trusted, for one client or for all of the workspace."""

    sha256: str


class TrustedDocumentRemoved(Removes):
    """A document is trusted no more."""

    sha256: str


EVENTS = (
    ApiClientCreated,
    ApiClientUpdated,
    ApiClientDeleted,
    ApiKeyCreated,
    ApiKeyRotated,
    ApiKeyRevoked,
    TrustedDocumentAdded,
    TrustedDocumentRemoved,
)
