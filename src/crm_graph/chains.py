"""Chains of rows of one table, each below another: a parent, a manager. No row is above itself (`db/rules.chains_of`).

Whoever gives a row another one above it holds the workspace, so that two at once cannot make a circle of which neither
sees the other's half. What one unit of work has moved is remembered: operations that run together see it before it is
written. An import has the whole table in memory, and judges by the same rule (`transfer/load.py`).

Decided in D-work-05 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol

from crm_graph.db.base import Row, table_of
from crm_graph.db.rules import CIRCLE, chains_of
from crm_graph.db.session import Session
from crm_graph.db.statements import Statement
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.errors import Refused
from crm_graph.kernel.naming import camel, words


class Mover(Protocol):
    """What the rule needs of a unit of work."""

    session: Session
    viewer: Viewer
    facts: dict[str, Any]

    async def hold_workspace(self) -> None:
        """Hold the workspace until this unit of work ends."""
        ...


@dataclass(slots=True)
class _Chain:
    """What is above what: as it is stored, and as this unit of work has moved it."""

    stored: dict[str, str | None] = field(default_factory=dict)
    moved: dict[str, str | None] = field(default_factory=dict)

    def leads_to(self, start: str, id_: str) -> bool:
        """Return whether a row is `start`, or above it. Rows that are in a circle already end the search."""
        passed: set[str] = set()
        at: str | None = start
        while at is not None and at != id_ and at not in passed:
            passed.add(at)
            at = self.moved[at] if at in self.moved else self.stored.get(at)
        return at == id_


def is_placed(model: type[Row], values: Mapping[str, Any]) -> bool:
    """Return whether values of a model's columns put a row below another one."""
    return any(values.get(name) is not None for name in chains_of(model))


async def refuse_circles(work: Mover, row: Row, type_: str, changed: Collection[str]) -> None:
    """Raise Refused INVALID at the first of the columns that are `changed` which leads back to the row."""
    table = table_of(type(row))
    for name in chains_of(type(row)):
        if name not in changed:
            continue
        above = getattr(row, name)
        chain: _Chain = work.facts.setdefault(f"chain {table.name}.{name}", _Chain())
        if above is not None:
            await work.hold_workspace()
            rows = await work.session.fetch(_above(table.name, name), {**work.viewer.binds, "id": above})
            chain.stored.update((record["id"], record["next"]) for record in rows)
            if chain.leads_to(above, row.id):
                raise Refused("INVALID", f"`{camel(name)}` {CIRCLE.format(words(type_))}.", (camel(name),))
        chain.moved[row.id] = above


@cache
def _above(table: str, column: str) -> Statement:
    """Return the statement that finds a row and all above it, each with what is `next` above."""
    return Statement(
        f"""
        WITH RECURSIVE above AS (
            SELECT id, {column} AS next FROM {table} WHERE workspace_id = $1 AND id = $2
            UNION
            SELECT row.id, row.{column} FROM {table} AS row JOIN above ON row.id = above.next
            WHERE row.workspace_id = $1
        )
        SELECT id, next FROM above
        """.strip(),  # noqa: S608 - tables and columns of ours
        ("workspace_id", "id"),
        {},
        ("uuid", "uuid"),
    )
