"""Timers: work that falls due at a time, set and cleared in the transaction of the record that it is about.

A timer has a key within its workspace, and one set again under its key is moved. Whoever takes one deletes it, in the
transaction that does the work: it is done once, and a worker that dies has taken nothing away.

Decided in D-jobs-02 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Index, PrimaryKeyConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Base, Id
from crm_graph.db.placement import LOCAL
from crm_graph.db.session import ReadSession, Session
from crm_graph.db.sizes import SizedJson
from crm_graph.db.statements import Statement
from crm_graph.identity.viewer import NOBODY


class Timer(Base):
    """Work that falls due. Local (undistributed) on Citus: workers ask over all workspaces what is due next, and a
    `SKIP LOCKED` over shards would ask each of them. No foreign key to the record, whose type it only names: of a
    record that is gone the handler finds nothing to do."""

    __tablename__ = "timer"
    __placement__ = LOCAL
    __table_args__ = (
        PrimaryKeyConstraint("workspace_id", "key"),
        Index("ix_timer_due_at", "due_at", postgresql_where=text("given_up_at IS NULL")),
        Index("ix_timer_workspace_id_due_at", "workspace_id", "due_at", postgresql_where=text("given_up_at IS NULL")),
        Index("ix_timer_workspace_id_record_id", "workspace_id", "record_id"),
    )

    workspace_id: Mapped[Id]
    key: Mapped[str]
    due_at: Mapped[datetime]
    kind: Mapped[str]
    record_type: Mapped[str]
    record_id: Mapped[Id]
    payload: Mapped[dict[str, Any]] = mapped_column(SizedJson(16 * 1024))
    attempts: Mapped[int] = mapped_column(server_default="0")
    """How often its work has failed."""
    error: Mapped[str | None]
    """Of what kind the last failure was: a name, and no text that could quote a value."""
    given_up_at: Mapped[datetime | None]
    """Since when nobody tries any more."""


@dataclass(frozen=True, slots=True)
class Due:
    """A timer that was taken."""

    workspace_id: str
    key: str
    kind: str
    record_type: str
    record_id: str
    payload: Mapping[str, Any]
    attempts: int
    due_at: str


_SET = Statement(
    "INSERT INTO timer (workspace_id, key, due_at, kind, record_type, record_id, payload)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (workspace_id, key) DO UPDATE SET due_at = excluded.due_at,"
    " kind = excluded.kind, record_type = excluded.record_type, record_id = excluded.record_id,"
    " payload = excluded.payload, attempts = 0, error = NULL, given_up_at = NULL",
    ("workspace_id", "key", "due_at", "kind", "record_type", "record_id", "payload"),
    {},
    ("UUID", "TEXT", "TIMESTAMPTZ", "TEXT", "TEXT", "UUID", "JSONB"),
)
_CLEAR = Statement(
    "DELETE FROM timer WHERE workspace_id = $1 AND key = $2", ("workspace_id", "key"), {}, ("UUID", "TEXT")
)
_CLEAR_OF = Statement(
    "DELETE FROM timer WHERE workspace_id = $1 AND record_id = $2 AND record_type = $3",
    ("workspace_id", "record_id", "record_type"),
    {},
    ("UUID", "UUID", "TEXT"),
)


@dataclass(frozen=True, slots=True)
class Timers:
    """The timers of a unit of work. What it sets and clears waits to be sent with the rows that it writes
    (`Session.later`), and stands and falls with them."""

    session: Session
    workspace_id: str

    async def set(
        self, key: str, kind: str, due_at: datetime, record: tuple[str, str], payload: Mapping[str, Any] | None = None
    ) -> None:
        """Let work of a kind, which a slice declares in `Slice.timers`, be done at a time for a record (type and id).
        A timer of this key is moved, and begins anew. The payload is what the handler is given, as JSON."""
        type_, id_ = record
        values = {"key": key, "kind": kind, "due_at": due_at, "record_type": type_, "record_id": id_}
        await self._later(_SET, {**values, "payload": payload or {}}, key)

    async def clear(self, key: str) -> None:
        """Let the work of a key not be done; without such a timer nothing happens."""
        await self._later(_CLEAR, {"key": key}, key)

    async def clear_of(self, record: tuple[str, str]) -> None:
        """Let no work be done for a record (type and id)."""
        type_, id_ = record
        await self._later(_CLEAR_OF, {"record_type": type_, "record_id": id_}, id_)

    async def _later(self, statement: Statement, values: Mapping[str, Any], row: str) -> None:
        row_name = ("timer", self.workspace_id, row)
        await self.session.later(statement, {"workspace_id": self.workspace_id, **values}, row_name)


_IS_DUE = "given_up_at IS NULL AND due_at <= now()"
_OLDEST = Statement(
    f"SELECT workspace_id FROM timer WHERE {_IS_DUE} AND kind = ANY($1::text[]) ORDER BY due_at LIMIT $2",  # noqa: S608
    ("kinds", "limit"),
    {},
)
_WALK = Statement(
    f"""
    WITH RECURSIVE walk (workspace_id, number) AS (
        (SELECT workspace_id, 1 FROM timer WHERE given_up_at IS NULL AND workspace_id > $1
            ORDER BY workspace_id LIMIT 1)
        UNION ALL
        SELECT next.workspace_id, number + 1 FROM walk CROSS JOIN LATERAL (
            SELECT timer.workspace_id FROM timer
            WHERE given_up_at IS NULL AND timer.workspace_id > walk.workspace_id ORDER BY timer.workspace_id LIMIT 1
        ) AS next WHERE number < $2
    )
    SELECT workspace_id, EXISTS (SELECT 1 FROM timer WHERE timer.workspace_id = walk.workspace_id AND {_IS_DUE}) AS due
    FROM walk
    """,  # noqa: S608 - constants
    ("after", "limit"),
    {},
)
_TAKE = Statement(
    f"""
    SELECT workspace_id, key, kind, record_type, record_id, payload, attempts, due_at::text,
        set_config('lock_timeout', $3, true)
    FROM timer WHERE workspace_id = $1 AND {_IS_DUE} AND kind = ANY($2::text[])
    ORDER BY timer.due_at LIMIT 1 FOR UPDATE SKIP LOCKED
    """,  # noqa: S608 - constants
    ("workspace_id", "kinds", "lock_timeout"),
    {},
)
_PUT_OFF = Statement(
    "UPDATE timer SET due_at = now() + $3::interval, attempts = $4, error = $5,"
    " given_up_at = CASE WHEN $6::boolean THEN now() END WHERE workspace_id = $1 AND key = $2",
    ("workspace_id", "key", "delay", "attempts", "error", "gives_up"),
    {},
)
_NEXT = Statement("SELECT extract(epoch FROM min(due_at) - now())::float8 FROM timer WHERE given_up_at IS NULL", (), {})


async def due_workspaces(session: ReadSession, kinds: Sequence[str], limit: int) -> list[str]:
    """Return the workspaces of the `limit` timers that have been due for longest, each once: all that have any where
    there are fewer."""
    rows = await session.fetch(_OLDEST, {"kinds": list(kinds), "limit": limit})
    return [row[0] for row in rows]


async def walk_workspaces(session: ReadSession, after: str, limit: int) -> tuple[list[str], str]:
    """Return those of the next `limit` workspaces with timers, by id, that have due ones; and where to go on."""
    rows = await session.fetch(_WALK, {"after": after, "limit": limit})
    return [row[0] for row in rows if row[1]], rows[-1][0] if len(rows) == limit else NOBODY


async def take_due(session: Session, workspace_id: str, kinds: Sequence[str], lock_ms: int) -> Due | None:
    """Take the timer of a workspace that has been due for longest, and that nobody else is at; None without one. Until
    the transaction ends no other takes it. Locks are waited for `lock_ms` from here on."""
    values = {"workspace_id": workspace_id, "kinds": list(kinds), "lock_timeout": f"{lock_ms}ms"}
    rows = await session.fetch(_TAKE, values)
    return Due(*rows[0][:8]) if rows else None


async def put_off(
    session: Session, due: Due, delay: timedelta, attempts: int, error: str | None, *, gives_up: bool = False
) -> None:
    """Let a timer that was taken be due later."""
    values = {"workspace_id": due.workspace_id, "key": due.key, "delay": delay}
    await session.execute(_PUT_OFF, {**values, "attempts": attempts, "error": error, "gives_up": gives_up})


async def next_due_in(session: ReadSession) -> float | None:
    """Return in how many seconds the next timer is due, by the database's clock; None without timers."""
    row = await session.fetch_row(_NEXT, {})
    return None if row is None or row[0] is None else float(row[0])
