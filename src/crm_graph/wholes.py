"""Wholes and parts within one unit of work: a change of an order's line changes the order, and moves its version.

So `ifVersion` of a whole tells of whatever was changed in it, whoever changed it and by which operation. Which parts
count is said by `Policy.in_version`. The event of a part waits until the transaction ends, to be written together with
that of its whole: one statement for both. Where the operation saves the whole itself, it is that save which moves the
version, once a transaction; else one statement more does.

Decided in D-work-01 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from sqlalchemy import Table, bindparam, update

from crm_graph.db.base import Row
from crm_graph.db.session import Session
from crm_graph.db.statements import Statement, compile_statement
from crm_graph.events.log import append_all
from crm_graph.permissions.policy import UUID, Policy, workspace

PARTS = "parts"
"""The key of an event's data under which that of a whole names the types of the parts that changed with it."""
Entry = dict[str, Any]
Key = tuple[str, str]


@dataclass(slots=True)
class Touched:
    """What changed of a whole's parts so far."""

    policy: Policy
    id: str
    event: type[Any]
    parts: dict[str, None] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    """Of the parts, in their order; not written yet."""

    def told_with(self, entry: Entry) -> list[Entry]:
        """Return the entries of the parts and the whole's own one, which names them."""
        return [*self.entries, {**entry, "data": {**entry["data"], PARTS: list(self.parts)}}]


@dataclass(slots=True)
class Wholes:
    """The wholes of one unit of work."""

    waiting: dict[Key, Touched] = field(default_factory=dict)
    moved: set[Key] = field(default_factory=set)
    """The rows whose version has moved in this transaction, or that it has made: they move once."""
    ended: set[Key] = field(default_factory=set)
    """The rows that this transaction has made or removed: their own event tells of their parts."""

    def copy(self) -> Wholes:
        """Return them as they are by now."""
        waiting = {
            key: replace(touched, parts=dict(touched.parts), entries=list(touched.entries))
            for key, touched in self.waiting.items()
        }
        return Wholes(waiting, set(self.moved), set(self.ended))

    def touch(self, policy: Policy, row: Row, entry: Entry | None = None) -> bool:
        """Note that a part was written; returns whether its event, where it has one, is to wait for its whole's."""
        if not policy.in_version:
            return False
        assert policy.parent is not None
        whole, column = policy.parent
        changed: Mapping[str, Any] = {} if entry is None else entry["changes"]
        ids = {getattr(row, column), *changed.get(column, ())} - {None}
        touched = [
            self.waiting.setdefault((whole.type, id_), Touched(whole, id_, policy.in_version))
            for id_ in sorted(ids)
            if (whole.type, id_) not in self.ended
        ]
        for each in touched:
            each.parts[policy.type] = None
        if touched and entry is not None:
            touched[0].entries.append(entry)
        return bool(touched)

    def take(self, policy: Policy, id_: str) -> Touched | None:
        """Return what waits for the event of a row, which is written now."""
        return self.waiting.pop((policy.type, id_), None)

    async def finish(self, session: Session, entry: Callable[[Policy, str, Any, Any], Entry]) -> None:
        """Move the versions of the wholes that were not saved, and write what waits."""

        waiting = list(self.waiting.items())
        self.waiting.clear()
        for key, touched in waiting:
            own = entry(touched.policy, touched.id, touched.event(), {})
            if key not in self.moved:
                self.moved.add(key)
                bound = {"workspace_id": own["workspace_id"], "id": touched.id, "now": own["at"], "me": own["actor"]}
                await session.later(_move_statement(touched.policy.table), bound, touched.id)
            await append_all(session, touched.told_with(own))


@cache
def _move_statement(table: Table) -> Statement:
    return compile_statement(
        update(table)
        .where(table.c.workspace_id == workspace(), table.c.id == bindparam("id", type_=UUID))
        .values(
            version=table.c.version + 1,
            updated_at=bindparam("now", type_=table.c.updated_at.type),
            updated_by_id=bindparam("me", type_=UUID),
        )
    )
