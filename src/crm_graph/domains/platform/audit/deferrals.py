"""Deferrals: the workspaces whose entries cannot be written, as their worker of a cluster is down, and since where.

Each is a row of `audit_deferral`, so that whoever is elected next knows it, events that are not sealed are kept, and
verification does not take them for events that were slipped in. On a plain Postgres there is none.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import asyncpg

from crm_graph.kernel.cursor import LogCursor

Connection: TypeAlias = "asyncpg.Connection[Any]"
Down: TypeAlias = Callable[[Connection, Sequence[str]], Awaitable[set[str]]]
"""Returns which of some workspaces lie on a worker that does not answer."""

BEGINNING = LogCursor(0, 0)
AGAIN_S = 2.0
"""How long until it is looked again whether a worker is back."""
_READ = "SELECT workspace_id, event_xid, event_seq FROM audit_deferral"
_ADD = """
    INSERT INTO audit_deferral (workspace_id, event_xid, event_seq)
    SELECT id, $2, $3 FROM unnest($1::uuid[]) AS id ON CONFLICT (workspace_id) DO NOTHING
"""
_MOVE = "UPDATE audit_deferral SET event_xid = $2, event_seq = $3 WHERE workspace_id = $1"
_END = "DELETE FROM audit_deferral WHERE workspace_id = $1"


@dataclass(slots=True)
class Deferrals:
    """The position behind which each deferred workspace is yet to be sealed."""

    positions: dict[str, LogCursor] = field(default_factory=dict)
    passed: LogCursor = BEGINNING
    """How far the chainer has come, which the heads do not say where it has come past deferred workspaces alone."""
    _looked: float = 0.0

    @classmethod
    async def read(cls, connection: Connection) -> Deferrals:
        """Return those that an earlier chainer has left."""
        rows = await connection.fetch(_READ)
        return cls({row["workspace_id"]: LogCursor(row["event_xid"], row["event_seq"]) for row in rows})

    def __contains__(self, workspace_id: str) -> bool:
        return workspace_id in self.positions

    def __getitem__(self, workspace_id: str) -> LogCursor:
        return self.positions[workspace_id]

    async def add(self, connection: Connection, workspaces: Iterable[str], position: LogCursor) -> None:
        """Defer workspaces, of which everything up to a position is sealed."""
        workspaces = sorted(workspaces)
        await connection.execute(_ADD, workspaces, position.xid, position.seq)
        self.positions |= dict.fromkeys(workspaces, position)
        self._looked = time.monotonic()

    async def due(self, connection: Connection, down: Down) -> list[str]:
        """Return the workspaces whose workers answer again; none while that was asked a moment ago."""
        if not self.positions or time.monotonic() - self._looked < AGAIN_S:
            return []
        self._looked = time.monotonic()
        workspaces = sorted(self.positions)
        away = await down(connection, workspaces)
        return [workspace_id for workspace_id in workspaces if workspace_id not in away]

    async def move(self, connection: Connection, workspace_id: str, position: LogCursor | None) -> None:
        """Write, in the transaction that seals, up to where a workspace is caught up on; None for all of it."""
        if position is None:
            await connection.execute(_END, workspace_id)
        else:
            await connection.execute(_MOVE, workspace_id, position.xid, position.seq)

    def moved(self, workspace_id: str, position: LogCursor | None) -> None:
        """Take note of what was written, once it is committed."""
        if position is None:
            del self.positions[workspace_id]
        else:
            self.positions[workspace_id] = position
            self._looked = 0.0
