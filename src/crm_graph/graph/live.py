"""Live changes: from events of the log to what one viewer may see of them.

Each event is judged by the permissions of that moment. Whether a record was visible and matched *before* the change
is asked of its old image: the row with the event's old values put back, under the same compiled predicates. So a
record that leaves the viewer's sight, or their filter, is said to have left, and one that they never saw is never
mentioned.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

import strawberry
from sqlalchemy import BigInteger, ColumnElement, Integer, and_, bindparam, column, func, literal_column, select
from sqlalchemy.dialects.postgresql import JSONB, distinct_on

from crm_graph.db.base import table_of
from crm_graph.db.statements import Statement, compile_for_many
from crm_graph.events.hub import Hub
from crm_graph.events.log import Event, EventRow
from crm_graph.graph.context import GraphContext
from crm_graph.graph.filters import EVERYTHING, Form, Normaliser, predicate
from crm_graph.graph.records import Record, RecordColumn
from crm_graph.graph.registry import Registry
from crm_graph.graph.scalars import Cursor
from crm_graph.graph.sealed import Search, blind_values
from crm_graph.graph.views import View
from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.errors import BadUserInput
from crm_graph.kernel.ids import encode_id
from crm_graph.permissions.policy import UUID, workspace


@strawberry.enum(description="What a change means for whoever keeps a list of the records.")
class ChangeKind(Enum):
    """Told from the visibility before and after the event."""

    CREATED = strawberry.enum_value("CREATED", description="The record is new.")
    UPDATED = strawberry.enum_value("UPDATED", description="The record changed and still matches.")
    ENTERED = strawberry.enum_value("ENTERED", description="The record now matches, or may now be seen: add it.")
    LEFT = strawberry.enum_value("LEFT", description="The record no longer matches, or may no longer be seen: drop it.")
    DELETED = strawberry.enum_value("DELETED", description="The record is gone: drop it.")


@strawberry.type
class Change:
    """The base of all changes; the subclass of a slice adds the record and the actor."""

    key: strawberry.Private[str | None]
    actor_key: strawberry.Private[str | None]
    cursor: Cursor = strawberry.field(
        description="The position of this change; pass it as `after` to resume behind it."
    )
    kind: ChangeKind = strawberry.field(description="What it means for a list of these records.")
    event: str = strawberry.field(description="What happened, as listed in schema/events.json.")
    record_id: strawberry.ID = strawberry.field(
        description="The id of the record. Not called `id`: a normalising client would take this change for the record."
    )
    at: datetime = strawberry.field(description="When it happened.")
    changed_fields: list[str] = strawberry.field(description="The fields that changed, of those you may read.")


@dataclass(slots=True)
class Watch:
    """One subscription's arguments, checked: what is watched, where, and from which position."""

    record: Record
    registry: Registry
    form: Form
    values: Mapping[str, Any]
    searches: Mapping[str, Search]
    after: LogCursor
    """Where the stream starts: where the client was, else where the log was when it asked, so that nothing falls
    between the subscription and its first event."""

    @classmethod
    def of(cls, record: Record, registry: Registry, arguments: Mapping[str, Any], newest: LogCursor) -> Watch:
        """Return a checked watch. Raises BadUserInput for a cursor that spells no position, or one in the future."""
        normaliser = Normaliser(registry)
        form = EVERYTHING
        if "where" in arguments:
            form = normaliser.normalise(record, arguments["where"], ("where",))
        after: LogCursor | None = newest
        if arguments.get("after") is not None:
            after = LogCursor.decode(arguments["after"])
        if after is None or after > newest:
            raise BadUserInput("`after` is not a cursor of this event log.", path=("after",))
        return cls(record, registry, form, normaliser.binds(), normaliser.searches, after)

    def check(self, context: GraphContext) -> None:
        """Raise Forbidden when the viewer may not filter so, before the stream starts."""
        self._statement(context)

    async def changes(self, hub: Hub, refresh: Any) -> AsyncIterator[tuple[Event, GraphContext, ChangeKind]]:
        """Yield the events that the viewer may see. `refresh` returns the context as of now, and raises
        Unauthenticated when the member may not come in any more. Raises FeedOverflow."""
        context: GraphContext = await refresh()
        async for event in hub.events(context.viewer.workspace_id, self.record.name, self.after):
            context = await refresh()
            kind = await self.kind(context, event)
            if kind is not None:
                yield event, context, kind

    async def kind(self, context: GraphContext, event: Event) -> ChangeKind | None:
        """Return what an event means to one viewer; None for one that they do not see."""
        (found,) = await self.kinds(context, event, [await self.asking(context)])
        return found

    async def asking(self, context: GraphContext) -> Mapping[str, Any]:
        """Return the values by which this watch of this viewer differs from others of the same form and grants."""
        searched = await blind_values(context, self.searches) if self.searches else {}
        return {**context.binds, **self.values, **searched}

    async def kinds(
        self, context: GraphContext, event: Event, asking: Sequence[Mapping[str, Any]]
    ) -> list[ChangeKind | None]:
        """Return what an event means to each of many who watch so, in one statement.

        All have the grants and the workspace of the context; each is told by what `asking` returned. Nothing is
        returned where the guard of the context's session fails.
        """
        values = {
            "workspace_id": context.viewer.workspace_id,
            "id": event.entity_id,
            "seq": event.cursor.seq,
            "own": {"id": event.entity_id, "workspace_id": event.workspace_id},
            "old": {name: change[0] for name, change in event.changes.items()},
            "asking": [{**each, "number": number} for number, each in enumerate(asking)],
        }
        statement, audited = self._statement(context)
        rows = await context.reader.fetch(statement, values)
        if audited:
            context.note_reads(audited)
        found: list[ChangeKind | None] = [None] * len(rows)
        for row in rows:
            found[row["number"]] = self._meaning(event, before=row["before"], after=row["after"])
        return found

    def _meaning(self, event: Event, *, before: bool, after: bool) -> ChangeKind | None:
        created = event.type == f"{self.record.name}Created"
        deleted = event.type == f"{self.record.name}Deleted"
        before, after = before and not created, after and not deleted
        if after:
            return ChangeKind.CREATED if created else ChangeKind.UPDATED if before else ChangeKind.ENTERED
        if before:
            return ChangeKind.DELETED if deleted else ChangeKind.LEFT
        return None

    def _statement(self, context: GraphContext) -> tuple[Statement, tuple[str, ...]]:
        """Return the statement of an event, and what it compares whose reading is to be written down."""
        key = self.record.name, self.form, context.access.fingerprint
        found = _STATEMENTS.get(key)
        if found is None:
            if len(_STATEMENTS) >= MAX_STATEMENTS:
                _STATEMENTS.clear()
            compared: dict[str, None] = {}
            statement = compile_for_many(self._select(context, compared), _SHARED, "asking")
            found = _STATEMENTS[key] = statement, tuple(compared)
        return found

    def _select(self, context: GraphContext, compared: dict[str, None]) -> Any:
        """Return the statement that tells whether the record matched before and after the event.

        The row as it is now, with the old values of all later events put back, is the row after this event; with this
        event's old values as well it is the row before. The later events of a record are those with a larger `seq`:
        each was written under the row's lock.
        """
        table = self.record.table
        current = table.alias("current")
        wanted = (current.c.workspace_id == workspace()) & (current.c.id == bindparam("id", type_=UUID))
        undone = select(_later().label("changes")).lateral("undone")
        after = _image(
            table, literal_column('"current"'), bindparam("own", type_=JSONB), undone.c.changes, name="after"
        )
        before = _image(table, literal_column('"after"'), bindparam("old", type_=JSONB), name="before")
        start = select(literal_column("1").label("one")).subquery("start")
        true: ColumnElement[bool] = literal_column("true")
        source = start.outerjoin(current, wanted).join(undone, true).join(after, true).join(before, true)
        rows = func.jsonb_to_recordset(bindparam("asking", type_=JSONB))
        asking = rows.table_valued(column("number", Integer)).render_derived(name="asking", with_types=True)
        return select(
            asking.c.number,
            func.coalesce(self._matching(context, before, compared), False).label("before"),
            func.coalesce(self._matching(context, after, compared), False).label("after"),
        ).select_from(source.join(asking, true))

    def _matching(self, context: GraphContext, image: Any, compared: dict[str, None]) -> ColumnElement[bool]:
        view = View(self.record, context.access, image, compared)
        matching = predicate(self.form, view, self.registry, context.access)
        return and_(*view.conditions(), matching)


