"""A world: everything that is in one workspace, read back by plain SQL, past all permissions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from tests.permissions.oracle.kinds import Field, Kind, kinds
from tests.support.graph import Graph

Row = Mapping[str, Any]
"""The values of a table's row by column: ids as 32 hex digits, numbers as Decimal, times as Python's."""

ALMIGHTY, ADMIN = "almighty", "admin"
"""Roles that may do everything: one of a workspace's own, and the built-in one, who alone may change roles. One member
has both."""
_TABLES = """
SELECT table_name FROM information_schema.columns
WHERE column_name = 'workspace_id' AND table_schema = 'public' ORDER BY table_name
"""


@dataclass(slots=True)
class World:
    """The rows of a workspace by type and id, who has which roles, and what the roles grant.

    `tables` holds every row of every table as text, types of no record included: whether anything was written.
    """

    workspace: str
    rows: dict[str, dict[str, Row]] = field(default_factory=dict)
    binned: dict[str, dict[str, Row]] = field(default_factory=dict)
    """The rows in the recycle bin, likewise: the others are as if these were not there."""
    tables: dict[str, list[str]] = field(default_factory=dict)
    held: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """The names of the roles of each member."""
    roles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sealed: Mapping[str, str] = field(default_factory=dict)
    """What is encrypted in the database, in clear, by the id of its row."""

    def of(self, kind: str) -> Mapping[str, Row]:
        """Return the rows of a type by id."""
        return self.rows.get(kind, {})

    def stored(self, kind: str) -> Mapping[str, Row]:
        """Return the rows of a type by id, those in the recycle bin too."""
        return {**self.of(kind), **self.binned.get(kind, {})}

    def every(self) -> Iterator[tuple[Kind, Row]]:
        """Yield all rows with their types."""
        for kind in kinds().values():
            for row in self.of(kind.name).values():
                yield kind, row

    @property
    def almighty(self) -> str:
        """The member who may do everything."""
        return next(member for member, roles in self.held.items() if ALMIGHTY in roles)

    @property
    def others(self) -> list[str]:
        """The other members who may come in."""
        active = (key for key, row in self.of("Member").items() if row["status"] == "ACTIVE")
        return [key for key in active if key != self.almighty]

    @property
    def settings(self) -> Row:
        """The row of the workspace itself."""
        return self.rows["Workspace"][self.workspace]


def past(then: World, now: World) -> World:
    """Return a world as it was: of types whose history is kept the rows of then, of all others those of now."""
    kept = [kind.name for kind in kinds().values() if kind.history]
    return replace(
        now,
        rows=now.rows | {name: then.rows.get(name, {}) for name in kept},
        binned=now.binned | {name: then.binned.get(name, {}) for name in kept},
    )


async def read_world(graph: Graph, before: World, **changed: Any) -> World:
    """Return what is in the workspace of a world now; what plain SQL does not tell is as before, or as changed."""
    world = World(before.workspace, roles=before.roles, sealed=before.sealed)
    for name, value in changed.items():
        setattr(world, name, value)
    by_table = {kind.table: kind for kind in kinds().values()}
    for name, text in await graph.rows(await _everything(graph), world.workspace):
        world.tables.setdefault(name, []).append(text)
        values = json.loads(text, parse_float=Decimal) if name in by_table or name == "member_role" else {}
        if name in by_table:
            kind = by_table[name]
            row = _typed(kind, values, world.sealed)
            where = world.rows if row.get("deleted_at") is None else world.binned
            where.setdefault(kind.name, {})[row["id"]] = row
        elif name == "member_role":
            member = values["member_id"].replace("-", "")
            world.held[member] = tuple(sorted((*world.held.get(member, ()), values["role"])))
    for texts in world.tables.values():
        texts.sort()
    # In an order that does not depend on where Postgres keeps them: a seed always gives the same case.
    world.rows = {kind: dict(sorted(rows.items())) for kind, rows in world.rows.items()}
    world.binned = {kind: dict(sorted(rows.items())) for kind, rows in world.binned.items()}
    return world


async def _everything(graph: Graph) -> str:
    """Return the statement that reads all rows of a workspace as JSON text, but for the version of its directory, which
    is counted and says nothing."""
    if not _STATEMENT:
        names = [row[0] for row in await graph.rows(_TABLES)]
        _STATEMENT.append(
            " UNION ALL ".join(
                f"SELECT '{name}', (to_jsonb({name}) - 'directory_version')::text FROM {name} WHERE workspace_id = $1"
                for name in names
            )
        )
    return _STATEMENT[0]


_STATEMENT: list[str] = []


def _typed(kind: Kind, values: Mapping[str, Any], sealed: Mapping[str, str]) -> Row:
    row = dict(values)
    row |= {each.column: sealed.get(values["id"].replace("-", "")) for each in kind.all("sealed")}
    row["workspace_id"] = values["workspace_id"].replace("-", "")
    for each in kind.fields.values():
        for column in each.columns:
            if row[column] is not None:
                row[column] = _python(each, column, row[column])
    return row


def _python(each: Field, column: str, value: Any) -> Any:
    match each.of:
        case "id" | "one":
            return value.replace("-", "")
        case "decimal":
            return Decimal(value)
        case "money" if column == each.column:
            return Decimal(value)
        case "date":
            return date.fromisoformat(value)
        case "moment":
            return datetime.fromisoformat(value)
    return value


def output(each: Field, value: Any) -> Any:
    """Return a value as the API prints it."""
    if value is None:
        return None
    if isinstance(value, Decimal):
        return number(value)
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, date):
        return value.isoformat()
    return list(value) if each.of == "texts" else value


def number(value: Decimal) -> str:
    """Return a decimal without trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def moment(value: datetime) -> str:
    """Return a time in UTC, its fraction as short as it is."""
    text = value.strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f".{value.microsecond:06d}".rstrip("0") if value.microsecond else ""
    return f"{text}{fraction}Z"
