"""Writing many rows: COPY for new ones and for events, one UPDATE for changed ones.

COPY's text format, written here: asyncpg's binary COPY needs binary codecs, and `numeric`, `timestamptz`, `date` and
`jsonb` have textual ones on our connections (`db/codecs.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from typing import Any, cast

import asyncpg
import orjson
from sqlalchemy import BigInteger, column, delete, func, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql import bindparam

from crm_graph.db.base import DELETED_AT, HOUSEKEEPING, Base, Row, columns_of, table_of
from crm_graph.db.rules import targets_of
from crm_graph.db.session import Session
from crm_graph.db.statements import Statement, compile_statement
from crm_graph.events.log import EVENT_COLUMNS
from crm_graph.kernel.errors import Conflict, Refused
from crm_graph.permissions.policy import Policy, workspace
from crm_graph.persons import Telling, sealed_entries
from crm_graph.vault.persons import PERSON_KEY_COLUMNS
from crm_graph.work import DomainEvent, Work

LINES_PER_CHUNK = 500
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def cell(value: Any) -> str:
    """Return a value in COPY's text format."""
    if value is None:
        return "\\N"
    if isinstance(value, str):
        return value.translate(_ESCAPES)
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, list | tuple):
        return _array(value).translate(_ESCAPES)
    if isinstance(value, Mapping):
        return orjson.dumps(value, default=str).decode().translate(_ESCAPES)
    return str(value)


def _array(values: Iterable[str]) -> str:
    quoted = ('"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"' for value in values)
    return "{" + ",".join(quoted) + "}"


@dataclass(frozen=True, slots=True)
class Told:
    """An event that is to be written, and whether the directory changes with it."""

    telling: Telling
    directory: bool


async def copy_rows(session: Session, table: str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Insert rows by COPY. Raises Refused with the database's reason where a constraint does not hold."""

    async def lines() -> AsyncIterator[bytes]:
        pending: list[str] = []
        for row in rows:
            pending.append("\t".join([cell(row[name]) for name in columns]))
            if len(pending) >= LINES_PER_CHUNK:
                yield ("\n".join(pending) + "\n").encode()
                pending.clear()
        if pending:
            yield ("\n".join(pending) + "\n").encode()

    connection = cast("asyncpg.Connection[Any]", session.connection)
    session.statements += 1
    try:
        await connection.copy_to_table(table, source=lines(), columns=list(columns), format="text")
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError) as error:
        raise _refused(table, error) from error


def _refused(table: str, error: asyncpg.PostgresError) -> Refused:
    detail = getattr(error, "detail", None)
    return Refused("INVALID", f"The database refuses a row of {table}: {error}" + (f" ({detail})" if detail else ""))


async def insert_rows(work: Work, model: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert complete rows of a table."""
    if rows:
        await _hold_references(work, model, rows)
        await copy_rows(work.session, table_of(model).name, columns_of(model), rows)


async def _hold_references(work: Work, model: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Hold what rows point to, as the unit of work does: so that none of it goes into the recycle bin meanwhile. Raises
    Conflict where some of it is there by now."""
    own = {row.get("id") for row in rows}
    for name, target in targets_of(model).items():
        ids = {str(row[name]) for row in rows if row.get(name) is not None}
        if target is table_of(model):
            ids -= own
        if ids and DELETED_AT in target.c:
            bound = {"workspace_id": work.viewer.workspace_id, "ids": sorted(ids)}
            if len(await work.session.fetch(_holding(target.name), bound)) < len(ids):
                raise Conflict("What rows point to was deleted by somebody else during the import: run it again.")


@cache
def _holding(table: str) -> Statement:
    text = (
        f"SELECT id FROM {table} WHERE workspace_id = $1 AND id = ANY($2::uuid[]) AND deleted_at IS NULL"  # noqa: S608
        " ORDER BY id FOR KEY SHARE"
    )
    return Statement(text, ("workspace_id", "ids"), {})


async def update_rows(work: Work, model: type[Row], names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Set columns of stored rows, each at the version it was read at. Raises Conflict if one has moved on."""
    if not rows:
        return
    await _hold_references(work, model, rows)
    statement = _update_statement(model, tuple(sorted(names)))
    me = work.viewer.actor.member_id
    bound = {"workspace_id": work.viewer.workspace_id, "given": rows, "now": work.now, "me": me}
    try:
        done = await work.session.execute(statement, bound)
    except (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError) as error:
        raise _refused(table_of(model).name, error) from error
    if len(done) != len(rows):
        raise Conflict(f"{len(rows) - len(done)} rows were changed by somebody else during the import: run it again.")


@cache
def _update_statement(model: type[Row], names: tuple[str, ...]) -> Statement:
    table = table_of(model)
    columns = [column(name, table.c[name].type) for name in ("id", *names)]
    rows = func.jsonb_to_recordset(bindparam("given", type_=JSONB))
    given = rows.table_valued(*columns, column("version", BigInteger), name="given").render_derived(with_types=True)
    changed = {name: given.c[name] for name in names}
    return compile_statement(
        update(table)
        .where(table.c.workspace_id == workspace(), table.c.id == given.c.id, table.c.version == given.c.version)
        .values(
            {
                **changed,
                "version": table.c.version + 1,
                "updated_at": bindparam("now", type_=table.c.updated_at.type),
                "updated_by_id": bindparam("me", type_=table.c.updated_by_id.type),
            }
        )
        .returning(table.c.id)
    )


async def analyse(session: Session, tables: Iterable[str]) -> None:
    """Let Postgres count what was written, so that the first queries are planned for it.

    Autovacuum comes to it a minute later; until then a filter across two edges of 8,800 new rows ran into its limit.
    """
    connection = cast("asyncpg.Connection[Any]", session.connection)
    for table in sorted(tables):
        await connection.execute(f"ANALYZE {table}")


async def delete_rows(work: Work, model: type[Base], where: Mapping[str, Any]) -> None:
    """Delete the rows of a part that others take the place of."""
    table = table_of(model)
    conditions = [table.c[name] == value for name, value in where.items()]
    await work.session.query(delete(table).where(table.c.workspace_id == workspace(), *conditions), **work.viewer.binds)


def event_row(
    work: Work, policy: Policy, entity_id: str, event: DomainEvent, changes: Mapping[str, tuple[Any, Any]]
) -> Told:
    """Return an event of a record for `write_events`, which writes it as `Work.record` does."""
    return Told(Telling(work.entry(policy, entity_id, event, changes), event, policy.table), policy.directory)


def all_of(values: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the changes that a new row is."""
    return {name: (None, value) for name, value in values.items() if name not in HOUSEKEEPING and value is not None}


async def write_events(work: Work, told: Sequence[Told]) -> None:
    """Append events to the log, in this transaction and in this order."""
    if told:
        entries, keys = await sealed_entries(work.vault, work.session, [event.telling for event in told])
        if keys:
            await copy_rows(work.session, "person_key", PERSON_KEY_COLUMNS, keys)
        await copy_rows(work.session, "event", EVENT_COLUMNS, entries)
    if any(event.directory for event in told):
        await work.touch_directory()
