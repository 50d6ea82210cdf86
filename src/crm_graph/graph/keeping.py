"""What can be done with every kept record: archived, put into lists again, brought back from the recycle bin.

Written once: `writes.py` makes the mutations of each type that is `Kept`.
"""

from __future__ import annotations

from datetime import datetime

from crm_graph.db.base import Kept
from crm_graph.events.effects import Changes
from crm_graph.graph.records.record import Record
from crm_graph.keeping import events_of, missing_from_bin, set_parts
from crm_graph.kernel.errors import Refused
from crm_graph.kernel.naming import camel
from crm_graph.permissions.grants import DELETE, UPDATE
from crm_graph.work import Work


async def archive(record: Record, work: Work, id_: str, if_version: int | None) -> str:
    """Take a record out of lists. Raises Refused ILLEGAL_TRANSITION for one that is archived."""
    row = await work.get(_model(record), record.policy, id_, UPDATE, if_version)
    return await _set_archived(record, work, row, work.now, events_of(record.name).archived())


async def unarchive(record: Record, work: Work, id_: str, if_version: int | None) -> str:
    """Put an archived record into lists again. Raises Refused ILLEGAL_TRANSITION for one that is not archived."""
    row = await work.get(_model(record), record.policy, id_, UPDATE, if_version)
    return await _set_archived(record, work, row, None, events_of(record.name).unarchived())


async def _set_archived(record: Record, work: Work, row: Kept, at: datetime | None, event: Changes) -> str:
    if (row.archived_at is None) == (at is None):
        state = "not archived" if at is None else "archived already"
        raise Refused("ILLEGAL_TRANSITION", f"This {record.words} is {state}.", ("id",))
    row.archived_at = at
    await work.save(row, record.policy, event)
    return row.id


async def restore(record: Record, work: Work, id_: str, if_version: int | None) -> str:
    """Bring a record back from the recycle bin, with its parts.

    Raises Refused: NOT_FOUND for what is not in the bin, and at the field by which it, or a part of it, points to what
    is in the bin itself; TAKEN where another record has one of its unique values by now.
    """
    row = await work.get(_model(record), record.policy, id_, DELETE, if_version, deleted=True)
    missing = await missing_from_bin(work.session, row)
    if missing is not None:
        table, column = missing
        what = "it points to" if table == record.table.name else "a part of it points to"
        message = f"What {what} by `{camel(column)}` is in the recycle bin: restore that first."
        raise Refused("NOT_FOUND", message, (camel(column),))
    row.deleted_at = None
    await work.save(row, record.policy, events_of(record.name).restored())
    await work.set_timers(row, record.policy)
    await set_parts(work.session, row, None)
    return row.id


def _model(record: Record) -> type[Kept]:
    assert issubclass(record.model, Kept), f"{record.name} is not kept"
    return record.model
