"""Tickets from files, in any status: an import brings in what happened elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sqlalchemy import BigInteger, bindparam, func
from sqlalchemy.dialects.postgresql import insert

from crm_graph.db.base import table_of
from crm_graph.domains.catalog.products.imports import PRODUCT_TARGET
from crm_graph.domains.customers.contacts.imports import CONTACT_TARGET
from crm_graph.domains.customers.customers.imports import CUSTOMER_TARGET
from crm_graph.domains.service.tickets.events import (
    TicketAssigned,
    TicketClosed,
    TicketCreated,
    TicketHeld,
    TicketReopened,
    TicketResolved,
    TicketResumed,
    TicketUpdated,
)
from crm_graph.domains.service.tickets.model import Ticket, TicketCounter, TicketStatus
from crm_graph.domains.service.tickets.operations import ASSIGN, CLOSE, HOLD, REOPEN, RESOLVE
from crm_graph.domains.service.tickets.policy import TICKET
from crm_graph.domains.workspace.members.imports import MEMBER_TARGET, TEAM_TARGET
from crm_graph.permissions.policy import workspace
from crm_graph.transfer.spec import Changes, Draft, ImportSpec, columns_of
from crm_graph.work import DomainEvent, Work

_NUMBER = re.compile(r"T-(\d{1,15})\Z", re.ASCII)
_OVER = frozenset({TicketStatus.RESOLVED.value, TicketStatus.CLOSED.value})


async def _numbers(work: Work, drafts: Sequence[Draft]) -> Iterator[int]:
    """Take as many numbers as new tickets need, beyond those that the file gives, in one step of the counter."""
    new = [draft for draft in drafts if draft.is_new()]
    given = [_NUMBER.match(draft.values.get("number") or "") for draft in new]
    highest = max((int(found[1]) for found in given if found), default=0)
    count = sum(1 for draft in new if not draft.values.get("number"))
    if not new:
        return iter(())
    counter = table_of(TicketCounter)
    size, least = bindparam("size", type_=BigInteger), bindparam("least", type_=BigInteger)
    counted = insert(counter).values({"workspace_id": workspace(), "last_number": least + size})
    statement = counted.on_conflict_do_update(
        index_elements=[counter.c.workspace_id],
        set_={"last_number": func.greatest(counter.c.last_number, least) + size},
    ).returning(counter.c.last_number)
    rows = await work.session.query(statement, **work.viewer.binds, size=count, least=highest)
    last = int(rows[0]["last_number"])
    return iter(range(last - count + 1, last + 1))


def _complete(_: Work, draft: Draft, numbers: Iterator[int]) -> None:
    if draft.is_new():
        if not draft.values.get("number"):
            draft.values["number"] = f"T-{next(numbers)}"
        if draft.values.get("assignee_id") is not None and draft.values["status"] == TicketStatus.NEW.value:
            draft.values["status"] = TicketStatus.OPEN.value


def _updated(_: Draft, changes: Changes) -> DomainEvent:
    if "status" in changes:
        before, after = changes["status"]
        match TicketStatus(after):
            case TicketStatus.RESOLVED:
                return TicketResolved(before)
            case TicketStatus.CLOSED:
                return TicketClosed()
            case TicketStatus.PENDING:
                return TicketHeld()
            case TicketStatus.OPEN if before == TicketStatus.PENDING.value:
                return TicketResumed()
            case _ if before in _OVER:
                return TicketReopened(before)
    if changes.get("assignee_id", (None, None))[1] is not None:
        return TicketAssigned(*changes["assignee_id"])
    return TicketUpdated()


IMPORTS = (
    ImportSpec(
        entity="ticket",
        model=Ticket,
        policy=TICKET,
        prefix="tic",
        columns=columns_of(
            Ticket,
            *(CUSTOMER_TARGET, CONTACT_TARGET, PRODUCT_TARGET, MEMBER_TARGET, TEAM_TARGET),
            required=("subject",),
            verbs={
                "status": {"PENDING": HOLD, "RESOLVED": RESOLVE, "CLOSED": CLOSE, "NEW": REOPEN, "OPEN": REOPEN},
                "assignee": {"*": ASSIGN},
            },
        ),
        matches=(("external_id",), ("number",)),
        unique=(("external_id",), ("number",)),
        created=lambda draft: TicketCreated(draft.values["number"]),
        updated=_updated,
        gather=_numbers,
        complete=_complete,
    ),
)
