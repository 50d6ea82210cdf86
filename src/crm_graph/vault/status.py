"""What keys there are, what wraps them, and how many values are under each: for `keys status` and `doctor`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Integer, cast, func, select

from crm_graph.db.session import ReadSession
from crm_graph.db.statements import Statement
from crm_graph.vault.columns import Ciphertexts
from crm_graph.vault.keys import DATA
from crm_graph.vault.service import KeyService
from crm_graph.vault.vault import key_context

_KEYS = Statement(
    "SELECT workspace_id, purpose, version, wrapped_by, created_at, retired_at FROM workspace_key"
    " ORDER BY workspace_id, purpose, version",
    (),
    {},
)
_ONE_OF_EACH = Statement(
    "SELECT DISTINCT ON (wrapped_by) wrapped_by, workspace_id, purpose, version, wrapped,"
    " count(*) OVER (PARTITION BY wrapped_by) AS keys FROM workspace_key ORDER BY wrapped_by, workspace_id",
    (),
    {},
)


@dataclass(frozen=True, slots=True)
class KeyStatus:
    """One key, and how many values of the encrypted columns are under it; times as RFC 3339."""

    workspace_id: str
    purpose: str
    version: int
    wrapped_by: str
    created_at: str
    retired_at: str | None
    values: int


async def key_status(session: ReadSession, columns: Sequence[Ciphertexts]) -> list[KeyStatus]:
    """Return all keys of all workspaces. Counts every encrypted value, which reads the tables."""
    counts: dict[tuple[str, str, int], int] = {}
    for column in columns:
        stored = column.table.c[column.column]
        version = cast(func.split_part(stored, ".", 2), Integer)
        grouped = select(column.table.c.workspace_id, version, func.count()).where(stored.is_not(None))
        for workspace_id, number, count in await session.query(grouped.group_by(column.table.c.workspace_id, version)):
            key = workspace_id, DATA, number
            counts[key] = counts.get(key, 0) + count
    return [
        KeyStatus(id_, purpose, number, wrapped_by, created_at, retired_at, counts.get((id_, purpose, number), 0))
        for id_, purpose, number, wrapped_by, created_at, retired_at in await session.fetch(_KEYS, {})
    ]


@dataclass(frozen=True, slots=True)
class Wrapping:
    """How many keys one master key wraps."""

    wrapped_by: str
    keys: int


async def wrappings(session: ReadSession, service: KeyService) -> list[Wrapping]:
    """Return which master keys wrap how many keys, once one key of each was unwrapped. Raises OperatorError for one
    that cannot be."""
    wrappings = []
    for row in await session.fetch(_ONE_OF_EACH, {}):
        await service.unwrap(row["wrapped"], key_context(row["workspace_id"], row["purpose"], row["version"]))
        wrappings.append(Wrapping(row["wrapped_by"], row["keys"]))
    return wrappings
