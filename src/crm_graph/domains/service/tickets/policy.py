"""Who may see and change tickets: support works on them; what customers wrote stays with those who deal with them."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.domains.service.tickets.model import Ticket, TicketReply
from crm_graph.permissions.grants import ALL, HIDDEN, TEAM, Level, grant
from crm_graph.permissions.policy import Policy, of_viewer_or_teams, owned_by
from crm_graph.permissions.roles import ANALYST, INTEGRATION, MARKETER, SALES_MANAGER, SALES_REP, SUPPORT_AGENT

QUEUE = "QUEUE"
"""The row scope of the tickets that one works on, or that are in the queue of a team of one's own subtree."""
_COUNT = grant(read=ALL, default=Level.READ, fields={"description": HIDDEN})
_COUNT_REPLIES = grant(read=ALL, default=Level.READ, fields={"body": HIDDEN})

TICKET = Policy(
    "Ticket",
    table_of(Ticket),
    scopes={**owned_by("assignee_id"), QUEUE: lambda rows: of_viewer_or_teams(rows, "assignee_id", "queue_id")},
    around_own=frozenset({TEAM, QUEUE}),
    transitions=("assign", "hold", "resume", "resolve", "close", "reopen"),
    timers=Ticket.timers,
    defaults={
        SUPPORT_AGENT: grant(read=ALL, create=ALL, update=ALL),
        SALES_MANAGER: grant(read=ALL, default=Level.READ),
        SALES_REP: grant(read=ALL, create=ALL),  # a level is not per verb: without `update` WRITE is for creation only
        **dict.fromkeys((MARKETER, ANALYST), _COUNT),
        INTEGRATION: grant(read=ALL, create=ALL, update=ALL),
    },
)
TICKET_REPLY = Policy(
    "TicketReply",
    table_of(TicketReply),
    parent=(TICKET, "ticket_id"),
    in_version=False,  # others answer while an agent edits the ticket; what the first answer does to it, moves it
    defaults=dict.fromkeys(
        (MARKETER, ANALYST), _COUNT_REPLIES
    ),  # replies quote the description that is hidden from them
)
