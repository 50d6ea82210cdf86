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


@dataclass(frozen=True, slots=True)
class AccountTeamMemberAdded:
    """A member looks after a customer together with its owner."""

    customer_id: str
    member_id: str


@dataclass(frozen=True, slots=True)
class AccountTeamMemberRemoved:
    """A member was taken off a customer's account team."""

    customer_id: str
    member_id: str


EVENTS = (
    CustomerCreated,
    CustomerUpdated,
    CustomerLifecycleChanged,
    CustomerDeleted,
    AccountTeamMemberAdded,
    AccountTeamMemberRemoved,
)