MAX_STATEMENTS = 2_000
_SHARED = frozenset({"workspace_id", "id", "seq", "own", "old"})
"""The binds that are the same for all who ask about an event."""
_STATEMENTS: dict[Any, tuple[Statement, tuple[str, ...]]] = {}
EVENTS = table_of(EventRow)


def _later() -> ColumnElement[Any]:
    """Return, as a JSON object, each column that later events changed with its value before the first of them."""
    change = func.jsonb_each(EVENTS.c.changes).table_valued("key", column("value", JSONB), name="change")
    earliest = (
        select(change.c.key, change.c.value.op("->")(literal_column("0")).label("old"))
        .ext(distinct_on(change.c.key))
        .select_from(EVENTS.join(change, literal_column("true")))
        .where(
            EVENTS.c.workspace_id == workspace(),
            EVENTS.c.entity_id == bindparam("id", type_=UUID),
            EVENTS.c.seq > bindparam("seq", type_=BigInteger),
        )
        .order_by(change.c.key, EVENTS.c.seq)
        .subquery("earliest")
    )
    merged = func.coalesce(func.jsonb_object_agg(earliest.c.key, earliest.c.old), literal_column("'{}'::jsonb"))
    return select(merged).scalar_subquery()


def _image(table: Any, row: Any, *changes: Any, name: str) -> Any:
    """Return the row with the values of JSON objects put over its own, as a lateral table of its columns."""
    columns = [column(each.name, each.type) for each in table.columns]
    merged = changes[0]
    for each in changes[1:]:
        merged = merged.op("||")(each)
    return func.jsonb_populate_record(row, merged).table_valued(*columns, name=name).lateral(name)


