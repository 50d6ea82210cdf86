"""What happens to customers."""

from __future__ import annotations

from crm_graph.events.effects import Changes, Creates, Removes


class CustomerCreated(Creates):
    """A customer was added."""


class CustomerUpdated(Changes):
    """A customer's data changed."""


class CustomerLifecycleChanged(Changes):
    """A customer moved along its lifecycle."""

    before: str
    after: str


class CustomerDeleted(Removes):
    """A customer was removed."""


class AccountTeamMemberAdded(Creates):
    """A member looks after a customer together with its owner."""

    customer_id: str
    member_id: str


class AccountTeamMemberRemoved(Removes):
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
