"""Tickets and their replies in the schema."""

from __future__ import annotations

from datetime import datetime

import strawberry

from crm_graph.domains.catalog.products.graph import Product
from crm_graph.domains.customers.contacts.graph import Contact
from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.service.tickets import events, model, operations, policy
from crm_graph.domains.workspace.members.graph import AS_IT_IS, THAT_MATCH, Member, MemberChange, Team
from crm_graph.graph import writes
from crm_graph.graph.records import roots
from crm_graph.graph.records.enums import describe
from crm_graph.graph.records.measures import Use, seconds_between
from crm_graph.graph.records.record import (
    SENT,
    SENT_LATER,
    SENT_ONCE,
    Node,
    by_key,
    column,
    record,
    reverse,
    to_many,
    to_one,
    watch,
)
from crm_graph.graph.records.types import AggregateOf, Connection
from crm_graph.graph.schema.build import Slice
from crm_graph.graph.writes import Written

describe(
    model.TicketKind,
    "What a ticket is about.",
    {
        "QUESTION": "The customer wants to know something.",
        "COMPLAINT": "The customer is not content.",
        "SERVICE_REQUEST": "Something is to be done for the customer.",
        "FEEDBACK": "The customer tells what they think.",
    },
)
describe(
    model.TicketChannel,
    "How a ticket came in.",
    {
        "EMAIL": "By e-mail.",
        "PHONE": "By phone.",
        "CHAT": "By chat.",
        "WEB": "Through a form on a web page.",
        "SOCIAL": "Through social media.",
    },
)
describe(
    model.TicketPriority,
    "How soon a ticket is to be dealt with.",
    {
        "LOW": "When there is time.",
        "NORMAL": "In its turn.",
        "HIGH": "Before the others.",
        "URGENT": "At once.",
    },
)
describe(
    model.TicketStatus,
    "Where a ticket stands. Each step is a mutation of its own.",
    {
        "NEW": "Nobody works on it yet.",
        "OPEN": "Somebody works on it.",
        "PENDING": "Waits for the customer.",
        "RESOLVED": "Settled.",
        "CLOSED": "Put away.",
    },
)


@record(
    "tic",
    model.Ticket,
    policy.TICKET,
    measures=(
        seconds_between(
            "firstResponseSeconds",
            "createdAt",
            "firstResponseAt",
            "The seconds from its opening to its first public reply.",
        ),
        seconds_between(
            "resolutionSeconds", "createdAt", "resolvedAt", "The seconds from its opening to its resolution."
        ),
    ),
)
class Ticket(Node):
    """Something that a customer wants from you: a question, a complaint, a request, or feedback."""

    number: str = column("What people call the ticket by, `T-1` and so on; unique in the workspace.")
    subject: str = column("What the ticket is about, in a line.", SENT)
    description: str | None = column("What the customer said.", SENT)
    kind: model.TicketKind = column("What sort of thing the customer wants.", SENT)
    channel: model.TicketChannel = column("The channel by which the ticket came in.", SENT)
    priority: model.TicketPriority = column("How soon the ticket is to be dealt with.", SENT)
    status: model.TicketStatus = column("Where it stands.")
    customer: Customer | None = to_one("customer_id", "The customer that the ticket comes from.", SENT)
    contact: Contact | None = to_one("contact_id", "The person that the ticket comes from.", SENT)
    product: Product | None = to_one("product_id", "The product that the ticket is about.", SENT)
    assignee: Member | None = to_one(
        "assignee_id", "The member who works on the ticket; nobody while the ticket waits in the queue.", SENT_ONCE
    )
    queue: Team | None = to_one("queue_id", "The team whose queue the ticket is in: the row scope QUEUE.", SENT)
    replies: Connection[TicketReply] = to_many(
        "ticket_id", "What was said on the ticket, to the customer and among colleagues."
    )
    held_until: datetime | None = column("When a PENDING ticket becomes OPEN again by itself; null where none is set.")
    first_response_at: datetime | None = column("When the ticket got its first public reply.")
    resolved_at: datetime | None = column("When the ticket was resolved; null again when it is reopened.")
    closed_at: datetime | None = column("When it was closed; null again when it is reopened.")
    resolution: str | None = column("How it was settled.")
    satisfaction: int | None = column(
        "How content the customer was, from 1 (not at all) to 5.", SENT_LATER, use=Use.DIMENSION | Use.MEASURE
    )
    external_id: str | None = column("The ticket's id in the system it came from, unique in the workspace.", SENT)


