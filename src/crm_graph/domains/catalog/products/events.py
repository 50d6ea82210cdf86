"""What happens to products."""

from __future__ import annotations

from crm_graph.events.effects import Changes, Creates, Removes


class ProductCreated(Creates):
    """A product was added to the catalogue."""


class ProductUpdated(Changes):
    """A product's data or price changed."""


class ProductDeleted(Removes):
    """A product was removed."""


EVENTS = (ProductCreated, ProductUpdated, ProductDeleted)
