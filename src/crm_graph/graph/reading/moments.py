"""Moments: the time that `asOf` names, and whether the kept history has come that far.

What is read as of a time is asked of the tables of versions, which the projector writes behind the log. So a request
for a time before history began, or of a time to come, is refused; one for a time of which a change is not projected
yet waits for it, a bounded while, and is then refused too. It is never answered wrong.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from crm_graph.db.history import instant
from crm_graph.db.statements import Statement
from crm_graph.graph.context import GraphContext
from crm_graph.graph.records.record import AS_OF
from crm_graph.graph.records.registry import Registry
from crm_graph.kernel.errors import BadUserInput, HistoryBehind

AGAIN_S = 0.05
_REACHED = Statement(
    "SELECT (SELECT max(began_at) FROM history_type WHERE name = ANY($3)) AS began,"
    " (SELECT count(*) FROM history_type WHERE name = ANY($3)) AS begun,"
    " EXISTS (SELECT seq FROM event WHERE workspace_id = $1 AND at <= $2 AND entity = ANY($4)"
    "  AND (xid, seq) > (SELECT xid::text::xid8, seq FROM history_position WHERE id = 1)) AS behind",
    ("workspace_id", "as_of", "tables", "types"),
    {},
)


async def reached(context: GraphContext, moment: datetime) -> datetime:
    """Return a moment once all that happened up to it in the workspace can be read as of it. Asked once a request.

    Raises BadUserInput for one that is to come, and for one before history began; HistoryBehind where the projector is
    too far behind.
    """
    waiting = context.extras.setdefault("moments", {})
    if moment not in waiting:
        waiting[moment] = asyncio.ensure_future(_reached(context, moment))
    await asyncio.shield(waiting[moment])
    return moment


async def reached_now(context: GraphContext) -> datetime:
    """Return the time, once all that happened up to it can be read as of it. Raises HistoryBehind."""
    now = context.services.clock()
    await _reached(context, now)
    return now


async def _reached(context: GraphContext, moment: datetime) -> None:
    if moment > context.services.clock():
        raise BadUserInput("`asOf` is in the future: leave it out for what is so now.", path=(AS_OF,))
    kept = kept_tables(context.registry)
    bound = {"as_of": moment, "tables": sorted(kept.values()), "types": sorted(kept), **context.binds}
    until = asyncio.get_running_loop().time() + context.services.settings.history_wait_ms / 1000
    while True:
        row: Any = await context.reader.fetch_row(_REACHED, bound)
        if row is None:  # the guard failed: all is thrown away
            return
        whole = row["begun"] == len(kept)
        if whole and moment < instant(row["began"]):
            raise BadUserInput(f"History began at {row['began']}: `asOf` cannot be before that.", path=(AS_OF,))
        if whole and not row["behind"]:
            return
        if asyncio.get_running_loop().time() > until:
            raise HistoryBehind(whole=whole)
        await asyncio.sleep(AGAIN_S)


def kept_tables(registry: Registry) -> dict[str, str]:
    """Return the record types whose history is kept, with their tables."""
    return {record.name: record.table.name for record in registry.records.values() if record.keeps_history}
