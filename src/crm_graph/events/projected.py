"""How far the projector has come: what waits for it asks here, and needs nothing else of it (`projector.py`)."""

from __future__ import annotations

from typing import Any

import asyncpg

from crm_graph.kernel.cursor import LogCursor

_POSITION = "SELECT xid, seq FROM history_position WHERE id = 1"


async def projected_position(connection: asyncpg.Connection[Any]) -> LogCursor:
    """Return the position up to which every event is in the tables of versions."""
    row = await connection.fetchrow(_POSITION)
    return LogCursor(0, 0) if row is None else LogCursor(row["xid"], row["seq"])
