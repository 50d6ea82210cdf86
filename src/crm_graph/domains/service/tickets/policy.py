"""Who may see and change tickets: support works on them; what customers wrote stays with those who deal with them."""

from __future__ import annotations

from functools import partial

from sqlalchemy import ColumnElement, FromClause, and_

from crm_graph.db.base import table_of
from crm_graph.domains.customers.customers.policy import (
    ACCOUNT,
    CUSTOMER,
    TEAM_ACCOUNT,
    of_customers,
    with_accounts,
)
from crm_graph.domains.service.tickets.model import Ticket, TicketReply
from crm_graph.permissions.grants import ALL, HIDDEN, TEAM, Level, grant, read_only
from crm_graph.permissions.policy import Policy, of_viewer_or_teams
from crm_graph.permissions.roles import (
    ANALYST,
    INTEGRATION,
    MARKETER,
    SALES_MANAGER,
    SALES_REP,
    SERVICE_MANAGER,
    SUPPORT_AGENT,
)

QUEUE = "QUEUE"
"""The row scope of the tickets that one works on, or that are in the queue of a team of one's own subtree."""
PUBLIC_ACCOUNT = "PUBLIC_ACCOUNT"
"""The row scope of the replies that customers see, of tickets in ACCOUNT: internal notes are none of them."""
_COUNT = grant(read=ALL, default=Level.READ, fields={"description": HIDDEN})
_COUNT_REPLIES = grant(read=ALL, default=Level.READ, fields={"body": HIDDEN})

TICKET = Policy(
    "Ticket",
    table_of(Ticket),
    scopes={
        **with_accounts("assignee_id"),
        TEAM_ACCOUNT: partial(of_customers, CUSTOMER.scopes[TEAM]),
        QUEUE: lambda rows: of_viewer_or_teams(rows, "assignee_id", "queue_id"),
    },
    around_own=frozenset({TEAM, ACCOUNT, QUEUE}),
    following=("assign", "hold", "resume", "resolve", "close", "reopen"),
    timers=Ticket.timers,
    defaults={
        SUPPORT_AGENT: grant(read=QUEUE, create=ALL, update=QUEUE),
        SERVICE_MANAGER: grant(read=ALL, create=ALL, update=ALL),
        SALES_MANAGER: grant(read=(TEAM, TEAM_ACCOUNT), export=(TEAM, TEAM_ACCOUNT), default=Level.READ),
        SALES_REP: grant(read=ACCOUNT, create=ALL),  # a level is not per verb: without `update` WRITE is for creation
        MARKETER: _COUNT,
        ANALYST: read_only(description=HIDDEN),
        INTEGRATION: grant(read=ALL, create=ALL, update=ALL, export=ALL),
    },
)


def _public_of_account(rows: FromClause) -> ColumnElement[bool]:
    return and_(rows.c.public, TICKET_REPLY.any_of((ACCOUNT,), rows))


TICKET_REPLY = Policy(
    "TicketReply",
    table_of(TicketReply),
    scopes={PUBLIC_ACCOUNT: _public_of_account},
    parent=(TICKET, "ticket_id"),
    in_version=False,  # others answer while an agent edits the ticket; what the first answer does to it, moves it
    defaults={
        SALES_REP: grant(read=PUBLIC_ACCOUNT, default=Level.READ),
        MARKETER: _COUNT_REPLIES,  # replies quote the description that is hidden from them
        ANALYST: read_only(body=HIDDEN),
    },
)
