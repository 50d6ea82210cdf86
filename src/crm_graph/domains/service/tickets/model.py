"""Tickets: what customers ask and complain about, and the replies they get."""

from __future__ import annotations

from datetime import datetime
from enum import Enum

from sqlalchemy import BigInteger
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Base, Id, Kept, KeptPart, Key, LongText, indexed, refers, unique_kept
from crm_graph.db.coherence import agrees, held_by, in_past
from crm_graph.db.history import keeps_history
from crm_graph.db.lists import Text, found_by, ordered_by, searched
from crm_graph.db.placement import DISTRIBUTED
from crm_graph.db.rules import between, one_of
from crm_graph.domains.service.tickets.events import (
    TicketAnswered,
    TicketAssigned,
    TicketClosed,
    TicketDeleted,
    TicketHeld,
    TicketReopened,
    TicketResolved,
    TicketResumed,
)
from crm_graph.kernel.errors import Refused
from crm_graph.refusals import undeletable

RESUME_HELD = "ticket.resume"
"""The kind of the timers of tickets that are held until a time."""


class TicketKind(Enum):
    """What a ticket is about."""

    QUESTION = "QUESTION"
    COMPLAINT = "COMPLAINT"
    SERVICE_REQUEST = "SERVICE_REQUEST"
    FEEDBACK = "FEEDBACK"


class TicketChannel(Enum):
    """How a ticket came in."""

    EMAIL = "EMAIL"
    PHONE = "PHONE"
    CHAT = "CHAT"
    WEB = "WEB"
    SOCIAL = "SOCIAL"


class TicketPriority(Enum):
    """How soon a ticket is to be dealt with."""

    LOW = "LOW"
    NORMAL = "NORMAL"
    HIGH = "HIGH"
    URGENT = "URGENT"


class TicketStatus(Enum):
    """Where a ticket stands. PENDING waits for the customer."""

    NEW = "NEW"
    OPEN = "OPEN"
    PENDING = "PENDING"
    RESOLVED = "RESOLVED"
    CLOSED = "CLOSED"


class TicketCounter(Base):
    """The last ticket number of a workspace. A sequence would leave gaps, and there is none per workspace."""

    __tablename__ = "ticket_counter"
    __placement__ = DISTRIBUTED
    __table_args__ = (refers("workspace_id", "workspace"),)

    workspace_id: Mapped[Id] = mapped_column(primary_key=True)
    last_number: Mapped[int] = mapped_column(BigInteger)


