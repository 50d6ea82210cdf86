"""Events with the personal values that the log keeps under keys of persons, for what projects them.

Of a person who was erased there stands what their row has by now: it is in all of its versions (`db/personal.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import asyncpg
from sqlalchemy import Table

from crm_graph.db.personal import erased_values
from crm_graph.db.session import ReadSession
from crm_graph.vault.persons import opened_values
from crm_graph.vault.vault import Vault

Connection: TypeAlias = "asyncpg.Connection[Any]"
_KEYS = "SELECT id, wrapped FROM person_key WHERE workspace_id = $1 AND id = ANY($2::uuid[])"


async def opened(vault: Vault, connection: Connection, events: Iterable[Any], table: Table) -> list[Mapping[str, Any]]:
    """Return events of rows of a table, read as `versions.EVENT`, with all values in their changes."""
    session, erased = ReadSession(connection), erased_values(table)
    found: list[Mapping[str, Any]] = []
    for event in events:
        if event["personal"] is None:
            found.append(event)
            continue
        values = await opened_values(vault, session, event)
        if values is None:
            values = {name: (value, value) for name, value in erased.items() if name in event["changes"]}
        found.append({**event, "changes": {**event["changes"], **values}})
    return found


async def with_keys(connection: Connection, workspace_id: str, events: Iterable[Any]) -> list[Mapping[str, Any]]:
    """Return events of an archive with the keys that open them, as they are read beside those of the log."""
    archived = [{**event, "personal": event.get("personal")} for event in events]
    ids = sorted({event["personal"][3:35] for event in archived if event["personal"]})
    rows = await connection.fetch(_KEYS, workspace_id, ids) if ids else []
    keys = {row["id"]: row["wrapped"] for row in rows}
    return [{**event, "person_key": event["personal"] and keys.get(event["personal"][3:35])} for event in archived]
