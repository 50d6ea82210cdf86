"""Versions of rows from events of the log: the one way to make them, for the projector and for a rebuild.

An event keeps the columns that it changed, so that the versions of a row follow from the one before and the events
since. What the log does not keep follows from it too: `version` moves once a transaction, the times of a row are those
of its events. Several events of a row at one time are one version.

Events of a row are put in the order of their numbers, in which they were written under the lock of the row; the log's
own order `(xid, seq)` goes by when transactions began, which is not the same. `event_seq` says up to which event a
version has them, so that none is taken twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import asyncpg
from sqlalchemy import ARRAY, JSON, Table

from crm_graph.db.base import DELETED_AT, KEEPING
from crm_graph.db.history import (
    BY_CLIENT,
    BY_KIND,
    BY_MEMBER,
    EVENT_SEQ,
    EVENT_XID,
    STILL,
    TOLD_AS,
    VALID_FROM,
    VALID_TO,
    instant,
    versions_of,
)
from crm_graph.events.effects import Effect, Effects
from crm_graph.vault.persons import WRAPPED

_AS_THEY_ARE = frozenset({"workspace_id", "id", "version", EVENT_XID, EVENT_SEQ})
Connection: TypeAlias = "asyncpg.Connection[Any]"
Key = tuple[str, str]
Values = dict[str, Any]

EVENT = (
    "xid::text::bigint AS xid, seq, workspace_id, type, entity, entity_id, actor, at, changes, client_id,"
    " coalesce(actor_kind, CASE WHEN actor IS NULL THEN 'SYSTEM' ELSE 'MEMBER' END) AS actor_kind,"
    f" personal, {WRAPPED}"
)
"""What is read of an event."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A record type whose history is kept: the name that the log calls it by, its table, that of its versions."""

    type: str
    table: Table
    versions: Table

    @classmethod
    def of(cls, types: Mapping[str, Table]) -> tuple[Kept, ...]:
        """Return those of some types, by name with their tables, whose history is kept."""
        found = ((name, table, versions_of(table)) for name, table in sorted(types.items()))
        return tuple(cls(name, table, versions) for name, table, versions in found if versions is not None)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of a row."""
        return tuple(column.name for column in self.table.columns)


def fold(kept: Kept, events: Iterable[Any], open_: Mapping[Key, Values], effects: Effects) -> list[Values]:
    """Return the versions that follow from the open ones, by workspace and id, and events of their rows: the open ones
    too, ended or as they go on. A row of which nothing is known comes to be by the event that creates it, and by no
    other."""
    current = dict(open_)
    ended: list[Values] = []
    for event in sorted(events, key=lambda event: event["seq"]):
        key = event["workspace_id"], event["entity_id"]
        before, effect = current.get(key), effects.of(event["type"])
        if effect is Effect.MENTIONS or (before is not None and event["seq"] <= before[EVENT_SEQ]):
            continue
        if before is None:
            if effect is Effect.CREATES:
                current[key] = _created(kept, event)
            continue
        if effect is Effect.REMOVES and DELETED_AT not in event["changes"]:
            end = _later(event["at"], before[VALID_FROM])
            if end != before[VALID_FROM]:
                ended.append({**before, VALID_TO: end})
            del current[key]
            continue
        after = _changed(kept, before, event, effect)
        if after[VALID_FROM] != before[VALID_FROM]:
            ended.append({**before, VALID_TO: after[VALID_FROM]})
        current[key] = after
    return [*ended, *current.values()]


def _created(kept: Kept, event: Any) -> Values:
    at, by = event["at"], event["actor"]
    return {
        **dict.fromkeys(kept.columns),
        **_new(kept, event),
        "workspace_id": event["workspace_id"],
        "id": event["entity_id"],
        "version": 1,
        **{"created_at": at, "updated_at": at, "created_by_id": by, "updated_by_id": by},
        **_told(event),
        VALID_FROM: at,
        VALID_TO: STILL,
    }


def _changed(kept: Kept, before: Values, event: Any, effect: Effect) -> Values:
    new = _new(kept, event)
    if effect is Effect.REMOVES:  # into the recycle bin: what the row had, it has
        new = {name: value for name, value in new.items() if name in KEEPING and value is not None}
    valid_from = _later(event["at"], before[VALID_FROM])
    moved = event["xid"] != before[EVENT_XID] or instant(event["at"]) != instant(before["updated_at"])
    return {
        **before,
        **new,
        "version": before["version"] + moved,
        **{"updated_at": event["at"], "updated_by_id": event["actor"]},
        **(_told(event) if valid_from != before[VALID_FROM] else {}),
        **{EVENT_XID: event["xid"], EVENT_SEQ: event["seq"]},
        VALID_FROM: valid_from,
    }


def _told(event: Any) -> Values:
    return {
        BY_KIND: event["actor_kind"],
        BY_MEMBER: event["actor"],
        BY_CLIENT: event["client_id"],
        TOLD_AS: event["type"],
        EVENT_XID: event["xid"],
        EVENT_SEQ: event["seq"],
    }


def _new(kept: Kept, event: Any) -> Values:
    return {name: new for name, (_, new) in event["changes"].items() if name in kept.table.c}


def _later(at: str, valid_from: str) -> str:
    """Return the time of an event, or when the version before it began where that is not earlier: of an event that
    waited for a lock, the clock can have been read before."""
    return at if instant(at) > instant(valid_from) else valid_from


def undo(kept: Kept, events: Sequence[Any], now: Values | None, effects: Effects) -> Values | None:
    """Return a row as it was right before the first of its events, from what it is after the last, None for none; None
    where the first of them made it. When and by whom it was written before, the log does not keep: then it is said to
    be as it was made."""
    values = now
    moved: set[tuple[int, str]] = set()
    for event in sorted(events, key=lambda event: event["seq"], reverse=True):
        effect = effects.of(event["type"])
        old = {name: old for name, (old, _) in event["changes"].items() if name in kept.table.c}
        if effect is Effect.CREATES:
            values = None
        elif effect is Effect.REMOVES and DELETED_AT not in event["changes"]:
            values = {**dict.fromkeys(kept.columns), **old}
        elif effect is not Effect.MENTIONS and values is not None:
            if effect is Effect.REMOVES:
                old = {name: value for name, value in old.items() if name in KEEPING}
            values = {**values, **old}
            moved.add((event["xid"], event["at"]))
    if values is None:
        return None
    made = {"updated_at": values["created_at"], "updated_by_id": values["created_by_id"]}
    return {**values, "version": max(1, values["version"] - len(moved)), **(made if moved else {})}


@cache
def take_open(kept: Kept) -> str:
    """Return the statement that takes the open versions of rows, $2 of workspaces $1, out of the table."""
    return (
        f"DELETE FROM {kept.versions.name} WHERE workspace_id = ANY($1::uuid[]) AND id = ANY($2::uuid[])"  # noqa: S608
        f" AND {VALID_TO} = '{STILL}' RETURNING {_all(kept.versions)}"
    )


@cache
def take_all(kept: Kept) -> str:
    """Return the statement that takes all versions of rows, $2 of a workspace $1, out of the table."""
    return (
        f"DELETE FROM {kept.versions.name} WHERE workspace_id = $1 AND id = ANY($2::uuid[])"  # noqa: S608 - of ours
        f" RETURNING {_all(kept.versions)}"
    )


@cache
def rows_now(kept: Kept) -> str:
    """Return the statement that reads rows as they are, $2 of a workspace $1."""
    return f"SELECT {_all(kept.table)} FROM {kept.table.name} WHERE workspace_id = $1 AND id = ANY($2::uuid[])"  # noqa: S608


@cache
def write(kept: Kept) -> str:
    """Return the statement that writes versions, given as JSON."""
    names = ", ".join(column.name for column in kept.versions.columns)
    return (
        f"INSERT INTO {kept.versions.name} ({names}) SELECT {names}"  # noqa: S608 - of ours
        f" FROM jsonb_populate_recordset(NULL::{kept.versions.name}, $1::jsonb)"
    )


@cache
def overwrite(kept: Kept, columns: tuple[str, ...]) -> str:
    """Return the statement that writes values, $3 as JSON, into these columns of all versions of a row, $2 of a
    workspace $1: what is erased from the row of a person is erased from its versions by it."""
    given = ", ".join(f"{name} = given.{name}" for name in columns)
    return (
        f"UPDATE {kept.versions.name} AS version SET {given}"  # noqa: S608 - of ours
        f" FROM jsonb_populate_record(NULL::{kept.versions.name}, $3::jsonb) AS given"
        " WHERE version.workspace_id = $1 AND version.id = $2"
    )


def _all(table: Table) -> str:
    return ", ".join(map(_fetched, table.columns))


def _fetched(column: Any) -> str:
    """Return how a column is read so that it can be written again as JSON: exact, and a time with all its digits."""
    if isinstance(column.type, ARRAY | JSON) or column.name in _AS_THEY_ARE:
        return str(column.name)
    return f"{column.name}::text AS {column.name}"
