"""Tickets and replies: sales opens tickets, support works on them."""

from __future__ import annotations

from typing import Any

from tests.permissions.tables.table import (
    NOBODY,
    ROW,
    Id,
    Table,
    Without,
    Write,
    no_such,
    no_verb,
)

_READERS = (NOBODY, "sales_manager", "marketer", "analyst")


def _transition(verb: str, before: str, event: str, **more: Any) -> Write:
    return Write(
        f"{verb}Ticket",
        verb,
        {"id": ROW, **more},
        right="support_agent",
        without=[Without(role, no_verb(verb, "tickets")) for role in (*_READERS, "sales_rep")],
        stranger=no_such("ticket"),
        events=[event],
        tables=["ticket"],
        given={"status": before},
    )


TICKETS = Table(
    "Ticket",
    reads=("ticket", "tickets", "ticketsAggregate"),
    watches=("ticketChanged",),
    seen_by="sales_manager",
    unseen_by=[(NOBODY, "own")],
    writes=[
        Write(
            "createTicket",
            "create",
            {"subject": "Zebra", "customerId": Id("Customer")},
            right="sales_rep",
            without=[Without(role, no_verb("create", "tickets")) for role in _READERS],
            stranger=no_such("customer", "customerId"),
            events=["TicketCreated"],
            tables=["ticket", "ticket_counter"],
        ),
        Write(
            "updateTicket",
            "update",
            {"id": ROW, "subject": "Zebra"},
            right="support_agent",
            without=[Without(role, no_verb("update", "tickets")) for role in (*_READERS, "sales_rep")],
            stranger=no_such("ticket"),
            events=["TicketUpdated"],
            tables=["ticket"],
        ),
        _transition("assign", "NEW", "TicketAssigned", assigneeId=Id("Member", "team")),
        _transition("hold", "OPEN", "TicketHeld"),
        _transition("resume", "PENDING", "TicketResumed"),
        _transition("resolve", "OPEN", "TicketResolved", resolution="Zebra"),
        _transition("close", "RESOLVED", "TicketClosed"),
        _transition("reopen", "CLOSED", "TicketReopened"),
        Write(
            "deleteTicket",
            "delete",
            {"id": ROW},
            right="admin",
            without=[Without(role, no_verb("delete", "tickets")) for role in (*_READERS, "sales_rep", "support_agent")],
            stranger=no_such("ticket"),
            events=["TicketDeleted"],
            tables=["ticket"],
            given={"first_response_at": None},
            fresh=True,
        ),
    ],
)

REPLIES = Table(
    "TicketReply",
    reads=("ticketReply", "ticketReplies", "ticketRepliesAggregate"),
    seen_by="sales_manager",
    unseen_by=[(NOBODY, "own")],
    writes=[
        Write(
            "addTicketReply",
            "update",
            {"ticketId": Id("Ticket"), "body": "Zebra"},
            right="support_agent",
            without=[Without(role, no_verb("update", "ticket replies")) for role in (*_READERS, "sales_rep")],
            stranger=no_such("ticket", "ticketId"),
            events=["TicketReplyAdded", "TicketAnswered"],
            tables=["ticket", "ticket_reply"],
        ),
    ],
)

TABLES = (TICKETS, REPLIES)
