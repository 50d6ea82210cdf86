"""Live changes: from events of the log to what one viewer may see of them, and the objects that are answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import strawberry

from crm_graph.events.log import Event
from crm_graph.graph.context import GraphContext
from crm_graph.graph.filters import EVERYTHING, Normaliser
from crm_graph.graph.judging import ChangeKind, Judge
from crm_graph.graph.records import Record, WatchSpec, record_of
from crm_graph.graph.registry import Registry
from crm_graph.graph.scalars import Cursor
from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.errors import BadUserInput
from crm_graph.kernel.ids import decode_id, encode_id


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

    @classmethod
    def more(cls, watch: Watch, event: Event, context: GraphContext, *, gone: bool) -> Mapping[str, Any]:  # noqa: ARG003
        """Return what the subclass of a slice has beside this, as keyword arguments; `gone` is a record that left."""
        return {}


@dataclass(slots=True)
class Watch:
    """One subscription's arguments, checked: what is watched, where, and from which position."""

    judge: Judge
    within: str | None
    """The record that all of them are within, where that is asked for."""
    after: LogCursor
    """Where the stream starts: where the client was, else where the log was when it asked, so that nothing falls
    between the subscription and its first event."""

    @classmethod
    def of(cls, spec: WatchSpec, registry: Registry, arguments: Mapping[str, Any], newest: LogCursor) -> Watch:
        """Return a checked watch. Raises BadUserInput for a cursor that spells no position, or one in the future."""
        record, where, within = record_of(spec.record), arguments.get("where"), None
        if spec.within is not None:
            where = {spec.within: {"id": {"eq": arguments["id"]}}}
            within = decode_id(record.edges[spec.within].target.prefix, arguments["id"])
        normaliser, form = Normaliser(registry), EVERYTHING
        if spec.within is not None or "where" in arguments:
            form = normaliser.normalise(record, where, ("where",))
        after: LogCursor | None = newest
        if arguments.get("after") is not None:
            after = LogCursor.decode(arguments["after"])
        if after is None or after > newest:
            raise BadUserInput("`after` is not a cursor of this event log.", path=("after",))
        return cls(Judge(record, registry, form, normaliser.binds(), normaliser.searches), within, after)

    @property
    def record(self) -> Record:
        """The record type that is watched."""
        return self.judge.record

    def check(self, context: GraphContext) -> None:
        """Raise Forbidden when the viewer may not filter so, before the stream starts."""
        self.judge.statement(context)


def make_change(cls: type[Change], watch: Watch, event: Event, context: GraphContext, kind: ChangeKind) -> Change:
    """Return the plain object that the subscription's selection is executed on."""
    record, gone = watch.record, kind in {ChangeKind.LEFT, ChangeKind.DELETED}
    return cls(
        key=None if gone else event.entity_id,
        actor_key=event.actor,
        cursor=Cursor(event.cursor.encode()),
        kind=kind,
        event=event_name(record, event, context),
        record_id=strawberry.ID(encode_id(record.prefix, event.entity_id)),
        at=event.at,  # type: ignore[arg-type] # in output form, as everything from the database
        changed_fields=[] if gone else changed_fields(record, event, context),
        **cls.more(watch, event, context, gone=gone),
    )


def event_name(record: Record, event: Event, context: GraphContext) -> str:
    """Return what happened, as far as the viewer may know: `OpportunityWon` would tell a stage that is hidden from
    them, so where a field that changed is hidden on any row, a record was updated, and no more."""
    general = {f"{record.name}{what}" for what in ("Created", "Added", "Updated", "Deleted", "Removed")}
    access = context.access.of(record.name)
    if event.type in general or not any(access.partial(name) for name in _fields(record, event)):
        return event.type
    return f"{record.name}Updated"


def changed_fields(record: Record, event: Event, context: GraphContext) -> list[str]:
    """Return the fields behind the changed columns that the viewer may read in clear on every row."""
    access = context.access.of(record.name)
    return [name for name in _fields(record, event) if not access.partial(name)]


def _fields(record: Record, event: Event) -> list[str]:
    """Return the fields behind the changed columns; several read the currency that amounts share."""
    by_column: dict[str, dict[str, None]] = {}
    for each in record.columns.values():
        by_column.setdefault(each.column, {})[each.field] = None
    return list(dict.fromkeys(name for column in event.changes for name in by_column.get(column, ())))
