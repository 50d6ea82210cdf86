"""Erasing a person: what says who they are is emptied wherever it is kept, and the key of what cannot be is deleted.

One transaction. The log, its archives and the audit trail keep what they have, under a key that is no more; what is
kept under idempotency keys holds no values of records. Written once: `writes.py` makes the mutations of each type whose
records are persons.

Decided in D-vault-02 (ARCHITECTURE.md).
"""

from __future__ import annotations

from crm_graph.db.base import Kept
from crm_graph.db.history import versions_of
from crm_graph.db.personal import erased_values
from crm_graph.db.statements import Statement
from crm_graph.events.projector import WRITING_LOCK
from crm_graph.events.versions import Kept as KeptHistory
from crm_graph.events.versions import overwrite
from crm_graph.graph.records.record import Record
from crm_graph.graph.records.registry import Registry
from crm_graph.keeping import erased_event
from crm_graph.kernel.errors import Refused
from crm_graph.permissions.grants import ERASE
from crm_graph.vault.persons import FORGET_PERSON
from crm_graph.work import Work

_ALONE = Statement("SELECT pg_advisory_xact_lock($1)", ("lock",), {})
"""No versions are made meanwhile: a projector that has read a value has written it, or reads it no more."""


async def erase(registry: Registry, record: Record, work: Work, id_: str, if_version: int | None) -> str:
    """Erase a person, also one in the recycle bin. Raises Refused ILLEGAL_TRANSITION for a record that is none."""
    row = await _found(record, work, id_, if_version)
    if not row.is_person():
        raise Refused("ILLEGAL_TRANSITION", f"This {record.words} is no person: nobody is erased.", ("id",))
    erased = erased_values(record.table)
    for name, value in erased.items():
        setattr(row, name, value)
    await work.save(row, record.policy, erased_event(record.name)(), beside={})
    of = {"workspace_id": row.workspace_id, "subject_id": row.id}
    await work.session.fetch(_ALONE, {"lock": WRITING_LOCK})
    versions = versions_of(record.table)
    if versions is not None:
        text = overwrite(KeptHistory(record.name, record.table, versions), tuple(erased))
        statement = Statement(text, ("workspace_id", "subject_id", "values"), {})
        await work.session.execute(statement, {**of, "values": erased})
    await work.session.execute(FORGET_PERSON, of)
    for forget in registry.traces:
        await forget(work)
    return row.id


async def _found(record: Record, work: Work, id_: str, if_version: int | None) -> Kept:
    """Return the row, locked: one that is in use, or one in the recycle bin."""
    assert issubclass(record.model, Kept), f"{record.name} is not kept"
    try:
        return await work.get(record.model, record.policy, id_, ERASE, if_version)
    except Refused as refused:
        if refused.code != "NOT_FOUND":
            raise
        try:
            return await work.get(record.model, record.policy, id_, ERASE, if_version, deleted=True)
        except Refused as in_bin:
            raise refused if in_bin.code == "NOT_FOUND" else in_bin from None
