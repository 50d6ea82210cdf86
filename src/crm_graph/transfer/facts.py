"""What the slices look up for the rows of a batch, through the permission compiler like every read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, any_, bindparam, select

from crm_graph.db.base import Row, table_of
from crm_graph.db.session import Record
from crm_graph.permissions.policy import UUID, Policy, workspace
from crm_graph.work import Work


async def visible_rows(
    work: Work, model: type[Row], policy: Policy, columns: Sequence[str], **among: Sequence[str]
) -> list[Record]:
    """Return columns of the rows that the importer may see; `among` limits a column to some ids.

    Whole rows, as `Work.refer` returns them: what a rule needs to know, not what is shown.
    """
    table = table_of(model)
    query = select(*(table.c[name] for name in columns)).where(table.c.workspace_id == workspace())
    predicate = work.access.of(policy.type).rows(table)
    if predicate is not None:
        query = query.where(predicate)
    for name in among:
        wanted: Any = any_(bindparam(f"among_{name}", type_=ARRAY(UUID)))
        query = query.where(table.c[name] == wanted)
    bound = {f"among_{name}": list(ids) for name, ids in among.items()}
    return await work.session.query(query, **work.viewer.binds, **bound)
