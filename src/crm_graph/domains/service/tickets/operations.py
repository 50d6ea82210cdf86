"""The only writers of tickets and their replies."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam
from sqlalchemy.dialects.postgresql import insert

from crm_graph.db.base import table_of
from crm_graph.db.sending import BY
from crm_graph.db.statements import compile_statement
from crm_graph.domains.service.tickets.events import TicketCreated, TicketReplyAdded, TicketUpdated
from crm_graph.domains.service.tickets.model import Ticket, TicketCounter, TicketReply, TicketStatus
from crm_graph.domains.service.tickets.policy import TICKET, TICKET_REPLY
from crm_graph.kernel.errors import Refused
from crm_graph.permissions.policy import workspace
from crm_graph.work import DELETE, UPDATE, Due, Sent, Work

ASSIGN, HOLD, RESUME, RESOLVE, CLOSE, REOPEN = "assign", "hold", "resume", "resolve", "close", "reopen"

_COUNTERS = table_of(TicketCounter)
_COUNT = compile_statement(
    insert(_COUNTERS)
    .values(workspace_id=workspace(), last_number=bindparam(BY))
    .on_conflict_do_update(
        index_elements=["workspace_id"], set_={"last_number": _COUNTERS.c.last_number + bindparam(BY)}
    )
    .returning(_COUNTERS.c.last_number)
)


async def create_ticket(work: Work, sent: Sent) -> str:
    """Open a ticket under the workspace's next number; one that comes with an assignee is OPEN at once."""
    ticket = await work.draft(Ticket, TICKET, sent)
    if ticket.assignee_id is not None:
        ticket.assign(ticket.assignee_id)
    ticket.number = await _next_number(work)
    await work.create(ticket, TICKET, TicketCreated(ticket.number), sent.fields)
    return ticket.id


async def update_ticket(work: Work, id_: str, sent: Sent, if_version: int | None) -> str:
    """Change a ticket's data; its status and assignee are changed by its transitions."""
    ticket = await work.revise(Ticket, TICKET, id_, sent, if_version)
    await work.save(ticket, TICKET, TicketUpdated())
    return ticket.id


async def assign_ticket(work: Work, id_: str, sent: Sent, if_version: int | None) -> str:
    """Give a ticket to a member."""
    ticket = await work.get(Ticket, TICKET, id_, ASSIGN, if_version, given=sent.fields)
    await work.check_references(Ticket, sent.values, ticket)
    await work.save(ticket, TICKET, ticket.assign(sent.values["assignee_id"]))
    return ticket.id


async def hold_ticket(work: Work, id_: str, sent: Sent, if_version: int | None) -> str:
    """Let a ticket wait for the customer, and go on by itself at a time where one is sent."""
    ticket = await work.get(Ticket, TICKET, id_, HOLD, if_version, given=sent.fields)
    until: datetime | None = sent.values.get("held_until")
    await work.save(ticket, TICKET, ticket.hold(until, work.now))
    await work.set_timers(ticket, TICKET)
    return ticket.id


async def resume_held(work: Work, due: Due) -> None:
    """Go on with a ticket that was held until now; one that no longer waits is left as it is."""
    try:
        ticket = await work.get(Ticket, TICKET, due.record_id, RESUME)
    except Refused as refusal:
        if refusal.code != "NOT_FOUND":
            raise
        return
    if ticket.status == TicketStatus.PENDING.value and ticket.held_until is not None:
        await work.save(ticket, TICKET, ticket.resume())


async def resume_ticket(work: Work, id_: str, if_version: int | None) -> str:
    """Go on with a ticket that waited for the customer."""
    ticket = await work.get(Ticket, TICKET, id_, RESUME, if_version)
    await _stop_waiting(work, ticket)
    await work.save(ticket, TICKET, ticket.resume())
    return ticket.id


async def resolve_ticket(work: Work, id_: str, sent: Sent, if_version: int | None) -> str:
    """Say how a ticket was settled."""
    ticket = await work.get(Ticket, TICKET, id_, RESOLVE, if_version, given=sent.fields)
    await _stop_waiting(work, ticket)
    await work.save(ticket, TICKET, ticket.resolve(sent.values["resolution"], work.now))
    return ticket.id


async def close_ticket(work: Work, id_: str, if_version: int | None) -> str:
    """Put a resolved ticket away."""
    ticket = await work.get(Ticket, TICKET, id_, CLOSE, if_version)
    await work.save(ticket, TICKET, ticket.close(work.now))
    return ticket.id


async def reopen_ticket(work: Work, id_: str, if_version: int | None) -> str:
    """Take a resolved or closed ticket up again."""
    ticket = await work.get(Ticket, TICKET, id_, REOPEN, if_version)
    await work.save(ticket, TICKET, ticket.reopen())
    return ticket.id


async def delete_ticket(work: Work, id_: str, if_version: int | None) -> None:
    """Put a ticket that was not answered into the recycle bin, with its notes. Its number is not given again."""
    ticket = await work.get(Ticket, TICKET, id_, DELETE, if_version)
    await work.delete(ticket, TICKET, ticket.delete())


async def add_reply(work: Work, sent: Sent) -> str:
    """Add a reply by the viewer to a ticket; the first public one also answers the ticket."""
    work.may(TICKET_REPLY, UPDATE, sent.fields)
    ticket = await work.get(Ticket, TICKET, sent.values["ticket_id"], UPDATE, path="ticketId")
    reply = await work.draft(TicketReply, TICKET_REPLY, sent, author_id=work.viewer.member_id)
    await work.create(reply, TICKET_REPLY, TicketReplyAdded(ticket.id, reply.public), sent.fields)
    if reply.public:
        await work.save(ticket, TICKET, ticket.answer(work.now))
    return reply.id


async def _stop_waiting(work: Work, ticket: Ticket) -> None:
    """Clear the timer of a ticket that is held until a time: called before it changes."""
    if ticket.held_until is not None:
        await work.timers.clear_of((TICKET.type, ticket.id))


async def _next_number(work: Work) -> str:
    """Return the workspace's next ticket number.

    Its row stays locked until the transaction ends, so that numbers have no gaps: two tickets of a workspace are opened
    one after the other. Called right before the insert, to keep that short.
    """
    return f"T-{await work.session.count(_COUNT, work.viewer.binds)}"
