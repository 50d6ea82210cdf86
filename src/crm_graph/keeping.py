"""What becomes of a `Kept` row that is archived, deleted, restored or purged: the same for all types that are.

Deleting puts a row into the recycle bin, with its parts: it stays stored, and `TypeAccess.conditions`, which every read
asks for, leaves it out. Nothing that is not in the bin points to a row that is: `bin_statement` refuses to put one
there that is needed, and `missing_statement` to bring one back whose own references are in the bin.

Decided in D-work-03 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from crm_graph.db.base import DELETED_AT, Kept, Row, table_of
from crm_graph.db.rows import remember, values
from crm_graph.db.rules import parts_of, users_of
from crm_graph.events.effects import Changes, DomainEvent, Removes
from crm_graph.kernel.errors import Refused
from crm_graph.kernel.naming import camel, one, sentence, words
from crm_graph.permissions.grants import DELETE, UPDATE
from crm_graph.permissions.policy import Policy
from crm_graph.statements import bin_statement, freeing_statement, missing_statement, parts_statement, update_statement

if TYPE_CHECKING:
    from crm_graph.work import Work


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

    def made(base: type[DomainEvent], done: str, told: str) -> Any:
        text = f"{sentence(one(type_))} {told}"
        return type(f"{type_}{done}", (base,), {"__doc__": text, "__module__": __name__})

    return KeptEvents(
        made(Changes, "Archived", "was archived: lists leave it out unless they are asked for it."),
        made(Changes, "Unarchived", "is in lists again."),
        made(Changes, "Restored", "came back from the recycle bin: whoever is told of it for the first time adds it."),
        made(Removes, "Purged", "was in the recycle bin for as long as things are kept there, and is gone."),
    )


async def archive(work: Work, model: type[Kept], policy: Policy, id_: str, if_version: int | None) -> str:
    """Take a record out of lists. Raises Refused ILLEGAL_TRANSITION for one that is archived."""
    row = await work.get(model, policy, id_, UPDATE, if_version)
    if row.archived_at is not None:
        raise Refused("ILLEGAL_TRANSITION", f"This {words(policy.type)} is archived already.", ("id",))
    row.archived_at = work.now
    await work.save(row, policy, events_of(policy.type).archived())
    return row.id


async def unarchive(work: Work, model: type[Kept], policy: Policy, id_: str, if_version: int | None) -> str:
    """Put an archived record into lists again. Raises Refused ILLEGAL_TRANSITION for one that is not archived."""
    row = await work.get(model, policy, id_, UPDATE, if_version)
    if row.archived_at is None:
        raise Refused("ILLEGAL_TRANSITION", f"This {words(policy.type)} is not archived.", ("id",))
    row.archived_at = None
    await work.save(row, policy, events_of(policy.type).unarchived())
    return row.id


async def restore(work: Work, model: type[Kept], policy: Policy, id_: str, if_version: int | None) -> str:
    """Bring a record back from the recycle bin, with its parts.

    Raises Refused: NOT_FOUND for what is not in the bin, or may not be deleted; TAKEN where another record has one of
    its unique values by now; NOT_FOUND at the field by which it, or a part of it, points to what is in the bin itself.
    """
    row = await work.get(model, policy, id_, DELETE, if_version, deleted=True)
    await _refuse_missing(work, row, policy)
    row.deleted_at = None
    await work.save(row, policy, events_of(policy.type).restored())
    await _set_parts(work, row, None)
    return row.id


async def put_into_bin(work: Work, row: Kept, policy: Policy, event: Removes) -> None:
    """Put a loaded row into the recycle bin, with its parts and its event, which keeps all of its values."""
    held, before = values(row), row.version
    row.deleted_at, row.version, row.updated_at = work.now, before + 1, work.now
    bound = {"workspace_id": row.workspace_id, "b_id": row.id, "b_version": before}
    in_use = partial(_in_use, work, row, policy) if users_of(table_of(type(row))) else None
    await work.session.later(
        bin_statement(type(row)), {**bound, "v_version": row.version, "at": work.now}, row.id, in_use
    )
    await _set_parts(work, row, work.now)
    remember(row)
    gone = {name: (value, None) for name, value in held.items()}
    await work.tell(row, policy, event, {**gone, DELETED_AT: (None, work.now)})
    work.wholes.ended.add((policy.type, row.id))


async def purge(work: Work, row: Kept, policy: Policy) -> None:
    """Remove a row in the recycle bin for good. Raises Refused IN_USE where others point to it."""
    await work.remove(row, policy, events_of(policy.type).purged())


async def let_go(work: Work, row: Row) -> None:
    """Let rows in the recycle bin go of one that is removed, where they need not point to any."""
    for table, column in users_of(table_of(type(row))):
        if DELETED_AT in table.c and column.nullable:
            bound = {"workspace_id": row.workspace_id, "id": row.id}
            await work.session.later(freeing_statement(table, column.name), bound, (table.name, column.name, row.id))


async def _set_parts(work: Work, row: Kept, at: datetime | None) -> None:
    for parts, column in parts_of(table_of(type(row))):
        bound = {"workspace_id": row.workspace_id, "id": row.id, DELETED_AT: at}
        await work.session.later(parts_statement(parts, column.name), bound, (parts.name, row.id))


async def _refuse_missing(work: Work, row: Kept, policy: Policy) -> None:
    statement = missing_statement(type(row))
    if statement is None:
        return
    found = await work.session.fetch_row(statement, {**work.viewer.binds, "id": row.id})
    assert found is not None
    for label, count in found.items():
        if count:
            table, _, column = label.partition(".")
            what = "it points to" if table == table_of(type(row)).name else "a part of it points to"
            message = f"What {what} by `{camel(column)}` is in the recycle bin: restore that first."
            raise Refused("NOT_FOUND", message, (camel(column),))


def _in_use(work: Work, row: Kept, policy: Policy, _: Exception) -> Refused:
    users = work.users.get((policy.type, row.id)) or "other records"
    return Refused("IN_USE", f"This {words(policy.type)} is still used by {users}.")
