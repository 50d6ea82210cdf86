"""What happens to tickets and their replies."""

from __future__ import annotations

from crm_graph.events.effects import Changes, Creates, Removes


class TicketCreated(Creates):
    """A ticket was opened under a number."""

    number: str


class TicketUpdated(Changes):
    """A ticket's data changed, its status did not."""


class TicketAssigned(Changes):
    """A ticket was given to a member; `before` is who had it until then."""

    before: str | None
    assignee_id: str


class TicketHeld(Changes):
    """A ticket began to wait for the customer."""


class TicketResumed(Changes):
    """A ticket stopped waiting for the customer."""


class TicketAnswered(Changes):
    """A ticket got its first public reply."""


class TicketResolved(Changes):
    """A ticket was resolved."""

    before: str


class TicketClosed(Changes):
    """A resolved ticket was put away."""


class TicketReopened(Changes):
    """A resolved or closed ticket was taken up again."""

    before: str


class TicketDeleted(Removes):
    """A ticket was removed with its replies."""


class TicketReplyAdded(Creates):
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
