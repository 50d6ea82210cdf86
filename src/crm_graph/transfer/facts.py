"""What the slices look up for the rows of a batch, through the permission compiler like every read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, any_, bindparam, select

from crm_graph.db.session import Record
from crm_graph.permissions.policy import UUID, Policy
from crm_graph.referring import NOTHING, Reads, audited, selected
from crm_graph.work import Work


async def visible_rows(
    work: Work, policy: Policy, needs: Sequence[str], reads: Reads = NOTHING, **among: Sequence[str]
) -> list[Record]:
    """Return columns of the rows that the importer may see; `among` limits a column to some ids.

    As `Work.refer` does: `needs` are what a rule asks. What is copied, `reads`, is null where the importer may not read
    it in clear, and noted where reading it is written down.
    """
    table, access = policy.table, work.access.of(policy.type)
    needed = tuple(dict.fromkeys(("id", *needs)))
    query = select(*selected(access, table, needed, reads)).where(*access.conditions(table))
    for name in among:
        wanted: Any = any_(bindparam(f"among_{name}", type_=ARRAY(UUID)))
        query = query.where(table.c[name] == wanted)
    bound = {f"among_{name}": list(ids) for name, ids in among.items()}
    rows = await work.session.query(query, **work.viewer.binds, **bound)
    for row in rows:
        work.note(policy, row["id"], *audited(access, row, reads))
    return rows
