"""What is written of a `Kept` row that goes into the recycle bin or comes back, and of what goes with it: the same for
all types that are.

Deleting puts a row into the recycle bin, with its parts: it stays stored, and `TypeAccess.conditions`, which every read
asks for, leaves it out. Nothing that is not in the bin points to a row that is: `bin_statement` refuses to put one
there that is needed, and `missing_from_bin` says why one cannot come back.

Decided in D-work-06 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from crm_graph.db.base import ARCHIVED_AT, DELETED_AT, Kept, Row, table_of
from crm_graph.db.rows import remember
from crm_graph.db.rules import parts_of, users_of
from crm_graph.db.session import Session
from crm_graph.db.waiting import Refusal
from crm_graph.events.effects import Changes, DomainEvent, Erases, Removes
from crm_graph.kernel.naming import one, sentence
from crm_graph.statements import bin_statement, freeing_statement, missing_statement, parts_statement


@dataclass(frozen=True, slots=True)
class KeptEvents:
    """What happens to records of a kept type beside what its slice says."""

    archived: type[Changes]
    unarchived: type[Changes]
    restored: type[Changes]
    purged: type[Removes]

    def __iter__(self) -> Iterator[type[DomainEvent]]:
        return iter((self.archived, self.unarchived, self.restored, self.purged))


@cache
def events_of(type_: str) -> KeptEvents:
    """Return the events of a kept type: `CustomerArchived`, `CustomerRestored` and so on."""
    return KeptEvents(
        _event(type_, Changes, "Archived", "was archived: lists leave it out unless they are asked for it."),
        _event(type_, Changes, "Unarchived", "is in lists again."),
        _event(type_, Changes, "Restored", "came back from the recycle bin, with its parts."),
        _event(type_, Removes, "Purged", "was in the recycle bin for as long as things are kept there, and is gone."),
    )


@cache
def erased_event(type_: str) -> type[Erases]:
    """Return the event by which a person of a type is erased: `ContactErased`."""
    erased: type[Erases] = _event(type_, Erases, "Erased", "was erased: nothing that is kept says who it was.")
    return erased


def _event(type_: str, base: type[DomainEvent], done: str, told: str) -> Any:
    text = f"{sentence(one(type_))} {told}"
    return type(f"{type_}{done}", (base,), {"__doc__": text, "__module__": __name__})


async def put_into_bin(session: Session, row: Kept, at: datetime, by: str | None, refusal: Refusal) -> None:
    """Write that a loaded row is in the recycle bin, with its parts, and which member put it there; `refusal` says that
    others need it."""
    before = row.version
    row.deleted_at, row.version, row.updated_at, row.updated_by_id = at, before + 1, at, by
    bound = {"workspace_id": row.workspace_id, "b_id": row.id, "b_version": before, "v_version": row.version}
    bound |= {"at": at, "by": by}
    needed = users_of(table_of(type(row)))
    await session.later(bin_statement(type(row)), bound, row.id, refusal if needed else None)
    await set_parts(session, row, at)
    remember(row)


async def set_parts(session: Session, row: Kept, at: datetime | None) -> None:
    """Write that the parts of a row are in the recycle bin since then, or that they are not in it."""
    for parts, column in parts_of(table_of(type(row))):
        bound = {"workspace_id": row.workspace_id, "id": row.id, DELETED_AT: at}
        await session.later(parts_statement(parts, column.name), bound, (parts.name, row.id))


async def let_go(session: Session, row: Row) -> None:
    """Let records in the recycle bin go of a row that is removed, where they need not point to any."""
    for table, column in users_of(table_of(type(row))):
        if ARCHIVED_AT in table.c and column.nullable:
            bound = {"workspace_id": row.workspace_id, "id": row.id}
            await session.later(freeing_statement(table, column.name), bound, (table.name, column.name, row.id))


async def missing_from_bin(session: Session, row: Kept) -> tuple[str, str] | None:
    """Return the table and the column by which a row in the recycle bin, or a part of it, points to what is in the bin
    too; None where nothing does. What it points to is held until this transaction ends."""
    statement = missing_statement(type(row))
    if statement is None:
        return None
    counts = await session.fetch_row(statement, {"workspace_id": row.workspace_id, "id": row.id})
    label = next((label for label, count in (counts or {}).items() if count and "." in label), None)
    if label is None:
        return None
    table, _, column = label.partition(".")
    return table, column