@keeps_history("assignee_id", "queue_id", "customer_id")
class Ticket(Kept):
    """A ticket. `number` is what people call it by; it is given once and never changes."""

    __tablename__ = "ticket"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("workspace_id", "workspace"),
        refers("customer_id", "customer"),
        refers("contact_id", "contact"),
        refers("product_id", "product"),
        refers("assignee_id", "member"),
        refers("queue_id", "team"),
        unique_kept("ticket", "number"),
        unique_kept("ticket", "external_id"),
        indexed("ticket", "customer_id"),
        indexed("ticket", "contact_id"),
        indexed("ticket", "product_id"),
        indexed("ticket", "assignee_id"),
        indexed("ticket", "queue_id"),
        indexed("ticket", "status"),
        ordered_by("ticket", "created_at", within="status"),
        ordered_by("ticket", "number", Text),
        ordered_by("ticket", "subject", Text),
        ordered_by("ticket", "priority", TicketPriority),
        ordered_by("ticket", "status", TicketStatus),
        ordered_by("ticket", "created_at"),
        ordered_by("ticket", "updated_at"),
        found_by("ticket", "subject"),
        searched("ticket", "number", "subject"),
        one_of("kind", TicketKind),
        one_of("channel", TicketChannel),
        one_of("priority", TicketPriority),
        one_of("status", TicketStatus),
        between("satisfaction", 1, 5),
    )

    __coherent__ = (
        agrees("contact_id", "customer_id"),
        *held_by("assignee_id", in_past("status", TicketStatus.RESOLVED, TicketStatus.CLOSED)),
    )

    number: Mapped[Key]
    subject: Mapped[str]
    description: Mapped[LongText | None]
    kind: Mapped[str] = mapped_column(default=TicketKind.QUESTION.value)
    channel: Mapped[str] = mapped_column(default=TicketChannel.WEB.value)
    priority: Mapped[str] = mapped_column(default=TicketPriority.NORMAL.value, server_default="NORMAL")
    status: Mapped[str] = mapped_column(default=TicketStatus.NEW.value, server_default="NEW")
    customer_id: Mapped[Id | None]
    contact_id: Mapped[Id | None]
    product_id: Mapped[Id | None]
    assignee_id: Mapped[Id | None]
    queue_id: Mapped[Id | None]
    """The team whose queue the ticket waits in."""
    held_until: Mapped[datetime | None]
    """When it goes on by itself, where it waits until a time."""
    first_response_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    resolution: Mapped[LongText | None]
    satisfaction: Mapped[int | None]
    external_id: Mapped[Key | None]

    def assign(self, assignee_id: str) -> TicketAssigned:
        """Give the ticket to a member, which opens a new one. Raises Refused ILLEGAL_TRANSITION when it is closed."""
        self._require("assigned", TicketStatus.NEW, TicketStatus.OPEN, TicketStatus.PENDING, TicketStatus.RESOLVED)
        before, self.assignee_id = self.assignee_id, assignee_id
        self._open_new()
        return TicketAssigned(before, assignee_id)

    def timers(self) -> dict[str, tuple[str, datetime]]:
        """Return the timer by which it goes on, where it waits until a time."""
        until: datetime | str | None = self.held_until  # of a row that was read it is a text
        if until is None:
            return {}
        due_at = datetime.fromisoformat(until) if isinstance(until, str) else until
        return {f"{RESUME_HELD}:{self.id}": (RESUME_HELD, due_at)}

    def hold(self, until: datetime | None, now: datetime) -> TicketHeld:
        """Wait for the customer, or until a time at most. Raises Refused: ILLEGAL_TRANSITION when it is not open,
        INVALID for a time that is over."""
        self._require("held", TicketStatus.OPEN)
        if until is not None and until <= now:
            raise Refused("INVALID", "A ticket is held until a time that is yet to come.", ("heldUntil",))
        self.status, self.held_until = TicketStatus.PENDING.value, until
        return TicketHeld()

    def resume(self) -> TicketResumed:
        """Stop waiting for the customer. Raises Refused ILLEGAL_TRANSITION when it does not wait."""
        self._require("resumed", TicketStatus.PENDING)
        self.status, self.held_until = TicketStatus.OPEN.value, None
        return TicketResumed()

    def answer(self, at: datetime) -> TicketAnswered:
        """Note a public reply: the first one is the first response, and opens a new ticket. In any status."""
        if self.first_response_at is None:
            self.first_response_at = at
        self._open_new()
        return TicketAnswered()

    def delete(self) -> TicketDeleted:
        """Return the event of the removal of a ticket that nobody answered. Raises Refused ILLEGAL_TRANSITION for
        others: what was sent to a customer is kept."""
        if self.first_response_at is not None:
            raise undeletable("Ticket", "it was answered")
        return TicketDeleted()

    def resolve(self, resolution: str, at: datetime) -> TicketResolved:
        """Say how the ticket was settled.

        Raises Refused: ILLEGAL_TRANSITION when it is resolved or closed already, REQUIRED for a blank resolution.
        """
        before = self._require("resolved", TicketStatus.NEW, TicketStatus.OPEN, TicketStatus.PENDING)
        if not resolution.strip():
            raise Refused("REQUIRED", "Say how the ticket was resolved.", ("resolution",))
        self.status, self.resolution, self.resolved_at = TicketStatus.RESOLVED.value, resolution, at
        self.held_until = None
        return TicketResolved(before)

    def close(self, at: datetime) -> TicketClosed:
        """Put a resolved ticket away. Raises Refused ILLEGAL_TRANSITION when it is not resolved."""
        self._require("closed", TicketStatus.RESOLVED)
        self.status, self.closed_at = TicketStatus.CLOSED.value, at
        return TicketClosed()

    def reopen(self) -> TicketReopened:
        """Take a resolved or closed ticket up again; its resolution did not hold. Raises Refused ILLEGAL_TRANSITION."""
        before = self._require("reopened", TicketStatus.RESOLVED, TicketStatus.CLOSED)
        self.status = TicketStatus.OPEN.value
        self.resolution = self.resolved_at = self.closed_at = None
        return TicketReopened(before)

    def _open_new(self) -> None:
        if self.status == TicketStatus.NEW.value:
            self.status = TicketStatus.OPEN.value

    def _require(self, done: str, *sources: TicketStatus) -> str:
        """Return the status, which must be one of `sources` for the ticket to be `done`."""
        before = TicketStatus(self.status)
        if before not in sources:
            allowed = " or ".join(source.value for source in sources)
            raise Refused(
                "ILLEGAL_TRANSITION",
                f"A ticket can be {done} when it is {allowed}; this one is {before.value}.",
                ("id",),
            )
        return before.value


class TicketReply(KeptPart):
    """Something said on a ticket: to the customer, or among colleagues when it is not `public`. Kept as written."""

    __tablename__ = "ticket_reply"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("ticket_id", "ticket", on_delete="CASCADE"),
        refers("author_id", "member"),
        indexed("ticket_reply", "ticket_id"),
        indexed("ticket_reply", "author_id"),
    )

    ticket_id: Mapped[Id]
    body: Mapped[LongText]
    public: Mapped[bool] = mapped_column(default=True)
    author_id: Mapped[Id]
