"""What happens to products."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProductCreated:
    """A product was added to the catalogue."""


@dataclass(frozen=True, slots=True)
class ProductUpdated:
    """A product's data or price changed."""


@dataclass(frozen=True, slots=True)
class ProductDeleted:
    """A product was removed."""


EVENTS = (ProductCreated, ProductUpdated, ProductDeleted)
