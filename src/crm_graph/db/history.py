"""Kept history: said beside a model, from which the table of its versions derives.

    @keeps_history("owner_id", "parent_id")
    class Customer(Kept):

A version is the row as it was from `valid_from` until right before `valid_to`, with who made it so. The table of the
versions has the columns of the table, whatever these are, so that a view reads the one or the other (`graph/reading`).
It is written by the projector alone (`events/projector.py`).

Decided in D-events-06 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import BigInteger, Column, DateTime, FromClause, Index, Table, Uuid

from crm_graph.db.base import Base, Kept, table_of
from crm_graph.db.placement import DISTRIBUTED
from crm_graph.db.sizes import SizedText

T = TypeVar("T", bound=type[Kept])

VALID_FROM, VALID_TO = "valid_from", "valid_to"
STILL = "infinity"
"""The end of the version that is valid now, as Postgres spells it."""
BY_KIND, BY_MEMBER, BY_CLIENT, TOLD_AS = "by_kind", "by_member_id", "by_client_id", "told_as"
EVENT_XID, EVENT_SEQ = "event_xid", "event_seq"
_VERSIONS, _CLASS = "crm_graph.versions", "crm_graph.version_class"


def keeps_history(*found_by: str) -> Callable[[T], T]:
    """Say of a type that versions of its rows are kept. They are `found_by` these columns beside their ids: by whom a
    role's rows are told, and along which edges they are asked for.

    Raises ValueError for a column that has a name which its versions need. No type with an encrypted column is one of
    these: what was rotated, or forgotten, would stay readable in its versions (`tests/events/test_projector.py`).
    """

    def decorate(model: T) -> T:
        table = table_of(model)
        own = _own_columns()
        taken = {column.name for column in own} & set(table.c.keys())
        if taken:
            raise ValueError(f"{table.name} has columns that its versions need: {', '.join(sorted(taken))}")
        name = f"{table.name}_version"
        columns = [
            Column(column.name, column.type, primary_key=column.primary_key, nullable=column.nullable)
            for column in table.columns
        ]
        versions = Table(name, Base.metadata, *columns, *own)
        for by in ((), *((column,) for column in found_by)):
            Index(f"ix_{name}_{'_'.join((*by, VALID_TO))}", *(versions.c[c] for c in ("workspace_id", *by, VALID_TO)))
        described: dict[str, Any] = {
            "__module__": model.__module__,
            "__doc__": f"Versions of {table.name}: see `db/history.py`.",
            "__table__": versions,
            "__placement__": DISTRIBUTED,
        }
        table.info[_VERSIONS] = versions
        table.info[_CLASS] = type(f"{model.__name__}Version", (Base,), described)  # mapped classes are known weakly
        return model

    return decorate


def _own_columns() -> list[Column[Any]]:
    return [
        Column(VALID_FROM, DateTime(timezone=True), primary_key=True),
        Column(VALID_TO, DateTime(timezone=True), nullable=False),
        Column(BY_KIND, SizedText(63), nullable=True),
        Column(BY_MEMBER, Uuid(as_uuid=False), nullable=True),
        Column(BY_CLIENT, Uuid(as_uuid=False), nullable=True),
        Column(TOLD_AS, SizedText(200), nullable=True),
        Column(EVENT_XID, BigInteger, nullable=False),
        Column(EVENT_SEQ, BigInteger, nullable=False),
    ]


def versions_of(table: Table) -> Table | None:
    """Return the table of a table's versions; None where none are kept."""
    versions: Table | None = table.info.get(_VERSIONS)
    return versions


def are_versions(rows: FromClause) -> bool:
    """Return whether rows are versions of rows: a type of the CRM may itself be valid from a day on."""
    return TOLD_AS in rows.c


def instant(text: str) -> datetime:
    """Return a time as a connection of ours reads it."""
    return datetime.fromisoformat(text)