@record("trp", model.TicketReply, policy.TICKET_REPLY, called="reply")
class TicketReply(Node):
    """Something said on a ticket: a public reply to the customer, or an internal note. Kept as it was written."""

    ticket: Ticket | None = to_one("ticket_id", "The ticket.", SENT_ONCE)
    body: str | None = column("What was said; not blank.", SENT_ONCE)
    public: bool | None = column(
        "Whether it is a reply to the customer (true) or a note among colleagues (false).", SENT_ONCE
    )
    author: Member | None = to_one("author_id", "Who wrote it.")
    version: int = column("Counts the changes; a reply has none.")
    created_at: datetime = column("When it was written.")


class Queries:
    """Fields of Query."""

    ticket: Ticket | None = roots.one("A ticket by id.")
    tickets: Connection[Ticket] = roots.many("The tickets that you may see.")
    tickets_aggregate: AggregateOf[Ticket] = roots.aggregate("Measures over tickets.")


class Mutations:
    """Fields of Mutation."""

    create_ticket: Written[Ticket] = writes.create(
        "Opens a ticket under the next number.",
        operations.create_ticket,
        about="A new ticket; it is NEW, or OPEN when it has an assignee.",
    )
    update_ticket: Written[Ticket] = writes.update(
        "Changes a ticket's data; its status and assignee have mutations of their own.", operations.update_ticket
    )
    assign_ticket: Written[Ticket] = writes.transition_with(
        "Gives a ticket that is not CLOSED to a member; a NEW one becomes OPEN.",
        operations.ASSIGN,
        operations.assign_ticket,
        needs=("assignee",),
        about="A ticket to give to a member.",
    )
    hold_ticket: Written[Ticket] = writes.transition_with(
        "Lets an OPEN ticket wait for the customer: it becomes PENDING. With `heldUntil` it becomes OPEN again by "
        "itself at that time, unless something else has ended the wait.",
        operations.HOLD,
        operations.hold_ticket,
        takes=("held_until",),
        about="A ticket that is to wait, and until when.",
    )
    resume_ticket: Written[Ticket] = writes.transition(
        "Goes on with a PENDING ticket: it becomes OPEN.", operations.RESUME, operations.resume_ticket
    )
    resolve_ticket: Written[Ticket] = writes.transition_with(
        "Says how a NEW, OPEN or PENDING ticket was settled: it becomes RESOLVED.",
        operations.RESOLVE,
        operations.resolve_ticket,
        needs=("resolution",),
        about="A ticket that is settled, and how.",
    )
    close_ticket: Written[Ticket] = writes.transition(
        "Puts a RESOLVED ticket away: it becomes CLOSED.", operations.CLOSE, operations.close_ticket
    )
    reopen_ticket: Written[Ticket] = writes.transition(
        "Takes a RESOLVED or CLOSED ticket up again: it becomes OPEN, without resolution.",
        operations.REOPEN,
        operations.reopen_ticket,
    )
    delete_ticket: Written[Ticket] = writes.delete(
        "Deletes a ticket with its replies; its number is not given again.", operations.delete_ticket
    )
    add_ticket_reply: Written[TicketReply] = writes.create(
        "Adds a reply or a note to a ticket. The first public reply is its first response; a NEW ticket becomes OPEN "
        "by it.",
        operations.add_reply,
        about="A reply to the customer, or a note among colleagues.",
    )


@strawberry.type(description="Something that happened to a ticket that you may see.")
class TicketChange(MemberChange):
    """One event of the log with the current record."""

    ticket: Ticket | None = by_key("key", f"The ticket {AS_IT_IS}")


class Subscriptions:
    """Fields of Subscription."""

    ticket_changed: TicketChange = watch(Ticket, f"Every change of the tickets {THAT_MATCH}")


_TICKETS = Connection[Ticket]
SLICE = Slice(
    "tickets",
    records=(Ticket, TicketReply),
    queries=(Queries,),
    mutations=(Mutations,),
    subscriptions=(Subscriptions,),
    extensions=(
        reverse(Customer, "tickets", _TICKETS, "customer_id", "The tickets that come from this customer."),
        reverse(Contact, "tickets", _TICKETS, "contact_id", "The tickets that come from this person."),
        reverse(Member, "assigned_tickets", _TICKETS, "assignee_id", "The tickets that the member works on."),
        reverse(Team, "queued_tickets", _TICKETS, "queue_id", "The tickets in the team's queue."),
        reverse(Product, "tickets", _TICKETS, "product_id", "The tickets about this product."),
    ),
    events=events.EVENTS,
    timers={model.RESUME_HELD: operations.resume_held},
)
