"""What happens to tickets and their replies."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TicketCreated:
    """A ticket was opened under a number."""

    number: str


@dataclass(frozen=True, slots=True)
class TicketUpdated:
    """A ticket's data changed, its status did not."""


@dataclass(frozen=True, slots=True)
class TicketAssigned:
    """A ticket was given to a member; `before` is who had it until then."""

    before: str | None
    assignee_id: str


@dataclass(frozen=True, slots=True)
class TicketHeld:
    """A ticket began to wait for the customer."""


@dataclass(frozen=True, slots=True)
class TicketResumed:
    """A ticket stopped waiting for the customer."""


@dataclass(frozen=True, slots=True)
class TicketAnswered:
    """A ticket got its first public reply."""


@dataclass(frozen=True, slots=True)
class TicketResolved:
    """A ticket was resolved."""

    before: str


@dataclass(frozen=True, slots=True)
class TicketClosed:
    """A resolved ticket was put away."""


@dataclass(frozen=True, slots=True)
class TicketReopened:
    """A resolved or closed ticket was taken up again."""

    before: str


@dataclass(frozen=True, slots=True)
class TicketDeleted:
    """A ticket was removed with its replies."""


@dataclass(frozen=True, slots=True)
class TicketReplyAdded:
    """A reply, or a note that the customer does not see, was added to a ticket."""

    ticket_id: str
    public: bool


EVENTS = (
    TicketCreated,
    TicketUpdated,
    TicketAssigned,
    TicketHeld,
    TicketResumed,
    TicketAnswered,
    TicketResolved,
    TicketClosed,
    TicketReopened,
    TicketDeleted,
    TicketReplyAdded,
)
