"""Filters that compare personal values: what the log keeps of them, in clear for one question.

Old values are put back in SQL, and Postgres cannot open them. So they are read and opened first, by one statement more,
and only where the predicate reads a personal column; again where an event came in between. Of a person who was erased
nothing is put back: the row is taken for what it is by now.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Table, bindparam, cast, func, literal_column
from sqlalchemy import Text as SqlText
from sqlalchemy.dialects.postgresql import JSONB

from crm_graph.db.personal import personal_columns
from crm_graph.db.session import ReadSession
from crm_graph.db.statements import Statement
from crm_graph.events.log import Event
from crm_graph.graph.context import GraphContext
from crm_graph.vault.persons import WRAPPED, opened_values

OPENED = "opened"
"""The bind of personal values: `{column: [old, new]}` by the number of their event."""
UNOPENED = "unopened"
"""How many events a statement has met whose values were not given to it."""
TRIES = 5
"""How often values are read at most, where somebody goes on writing."""
Values = dict[str, dict[str, Any]]
_COLUMNS = f"seq, workspace_id, entity_id, personal, {WRAPPED}"
_OF_RECORDS = Statement(
    f"SELECT {_COLUMNS} FROM event WHERE workspace_id = $1 AND entity_id = ANY($2::uuid[]) AND seq >= $3"  # noqa: S608
    " AND personal IS NOT NULL",
    ("workspace_id", "ids", "seq"),
    {},
)
_SINCE = Statement(
    f"SELECT {_COLUMNS} FROM event WHERE workspace_id = $1 AND (xid, seq) >= ($2::text::xid8, $3)"  # noqa: S608
    " AND entity = ANY($4) AND personal IS NOT NULL ORDER BY event.xid, seq LIMIT $5",
    ("workspace_id", "xid", "seq", "entities", "limit"),
    {},
)


def is_personal(table: Table) -> bool:
    """Return whether a table has personal columns."""
    return bool(personal_columns(table))


def reads_personal(read: Mapping[Table, Collection[str]]) -> bool:
    """Return whether personal columns are among those that a predicate reads of tables."""
    return any(not personal_columns(table).isdisjoint(names) for table, names in read.items())


WITHHELD: ColumnElement[Any] = literal_column("'[null, null]'::jsonb")
"""A change whose values are withheld; no other one is from null to null."""


def is_unopened(personal: Any, seq: Any) -> ColumnElement[bool]:
    """Return whether an event has personal values that were not given."""
    given = func.jsonb_exists(cast(bindparam(OPENED, type_=JSONB), JSONB), cast(seq, SqlText))
    unopened: ColumnElement[bool] = personal.is_not(None) & ~given
    return unopened


def with_opened(changes: Any, seq: Any) -> ColumnElement[Any]:
    """Return the changes of an event with its personal values, where these were opened."""
    opened = cast(bindparam(OPENED, type_=JSONB), JSONB)
    own = opened.op("->")(cast(seq, SqlText))
    merged: ColumnElement[Any] = changes.op("||")(func.coalesce(own, literal_column("'{}'::jsonb")))
    return merged


async def opened_of(context: GraphContext, events: Sequence[Event]) -> Values:
    """Return the personal values of events and of later ones of their records, by number. One statement."""
    ids = sorted({event.entity_id for event in events})
    first = min((event.cursor.seq for event in events), default=0)
    bound = {"workspace_id": context.viewer.workspace_id, "ids": ids, "seq": first}
    return await _opened(context, _OF_RECORDS, bound)


async def opened_since(context: GraphContext, event: Event, entities: Sequence[str], limit: int) -> Values:
    """Return the personal values of an event and of those behind it in the log, of records of some types."""
    of = {"workspace_id": context.viewer.workspace_id, "entities": list(entities), "limit": limit}
    return await _opened(context, _SINCE, {**of, "xid": str(event.cursor.xid), "seq": event.cursor.seq})


async def _opened(context: GraphContext, statement: Statement, bound: Mapping[str, Any]) -> Values:
    """Read past the guard of the context's session: the statement that judges carries it."""
    session = context.reader
    rows = await ReadSession(session.connection).fetch(statement, bound)
    session.statements += 1
    found: Values = {}
    for row in rows:
        values = await opened_values(context.vault, session, row)
        found[str(row["seq"])] = values or {}
    return found
