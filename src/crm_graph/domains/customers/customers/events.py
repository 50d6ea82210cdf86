"""What happens to customers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CustomerCreated:
    """A customer was added."""


@dataclass(frozen=True, slots=True)
class CustomerUpdated:
    """A customer's data changed."""


@dataclass(frozen=True, slots=True)
class CustomerLifecycleChanged:
    """A customer moved along its lifecycle."""

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class CustomerDeleted:
    """A customer was removed."""


EVENTS = (CustomerCreated, CustomerUpdated, CustomerLifecycleChanged, CustomerDeleted)
