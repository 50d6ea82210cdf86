"""The end of the recycle bin: what has been in it for longer than things are kept there is removed, with an event each.

Rows that point to others go before these: what something still points to, from the bin or from anywhere, waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import Table

from crm_graph.db.base import Kept, table_of
from crm_graph.db.rows import load
from crm_graph.db.rules import users_of
from crm_graph.db.statements import Statement
from crm_graph.identity.services import Services
from crm_graph.identity.viewer import Viewer
from crm_graph.keeping import events_of
from crm_graph.permissions.access import Access
from crm_graph.permissions.policy import Policy
from crm_graph.work import Work

BATCH = 200
"""Rows that are removed in one transaction."""


@dataclass(frozen=True, slots=True)
class Purger:
    """Purges the records of some kept types, given with their policies."""

    services: Services
    kept: Mapping[type[Kept], Policy]

    async def __call__(self) -> None:
        """Remove all that is due, in every workspace."""
        before = self.services.clock() - timedelta(days=self.services.settings.bin_days)
        for model in in_order(self.kept):
            rows = await self.services.database.primary_reader().fetch(_full(table_of(model)), {"before": before})
            for row in rows:
                while await self._purge(model, row["workspace_id"], before):
                    pass

    async def _purge(self, model: type[Kept], workspace_id: str, before: datetime) -> int:
        """Remove rows of a workspace that are due and that nothing points to; return how many."""
        viewer = Viewer.system(workspace_id)
        policy = self.kept[model]
        async with self.services.database.transaction() as session:
            now = self.services.clock()
            work = Work(session, viewer, Access({}, ""), lambda: now, vault=self.services.vault)
            bound = {"workspace_id": workspace_id, "before": before, "limit": BATCH}
            rows = await session.fetch(_due(table_of(model)), bound)
            for row in rows:
                await work.remove(load(model, row), policy, events_of(policy.type).purged())
            return len(rows)


def in_order(kept: Iterable[type[Kept]]) -> list[type[Kept]]:
    """Return kept types, each before those that it points to."""
    places = {table: place for place, table in enumerate(Kept.metadata.sorted_tables)}
    return sorted(kept, key=lambda model: places[table_of(model)], reverse=True)


@cache
def _full(table: Table) -> Statement:
    return Statement(
        f"SELECT DISTINCT workspace_id FROM {table.name} WHERE deleted_at < $1",  # noqa: S608 - a table of ours
        ("before",),
        {},
    )


@cache
def _due(table: Table) -> Statement:
    free = "".join(
        f" AND NOT EXISTS (SELECT 1 FROM {other.name} AS other WHERE other.workspace_id = $1"  # noqa: S608 - of ours
        f" AND other.{column.name} = row.id)"
        for other, column in users_of(table)
    )
    return Statement(
        f"SELECT * FROM {table.name} AS row WHERE workspace_id = $1 AND deleted_at < $2{free}"  # noqa: S608 - of ours
        " ORDER BY deleted_at, id LIMIT $3 FOR UPDATE SKIP LOCKED",
        ("workspace_id", "before", "limit"),
        {},
    )
