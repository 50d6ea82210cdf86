"""Tickets and their replies in the schema."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any

import strawberry

from crm_graph.domains.catalog.products.graph import Product
from crm_graph.domains.customers.contacts.graph import Contact
from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.service.tickets import events, model, operations, policy
from crm_graph.domains.workspace.members.graph import AS_IT_IS, THAT_MATCH, Member, MemberChange, Team
from crm_graph.graph.context import Info
from crm_graph.graph.payloads import (
    DeletePayload,
    Payload,
    field_names,
    given,
    key_of,
    new_key,
    perform,
    perform_delete,
    refer,
)
from crm_graph.graph.reading.sizes import sized
from crm_graph.graph.records import roots
from crm_graph.graph.records.enums import describe
from crm_graph.graph.records.record import Node, by_key, column, extend, record, to_many, to_one, watch
from crm_graph.graph.records.types import AggregateOf, Connection
from crm_graph.graph.schema.build import Slice
from crm_graph.work import Work

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


@record("tic", model.Ticket, policy.TICKET)
class Ticket(Node):
    """Something that a customer wants from you: a question, a complaint, a request, or feedback."""

    number: str = column("What people call the ticket by, `T-1` and so on; unique in the workspace.")
    subject: str = column("What it is about, in a line.")
    description: str | None = column("What the customer said.")
    kind: model.TicketKind = column("What sort of thing the customer wants.")
    channel: model.TicketChannel = column("How it came in.")
    priority: model.TicketPriority = column("How soon it is to be dealt with.")
    status: model.TicketStatus = column("Where it stands.")
    customer: Customer | None = to_one("customer_id", "The customer it comes from.")
    contact: Contact | None = to_one("contact_id", "The person it comes from.")
    product: Product | None = to_one("product_id", "The product it is about.")
    assignee: Member | None = to_one("assignee_id", "The member who works on it; null while it waits in the queue.")
    queue: Team | None = to_one("queue_id", "The team whose queue it is in: the row scope QUEUE.")
    replies: Connection[TicketReply] = to_many(
        "ticket_id", "What was said on it, to the customer and among colleagues."
    )
    first_response_at: datetime | None = column("When it got its first public reply.")
    resolved_at: datetime | None = column("When it was resolved; null again when it is reopened.")
    closed_at: datetime | None = column("When it was closed; null again when it is reopened.")
    resolution: str | None = column("How it was settled.")
    satisfaction: int | None = column("How content the customer was, from 1 (not at all) to 5.")
    external_id: str | None = column("The ticket's id in the system it came from, unique in the workspace.")
    version: int = column("Counts the changes; give it as `ifVersion`.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


@record("trp", model.TicketReply, policy.TICKET_REPLY)
class TicketReply(Node):
    """Something said on a ticket: a public reply to the customer, or an internal note. Kept as it was written."""

    ticket: Ticket | None = to_one("ticket_id", "The ticket.")
    body: str | None = column("What was said.")
    public: bool | None = column("Whether it is a reply to the customer (true) or a note among colleagues (false).")
    author: Member | None = to_one("author_id", "Who wrote it.")
    version: int = column("Counts the changes; a reply has none.")
    created_at: datetime = column("When it was written.")
    updated_at: datetime = column("When the record last changed.")


class Queries:
    """Fields of Query."""

    ticket: Ticket | None = roots.one("A ticket by id.")
    tickets: Connection[Ticket] = roots.many("The tickets that you may see.")
    tickets_aggregate: AggregateOf[Ticket] = roots.aggregate("Measures over tickets.")


@sized(model.Ticket)
@strawberry.input(description="A new ticket; it is NEW, or OPEN when it has an assignee.")
class CreateTicketInput:
    """See `operations.create_ticket`."""

    id: strawberry.ID | None = strawberry.field(
        description="An id made by the client, `tic_` and a UUIDv7.", default=None
    )
    subject: str = strawberry.field(description="What it is about, in a line.")
    description: str | None = strawberry.field(description="What the customer said.", default=None)
    kind: model.TicketKind = strawberry.field(
        description="What sort of thing the customer wants.", default=model.TicketKind.QUESTION
    )
    channel: model.TicketChannel = strawberry.field(description="How it came in.", default=model.TicketChannel.WEB)
    priority: model.TicketPriority = strawberry.field(
        description="How soon it is to be dealt with.", default=model.TicketPriority.NORMAL
    )
    customer_id: strawberry.ID | None = strawberry.field(description="The customer it comes from.", default=None)
    contact_id: strawberry.ID | None = strawberry.field(description="The person it comes from.", default=None)
    product_id: strawberry.ID | None = strawberry.field(description="The product it is about.", default=None)
    assignee_id: strawberry.ID | None = strawberry.field(
        description="Who works on it; nobody unless given.", default=None
    )
    queue_id: strawberry.ID | None = strawberry.field(description="The team whose queue it waits in.", default=None)
    external_id: str | None = strawberry.field(description="The ticket's id in another system.", default=None)


@sized(model.Ticket)
@strawberry.input(description="Changes to a ticket; what is left out stays, null clears.")
class UpdateTicketInput:
    """See `operations.update_ticket`."""

    id: strawberry.ID = strawberry.field(description="The ticket.")
    if_version: int | None = strawberry.field(description="Refuse if the ticket is at another version.", default=None)
    subject: strawberry.Maybe[str] = strawberry.field(description="What it is about, in a line.")
    description: strawberry.Maybe[str | None] = strawberry.field(description="What the customer said.")
    kind: strawberry.Maybe[model.TicketKind] = strawberry.field(description="What sort of thing the customer wants.")
    channel: strawberry.Maybe[model.TicketChannel] = strawberry.field(description="How it came in.")
    priority: strawberry.Maybe[model.TicketPriority] = strawberry.field(description="How soon to deal with it.")
    customer_id: strawberry.Maybe[strawberry.ID | None] = strawberry.field(description="The customer it comes from.")
    contact_id: strawberry.Maybe[strawberry.ID | None] = strawberry.field(description="The person it comes from.")
    product_id: strawberry.Maybe[strawberry.ID | None] = strawberry.field(description="The product it is about.")
    queue_id: strawberry.Maybe[strawberry.ID | None] = strawberry.field(description="The team whose queue it is in.")
    satisfaction: strawberry.Maybe[int | None] = strawberry.field(description="How content the customer was, 1 to 5.")
    external_id: strawberry.Maybe[str | None] = strawberry.field(description="The ticket's id in another system.")


@strawberry.input
class _OneTicket:
    """What the inputs below have in common: which ticket, in which version."""

    id: strawberry.ID = strawberry.field(description="The ticket.")
    if_version: int | None = strawberry.field(description="Refuse if the ticket is at another version.", default=None)


@strawberry.input(description="A ticket to give to a member.")
class AssignTicketInput(_OneTicket):
    """See `operations.assign_ticket`."""

    assignee_id: strawberry.ID = strawberry.field(description="The member who is to work on it.")


@strawberry.input(description="An open ticket that is to wait for the customer.")
class HoldTicketInput(_OneTicket):
    """See `operations.hold_ticket`."""


@strawberry.input(description="A ticket that is to wait for the customer no longer.")
class ResumeTicketInput(_OneTicket):
    """See `operations.resume_ticket`."""


@sized(model.Ticket)
@strawberry.input(description="A ticket that is settled, and how.")
class ResolveTicketInput(_OneTicket):
    """See `operations.resolve_ticket`."""

    resolution: str = strawberry.field(description="How it was settled; not blank.")


@strawberry.input(description="A resolved ticket to put away.")
class CloseTicketInput(_OneTicket):
    """See `operations.close_ticket`."""


@strawberry.input(description="A resolved or closed ticket to take up again.")
class ReopenTicketInput(_OneTicket):
    """See `operations.reopen_ticket`."""


@strawberry.input(description="A ticket to delete.")
class DeleteTicketInput(_OneTicket):
    """See `operations.delete_ticket`."""


@sized(model.TicketReply)
@strawberry.input(description="A reply to the customer, or a note among colleagues.")
class AddTicketReplyInput:
    """See `operations.add_reply`."""

    id: strawberry.ID | None = strawberry.field(
        description="An id made by the client, `trp_` and a UUIDv7.", default=None
    )
    ticket_id: strawberry.ID = strawberry.field(description="The ticket.")
    body: str = strawberry.field(description="What is said; not blank.")
    public: bool = strawberry.field(
        description="Whether it is for the customer; false for a note among colleagues.", default=True
    )


@strawberry.type(description="A ticket, or why not.")
class TicketPayload(Payload):
    """What mutations of tickets return."""

    ticket: Ticket | None = by_key("record_id", "The ticket; null when refused.")


@strawberry.type(description="A reply on a ticket, or why not.")
class TicketReplyPayload(Payload):
    """What mutations of replies return."""

    reply: TicketReply | None = by_key("record_id", "The reply; null when refused.")


class Mutations:
    """Fields of Mutation."""

    @strawberry.mutation(description="Opens a ticket under the next number.")
    async def create_ticket(self, info: Info, input: CreateTicketInput) -> TicketPayload:
        return await perform(info, TicketPayload, lambda work: _create(work, input))

    @strawberry.mutation(description="Changes a ticket's data; its status and assignee have mutations of their own.")
    async def update_ticket(self, info: Info, input: UpdateTicketInput) -> TicketPayload:
        return await perform(info, TicketPayload, lambda work: _update(work, input))

    @strawberry.mutation(description="Gives a ticket that is not CLOSED to a member; a NEW one becomes OPEN.")
    async def assign_ticket(self, info: Info, input: AssignTicketInput) -> TicketPayload:
        return await perform(
            info,
            TicketPayload,
            lambda work: operations.assign_ticket(
                work, key_of(Ticket, input.id), key_of(Member, input.assignee_id, "assigneeId"), input.if_version
            ),
        )

    @strawberry.mutation(description="Lets an OPEN ticket wait for the customer: it becomes PENDING.")
    async def hold_ticket(self, info: Info, input: HoldTicketInput) -> TicketPayload:
        return await _transition(info, input, operations.hold_ticket)

    @strawberry.mutation(description="Goes on with a PENDING ticket: it becomes OPEN.")
    async def resume_ticket(self, info: Info, input: ResumeTicketInput) -> TicketPayload:
        return await _transition(info, input, operations.resume_ticket)

    @strawberry.mutation(description="Says how a NEW, OPEN or PENDING ticket was settled: it becomes RESOLVED.")
    async def resolve_ticket(self, info: Info, input: ResolveTicketInput) -> TicketPayload:
        return await perform(
            info,
            TicketPayload,
            lambda work: operations.resolve_ticket(work, key_of(Ticket, input.id), input.resolution, input.if_version),
        )

    @strawberry.mutation(description="Puts a RESOLVED ticket away: it becomes CLOSED.")
    async def close_ticket(self, info: Info, input: CloseTicketInput) -> TicketPayload:
        return await _transition(info, input, operations.close_ticket)

    @strawberry.mutation(description="Takes a RESOLVED or CLOSED ticket up again: it becomes OPEN, without resolution.")
    async def reopen_ticket(self, info: Info, input: ReopenTicketInput) -> TicketPayload:
        return await _transition(info, input, operations.reopen_ticket)

    @strawberry.mutation(description="Deletes a ticket with its replies; its number is not given again.")
    async def delete_ticket(self, info: Info, input: DeleteTicketInput) -> DeletePayload:
        return await perform_delete(
            info, input.id, lambda work: operations.delete_ticket(work, key_of(Ticket, input.id), input.if_version)
        )

    @strawberry.mutation(
        description="Adds a reply or a note to a ticket. The first public reply is its first response; a NEW ticket "
        "becomes OPEN by it."
    )
    async def add_ticket_reply(self, info: Info, input: AddTicketReplyInput) -> TicketReplyPayload:
        return await perform(info, TicketReplyPayload, lambda work: _add_reply(work, input))


async def _create(work: Work, input_: CreateTicketInput) -> str:
    values = _values(given(input_, "id"))
    refer(values, "assignee_id", Member)
    values["id"] = new_key(Ticket, input_.id)
    return await operations.create_ticket(work, values, field_names(input_, "id"))


async def _update(work: Work, input_: UpdateTicketInput) -> str:
    values = _values(given(input_, "id", "if_version"))
    names = field_names(input_, "id", "if_version")
    return await operations.update_ticket(work, key_of(Ticket, input_.id), values, names, input_.if_version)


async def _transition(
    info: Info, input_: _OneTicket, operation: Callable[[Work, str, int | None], Awaitable[str]]
) -> TicketPayload:
    return await perform(
        info, TicketPayload, lambda work: operation(work, key_of(Ticket, input_.id), input_.if_version)
    )


async def _add_reply(work: Work, input_: AddTicketReplyInput) -> str:
    values = given(input_, "id")
    refer(values, "ticket_id", Ticket)
    values["id"] = new_key(TicketReply, input_.id)
    return await operations.add_reply(work, values, field_names(input_, "id"))


def _values(values: dict[str, Any]) -> dict[str, Any]:
    refer(values, "customer_id", Customer)
    refer(values, "contact_id", Contact)
    refer(values, "product_id", Product)
    refer(values, "queue_id", Team)
    return values


class CustomerService:
    """Fields that tickets add to customers."""

    tickets: Connection[Ticket] = to_many("customer_id", "The tickets that come from this customer.")


class ContactService:
    """Fields that tickets add to contacts."""

    tickets: Connection[Ticket] = to_many("contact_id", "The tickets that come from this person.")


class MemberService:
    """Fields that tickets add to members."""

    assigned_tickets: Connection[Ticket] = to_many("assignee_id", "The tickets that the member works on.")


class TeamService:
    """Fields that tickets add to teams."""

    queued_tickets: Connection[Ticket] = to_many("queue_id", "The tickets in the team's queue.")


class ProductService:
    """Fields that tickets add to products."""

    tickets: Connection[Ticket] = to_many("product_id", "The tickets about this product.")


@strawberry.type(description="Something that happened to a ticket that you may see.")
class TicketChange(MemberChange):
    """One event of the log with the current record."""

    ticket: Ticket | None = by_key("key", f"The ticket {AS_IT_IS}")


class Subscriptions:
    """Fields of Subscription."""

    ticket_changed: TicketChange = watch(Ticket, f"Every change of the tickets {THAT_MATCH}")


SLICE = Slice(
    "tickets",
    records=(Ticket, TicketReply),
    queries=(Queries,),
    mutations=(Mutations,),
    subscriptions=(Subscriptions,),
    extensions=(
        extend(Customer, CustomerService),
        extend(Contact, ContactService),
        extend(Member, MemberService),
        extend(Team, TeamService),
        extend(Product, ProductService),
    ),
    events=events.EVENTS,
)
