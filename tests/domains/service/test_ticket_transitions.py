"""The pure transitions of tickets, over the full matrix of statuses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from crm_graph.domains.service.tickets.events import (
    TicketAnswered,
    TicketAssigned,
    TicketClosed,
    TicketHeld,
    TicketReopened,
    TicketResolved,
    TicketResumed,
)
from crm_graph.domains.service.tickets.model import Ticket, TicketStatus
from crm_graph.kernel.errors import Refused

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
EARLIER = datetime(2026, 11, 1, tzinfo=UTC)
AGENT, COLLEAGUE = "a" * 32, "b" * 32

TRANSITIONS: dict[str, Callable[[Ticket], object]] = {
    "assign": lambda ticket: ticket.assign(AGENT),
    "hold": lambda ticket: ticket.hold(None, AT),
    "resume": Ticket.resume,
    "answer": lambda ticket: ticket.answer(AT),
    "resolve": lambda ticket: ticket.resolve("Sent a new one.", AT),
    "close": lambda ticket: ticket.close(AT),
    "reopen": Ticket.reopen,
}
LEGAL: dict[tuple[str, str], tuple[str, object]] = {
    ("assign", "NEW"): ("OPEN", TicketAssigned(None, AGENT)),
    ("assign", "OPEN"): ("OPEN", TicketAssigned(None, AGENT)),
    ("assign", "PENDING"): ("PENDING", TicketAssigned(None, AGENT)),
    ("assign", "RESOLVED"): ("RESOLVED", TicketAssigned(None, AGENT)),
    ("hold", "OPEN"): ("PENDING", TicketHeld()),
    ("resume", "PENDING"): ("OPEN", TicketResumed()),
    ("answer", "NEW"): ("OPEN", TicketAnswered()),
    ("answer", "OPEN"): ("OPEN", TicketAnswered()),
    ("answer", "PENDING"): ("PENDING", TicketAnswered()),
    ("answer", "RESOLVED"): ("RESOLVED", TicketAnswered()),
    ("answer", "CLOSED"): ("CLOSED", TicketAnswered()),
    ("resolve", "NEW"): ("RESOLVED", TicketResolved("NEW")),
    ("resolve", "OPEN"): ("RESOLVED", TicketResolved("OPEN")),
    ("resolve", "PENDING"): ("RESOLVED", TicketResolved("PENDING")),
    ("close", "RESOLVED"): ("CLOSED", TicketClosed()),
    ("reopen", "RESOLVED"): ("OPEN", TicketReopened("RESOLVED")),
    ("reopen", "CLOSED"): ("OPEN", TicketReopened("CLOSED")),
}


def state(ticket: Ticket) -> tuple[object, ...]:
    """Return all that a transition may write."""
    return (
        ticket.status,
        ticket.assignee_id,
        ticket.first_response_at,
        ticket.resolution,
        ticket.resolved_at,
        ticket.closed_at,
    )


@pytest.mark.parametrize("before", [status.value for status in TicketStatus])
@pytest.mark.parametrize("name", TRANSITIONS)
def test_ticket_status(name: str, before: str) -> None:
    ticket = Ticket(subject="It does not start", status=before)
    if (name, before) in LEGAL:
        after, event = LEGAL[name, before]
        assert TRANSITIONS[name](ticket) == event
        assert ticket.status == after
        return
    with pytest.raises(Refused) as refused:
        TRANSITIONS[name](ticket)
    assert (refused.value.code, refused.value.field) == ("ILLEGAL_TRANSITION", ("id",))
    assert refused.value.message.endswith(f"this one is {before}.")
    assert state(ticket) == (before, None, None, None, None, None)


def test_every_status_is_in_the_matrix() -> None:
    assert {before for _, before in LEGAL} == {status.value for status in TicketStatus}


def test_reassignment_tells_who_had_it() -> None:
    ticket = Ticket(status="PENDING", assignee_id=COLLEAGUE)
    assert ticket.assign(AGENT) == TicketAssigned(COLLEAGUE, AGENT)
    assert ticket.assignee_id == AGENT


def test_the_first_response_is_kept() -> None:
    ticket = Ticket(status="NEW")
    ticket.answer(EARLIER)
    assert state(ticket) == ("OPEN", None, EARLIER, None, None, None)
    ticket.answer(AT)
    assert state(ticket) == ("OPEN", None, EARLIER, None, None, None)


def test_resolve_close_and_reopen_keep_the_times() -> None:
    ticket = Ticket(status="OPEN", assignee_id=AGENT)
    ticket.resolve("Sent a new one.", EARLIER)
    assert state(ticket) == ("RESOLVED", AGENT, None, "Sent a new one.", EARLIER, None)
    ticket.close(AT)
    assert state(ticket) == ("CLOSED", AGENT, None, "Sent a new one.", EARLIER, AT)
    ticket.reopen()
    assert state(ticket) == ("OPEN", AGENT, None, None, None, None)


@pytest.mark.parametrize("resolution", ["", "  \n\t", "\u3000"])
@pytest.mark.parametrize("before", ["NEW", "OPEN", "PENDING"])
def test_a_resolution_is_required(before: str, resolution: str) -> None:
    ticket = Ticket(status=before)
    with pytest.raises(Refused) as refused:
        ticket.resolve(resolution, AT)
    assert (refused.value.code, refused.value.field) == ("REQUIRED", ("resolution",))
    assert state(ticket) == (before, None, None, None, None, None)


@pytest.mark.parametrize(
    "after", [Ticket.resume, lambda ticket: ticket.resolve("Sent a new one.", AT)], ids=["resume", "resolve"]
)
def test_what_ends_the_wait_ends_its_time(after: Callable[[Ticket], object]) -> None:
    ticket = Ticket(subject="It does not start", status="OPEN")
    ticket.hold(AT, EARLIER)
    assert ticket.held_until == AT
    after(ticket)
    assert ticket.held_until is None


@pytest.mark.parametrize("until", [AT, EARLIER])
def test_a_ticket_is_held_until_a_time_to_come(until: datetime) -> None:
    ticket = Ticket(subject="It does not start", status="OPEN")
    with pytest.raises(Refused) as refused:
        ticket.hold(until, AT)
    assert (refused.value.code, refused.value.field) == ("INVALID", ("heldUntil",))
    assert (ticket.status, ticket.held_until) == ("OPEN", None)
