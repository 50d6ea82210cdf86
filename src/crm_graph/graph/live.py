"""Live changes: from events of the log to what one viewer may see of them.

Each event is judged by the permissions of that moment. Whether a record was visible and matched *before* the change
is asked of its old image: the row with the event's old values put back, under the same compiled predicates. So a
record that leaves the viewer's sight, or their filter, is said to have left, and one that they never saw is never
mentioned.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

import strawberry
from sqlalchemy import bindparam, column, func, literal_column, select
from sqlalchemy.dialects.postgresql import JSONB

from crm_graph.db.statements import Statement, compile_statement
from crm_graph.events.hub import Hub
from crm_graph.events.log import Event
from crm_graph.graph.context import GraphContext
from crm_graph.graph.filters import EVERYTHING, Form, Normaliser, predicate
from crm_graph.graph.records import Record, RecordColumn
from crm_graph.graph.registry import Registry
from crm_graph.graph.scalars import Cursor
from crm_graph.graph.views import View
from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.errors import BadUserInput
from crm_graph.kernel.ids import encode_id
from crm_graph.permissions.policy import UUID


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

    record_id: strawberry.Private[str | None]
    actor_id: strawberry.Private[str | None]
    cursor: Cursor = strawberry.field(
        description="The position of this change; pass it as `after` to resume behind it."
    )
    kind: ChangeKind = strawberry.field(description="What it means for a list of these records.")
    event: str = strawberry.field(description="What happened, as listed in schema/events.json.")
    id: strawberry.ID = strawberry.field(description="The id of the record.")
    at: datetime = strawberry.field(description="When it happened.")
    changed_fields: list[str] = strawberry.field(description="The fields that changed, of those you may read.")


@dataclass(slots=True)
class Watch:
    """One subscription's arguments, checked: what is watched, where, and from which position."""

    record: Record
    registry: Registry
    form: Form
    values: Mapping[str, Any]
    after: LogCursor | None

    @classmethod
    def of(cls, record: Record, registry: Registry, arguments: Mapping[str, Any], newest: LogCursor) -> Watch:
        """Return a checked watch. Raises BadUserInput for a cursor that spells no position, or one in the future."""
        normaliser = Normaliser(registry)
        form = EVERYTHING
        if "where" in arguments:
            form = normaliser.normalise(record, arguments["where"], ("where",))
        after = None
        if arguments.get("after") is not None:
            after = LogCursor.decode(arguments["after"])
            if after is None or after > newest:
                raise BadUserInput("`after` is not a cursor of this event log.", path=("after",))
        return cls(record, registry, form, normaliser.binds(), after)

    def check(self, context: GraphContext) -> None:
        """Raise Forbidden when the viewer may not filter so, before the stream starts."""
        self._statement(context, old=False)

    async def changes(self, hub: Hub, refresh: Any) -> AsyncIterator[tuple[Event, GraphContext, ChangeKind]]:
        """Yield the events that the viewer may see. `refresh` returns the context as of now, and raises
        Unauthenticated when the member may not come in any more. Raises FeedOverflow."""
        context: GraphContext = await refresh()
        async for event in hub.events(context.viewer.workspace_id, self.record.name, self.after):
            context = await refresh()
            kind = await self._kind(context, event)
            if kind is not None:
                yield event, context, kind

    async def _kind(self, context: GraphContext, event: Event) -> ChangeKind | None:
        deleted = event.type == f"{self.record.name}Deleted"
        matches = not deleted and await self._matches(context, event, old=False)
        created = event.type == f"{self.record.name}Created"
        if matches and created:
            return ChangeKind.CREATED
        matched = not created and await self._matches(context, event, old=True)
        if matches:
            return ChangeKind.UPDATED if matched else ChangeKind.ENTERED
        if not matched:
            return None
        return ChangeKind.DELETED if deleted else ChangeKind.LEFT

    async def _matches(self, context: GraphContext, event: Event, *, old: bool) -> bool:
        values = {**context.viewer.binds, **self.values, "id": event.entity_id}
        if old:
            values["old"] = {name: change[0] for name, change in event.changes.items()}
        return bool(await context.reader.fetch(self._statement(context, old=old), values))

    def _statement(self, context: GraphContext, *, old: bool) -> Statement:
        key = "watch", self.record.name, self.form, context.access.fingerprint, old
        found = _STATEMENTS.get(key)
        if found is None:
            if len(_STATEMENTS) >= MAX_STATEMENTS:
                _STATEMENTS.clear()
            found = _STATEMENTS[key] = compile_statement(self._select(context, old=old))
        return found

    def _select(self, context: GraphContext, *, old: bool) -> Any:
        table = self.record.table
        access = context.access.of(self.record.name)
        if not old:
            view = View.of(self.record, context.access)
            source: Any = view.rows
        else:
            current = table.alias("current")
            image = _old_image(current, table.columns)
            view = View(self.record, access, image)
            wanted = (current.c.workspace_id == bindparam("workspace_id", type_=UUID)) & (
                current.c.id == bindparam("id", type_=UUID)
            )
            empty = select(literal_column("1").label("one")).subquery("nothing")
            source = empty.outerjoin(current, wanted).join(image, literal_column("true"))
        conditions = [*view.conditions(), view.rows.c.id == bindparam("id", type_=UUID)]
        if self.form != EVERYTHING:
            conditions.append(predicate(self.form, view, self.registry, context.access))
        return select(literal_column("1")).select_from(source).where(*conditions)


MAX_STATEMENTS = 2_000
_STATEMENTS: dict[Any, Statement] = {}


def _old_image(current: Any, columns: Any) -> Any:
    """Return the row before the event: the current one (null when it is deleted) with the event's old values."""
    columns_ = [column(each.name, each.type) for each in columns]
    row: Any = literal_column(f'"{current.name}"')
    image = func.jsonb_populate_record(row, bindparam("old", type_=JSONB))
    return image.table_valued(*columns_, name="image").lateral()


def make_change(cls: type[Change], record: Record, event: Event, context: GraphContext, kind: ChangeKind) -> Change:
    """Return the plain object that the subscription's selection is executed on."""
    gone = kind in {ChangeKind.LEFT, ChangeKind.DELETED}
    return cls(
        record_id=None if gone else event.entity_id,
        actor_id=event.actor,
        cursor=Cursor(event.cursor.encode()),
        kind=kind,
        event=event.type,
        id=strawberry.ID(encode_id(record.prefix, event.entity_id)),
        at=event.at,  # type: ignore[arg-type] # in output form, as everything from the database
        changed_fields=[] if gone else _changed_fields(record, event, context),
    )


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
