"""What happens to contacts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ContactCreated:
    """A contact was added to a customer."""


@dataclass(frozen=True, slots=True)
class ContactUpdated:
    """A contact's data changed."""


@dataclass(frozen=True, slots=True)
class ContactDeleted:
    """A contact was removed."""


EVENTS = (ContactCreated, ContactUpdated, ContactDeleted)
