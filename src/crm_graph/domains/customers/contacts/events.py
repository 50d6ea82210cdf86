"""What happens to contacts."""

from __future__ import annotations

from crm_graph.events.effects import Changes, Creates, Removes


class ContactCreated(Creates):
    """A contact was added to a customer."""


class ContactUpdated(Changes):
    """A contact's data changed."""


class ContactDeleted(Removes):
    """A contact was removed."""


EVENTS = (ContactCreated, ContactUpdated, ContactDeleted)
