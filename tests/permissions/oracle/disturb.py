"""Changes of a world that a member cannot see, after which everything must be answered as before, to the byte.

This needs no rule of how a filter, an order or a group is to be answered: whatever is observable of what may not be
seen, is found.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg

from tests.permissions.oracle.invent import plain
from tests.permissions.oracle.kinds import Field, Kind, kinds
from tests.permissions.oracle.sight import Sight
from tests.permissions.oracle.world import Row, World
from tests.support.graph import Graph

ATTEMPTS = 40
WANTED = 6
_UNIQUE = {"external_id": None, "sku": None, "number": "x{}", "slug": "x{}"}
"""Columns of copies that must differ."""


_TOUCH = "UPDATE workspace_directory SET directory_version = $2 WHERE workspace_id = $1"
_VERSIONS = itertools.count(1_000, 1_000)
"""Far apart, since changes count on from them."""


class Undone(Exception):
    """Raised to leave a savepoint without what was done in it."""


@asynccontextmanager
async def undone(graph: Graph, workspace: str) -> AsyncIterator[None]:
    """Run what is inside in a savepoint that is rolled back. The directory of the workspace gets a version that it
    never had: those who were remembered inside are not to be taken for those of later changes."""
    try:
        async with graph.database.one.savepoint():
            yield
            raise Undone
    except Undone:
        await touch_directory(graph, workspace)


async def touch_directory(graph: Graph, workspace: str) -> None:
    """Give the directory of a workspace a version that it never had."""
    await graph.rows(_TOUCH, workspace, next(_VERSIONS))


def projection(sight: Sight) -> dict[tuple[str, str], dict[str, Any]]:
    """Return all that a member may know: of each row that they see, what is shown and what may be compared."""
    found = {}
    for kind in kinds().values():
        for row in sight.seen(kind):
            known: dict[str, Any] = {}
            for each in kind.governed:
                clear = tuple(sight.clear(kind, row, each, column) for column in range(len(each.columns)))
                shown = None if each.of == "one" else sight.shown(kind, row, each)
                known[each.name] = clear, shown
            found[kind.name, row["id"]] = known
    return found


async def disturb(graph: Graph, sight: Sight, dice: random.Random) -> int:
    """Change what the member does not see, and return how many changes were made."""
    before = projection(sight)
    world, made = sight.world, 0
    for _ in range(ATTEMPTS):
        found = _candidate(Sight(world, sight.member, sight.credential), dice)
        if found is None:
            continue
        table, changed = found
        after = _with(world, table, changed)
        try:
            unseen = projection(Sight(after, sight.member, sight.credential)) == before
        except KeyError:  # it takes away what others point to
            continue
        if unseen and await _write(graph, world, table, changed):
            world, made = after, made + 1
            if made == WANTED:
                break
    return made


Changed = tuple[str, Row | None]
"""The id of a row and its new values; None for a row that is gone."""


def _candidate(sight: Sight, dice: random.Random) -> tuple[Kind, Changed] | None:
    kind = dice.choice(
        [kind for kind in kinds().values() if kind.name not in {"Workspace", "ApiClient", "ApiKey", "AuditEntry"}]
    )
    rows = list(sight.world.of(kind.name).values())
    if not rows:
        return None
    row = dice.choice(rows)
    if not sight.sees(kind, row):
        how = dice.choice(("delete", "copy", "change", "change"))
        if how == "delete":
            return kind, (row["id"], None)
        if how == "copy":
            key = f"{dice.getrandbits(128):032x}"
            fresh = {name: value and value.format(key) for name, value in _UNIQUE.items() if name in row}
            return kind, (key, {**row, **fresh, "id": key})
    hidden = [
        each
        for each in kind.governed
        if not each.required and each.of != "sealed" and each.name not in {"archivedAt", "deletedAt"}
        if not sight.sees(kind, row) or sight.clear(kind, row, each) is None
    ]
    if not hidden:
        return None
    return kind, (row["id"], {**row, **_other(kind, rows, dice.choice(hidden), row, dice)})


def _other(kind: Kind, rows: list[Row], each: Field, row: Row, dice: random.Random) -> dict[str, Any]:
    """Return other values for the columns of a field."""
    source = dice.choice(rows)
    values = {column: source[column] for column in each.columns}
    if each.of == "text" and row[each.column] and dice.random() < 0.6:
        text = row[each.column]
        at = dice.randint(1, max(1, text.find("@")))
        return {each.column: f"{text[:at]}{dice.choice('xyz')}{text[at:]}"}  # the mask of a mail or a name stays
    if each.of != "money" and dice.random() < 0.3:
        return dict.fromkeys(values)
    return values


def _with(world: World, kind: Kind, changed: Changed) -> World:
    key, row = changed
    rows = {**world.of(kind.name)}
    if row is None:
        rows.pop(key, None)
    else:
        rows[key] = row
    return replace(world, rows={**world.rows, kind.name: rows})


async def _write(graph: Graph, world: World, kind: Kind, changed: Changed) -> bool:
    """Write a change, unless the database refuses it: a constraint is no matter of permissions."""
    key, row = changed
    try:
        async with graph.database.one.savepoint():
            if row is None:
                await graph.rows(f"DELETE FROM {kind.table} WHERE workspace_id = $1 AND id = $2", world.workspace, key)
            else:
                await _upsert(graph, kind, row)
            await touch_directory(graph, world.workspace)
    except asyncpg.IntegrityConstraintViolationError:
        return False
    return True


async def _upsert(graph: Graph, kind: Kind, row: Mapping[str, Any]) -> None:
    clear = {each.column for each in kind.all("sealed")}
    names = [name for name in row if name not in {"workspace_id", "id", *clear}]
    await graph.rows(
        f"INSERT INTO {kind.table} SELECT * FROM jsonb_populate_recordset(null::{kind.table}, $1)"
        f" ON CONFLICT (workspace_id, id) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in names)}",
        plain([row]),
    )
