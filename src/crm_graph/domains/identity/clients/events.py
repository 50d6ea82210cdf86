"""What happens to API clients and to the documents that they may run."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiClientCreated:
    """A client of the API was made known."""


@dataclass(frozen=True, slots=True)
class ApiClientUpdated:
    """A client was renamed, or what it may do changed."""


@dataclass(frozen=True, slots=True)
class ApiClientDeleted:
    """A client was removed with its documents; the tokens that name it stop working."""


@dataclass(frozen=True, slots=True)
class ApiKeyCreated:
    """A key of a client was made; it was shown once, to whoever made it."""

    prefix: str


@dataclass(frozen=True, slots=True)
class ApiKeyRotated:
    """A key was followed by a new one, and goes on for the overlap only."""

    successor_id: str


@dataclass(frozen=True, slots=True)
class ApiKeyRevoked:
    """A key was revoked: it stops working with the next request."""


@dataclass(frozen=True, slots=True)
class TrustedDocumentAdded:
    """A document was trusted, for one client or for all of the workspace."""

    sha256: str


@dataclass(frozen=True, slots=True)
class TrustedDocumentRemoved:
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