def make_change(cls: type[Change], record: Record, event: Event, context: GraphContext, kind: ChangeKind) -> Change:
    """Return the plain object that the subscription's selection is executed on."""
    gone = kind in {ChangeKind.LEFT, ChangeKind.DELETED}
    return cls(
        key=None if gone else event.entity_id,
        actor_key=event.actor,
        cursor=Cursor(event.cursor.encode()),
        kind=kind,
        event=_event_name(record, event, context),
        record_id=strawberry.ID(encode_id(record.prefix, event.entity_id)),
        at=event.at,  # type: ignore[arg-type] # in output form, as everything from the database
        changed_fields=[] if gone else _changed_fields(record, event, context),
    )


def _event_name(record: Record, event: Event, context: GraphContext) -> str:
    """Return what happened, as far as the viewer may know: `OpportunityWon` would tell a stage that is hidden from
    them, so where a field that changed is hidden on any row, a record was updated, and no more."""
    general = {f"{record.name}{what}" for what in ("Created", "Updated", "Deleted")}
    access = context.access.of(record.name)
    by_column = {each.column: each.field for each in record.columns.values()}
    if event.type in general or not any(access.partial(by_column[name]) for name in event.changes if name in by_column):
        return event.type
    return f"{record.name}Updated"


def _changed_fields(record: Record, event: Event, context: GraphContext) -> list[str]:
    """Return the fields behind the changed columns that the viewer may read in clear on every row."""
    access = context.access.of(record.name)
    fields: dict[str, None] = {}
    by_column: dict[str, RecordColumn] = {each.column: each for each in record.columns.values()}
    for name in event.changes:
        found = by_column.get(name)
        if found is not None and not access.partial(found.field):
            fields[found.field] = None
    return list(fields)
