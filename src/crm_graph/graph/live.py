"""Live changes: from events of the log to what one viewer may see of them, and the objects that are answered."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import strawberry

from crm_graph.events.horizon import require_kept
from crm_graph.events.log import Event
from crm_graph.graph.context import GraphContext
from crm_graph.graph.filters import Form
from crm_graph.graph.judging import ChangeKind, Judge
from crm_graph.graph.positions import any_position
from crm_graph.graph.records import Record, RecordEdge, WatchSpec, own_name, record_of
from crm_graph.graph.registry import Registry
from crm_graph.graph.scalars import Cursor
from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.errors import BadUserInput
from crm_graph.kernel.ids import decode_id, encode_id
from crm_graph.permissions.access import Access
from crm_graph.permissions.grants import READ
from crm_graph.wholes import PARTS


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

    record: Record
    """The record type that is watched; of a timeline, the one that all others belong to."""
    judges: Mapping[str, Judge]
    """By the name of the record type; a timeline has many."""
    within: str | None
    """The record that all of them are within, where that is asked for."""
    after: LogCursor
    """Where the stream starts: where the client was, else where the log was when it asked, so that nothing falls
    between the subscription and its first event."""

    @classmethod
    def of(
        cls,
        spec: WatchSpec,
        context: GraphContext,
        arguments: Mapping[str, Any],
        newest: LogCursor,
        removed: LogCursor,
    ) -> Watch:
        """Return a checked watch. Raises BadUserInput for an id of another type, and for a cursor that spells no
        position, or one in the future; CursorTooOld for one before what was `removed`."""
        record, registry = record_of(spec.record), context.registry
        if spec.argument is not None:
            id_ = arguments[spec.argument]
            whole, paths = _whole(spec, registry)
            within = decode_id(whole.prefix, id_)
            if within is None:
                message = f"`{spec.argument}` is not the id of a {whole.name}, `{whole.prefix}_...`."
                raise BadUserInput(message, path=(spec.argument,))
            judges = {
                name: Judge.of(registry.records[name], registry, _at(path, id_), (spec.argument,))
                for name, path in paths
            }
        else:
            judge = Judge(record, registry)
            if "where" in arguments:
                judge = Judge.of(record, registry, arguments["where"], ("where",))
            judges, within = {record.name: judge}, None
        after = newest
        if arguments.get("after") is not None:
            after = any_position(context, arguments["after"])
            require_kept(after, removed)
        if after > newest:
            raise BadUserInput("`after` is not a cursor of this event log.", path=("after",))
        return cls(record, judges, within, after)

    @property
    def form(self) -> tuple[Form, ...]:
        """What is asked for, without its values."""
        return tuple(each.form for each in self.judges.values())

    def told(self, access: Access) -> tuple[str, ...]:
        """Return the record types of which one may be told: of a timeline those that one may look for. Raises Forbidden
        where one may not filter so."""
        self.judges[self.record.name].statement(access)
        return tuple(name for name, judge in self.judges.items() if judge.may_ask(access))


def paths_to(record: Record, registry: Registry) -> Mapping[str, tuple[str, ...]]:
    """Return the types whose records belong to one of `record`, each with the edges that lead there: the edge that is
    called as the record is, and for a part of another type (`Policy.parent`) the edges of its whole."""
    found: dict[str, tuple[str, ...]] = {record.name: ()}
    own = own_name(record)

    def path_of(each: Record) -> tuple[str, ...] | None:
        if each.name in found:
            return found[each.name]
        edge = each.edges.get(own)
        if edge is not None and not edge.many and edge.target is record:
            return (own,)
        if each.policy.parent is None:
            return None
        whole, column = each.policy.parent
        for edge in each.edges.values():
            if edge.column == column and not edge.many and edge.target.name == whole.type:
                beyond = path_of(edge.target)
                return None if beyond is None else (edge.name, *beyond)
        return None

    for each in registry.records.values():
        path = path_of(each)
        if path is not None:
            found[each.name] = path
    return found


def _whole(spec: WatchSpec, registry: Registry) -> tuple[Record, Iterable[tuple[str, tuple[str, ...]]]]:
    """Return the record type that all that is watched is within, and the edges that lead there, by type."""
    record = record_of(spec.record)
    if spec.timeline:
        return record, paths_to(record, registry).items()
    if spec.within is None or spec.within == "id":
        return record, [(record.name, ())]
    return record.edges[spec.within].target, [(record.name, (spec.within,))]


def _at(path: Sequence[str], id_: str) -> Mapping[str, Any]:
    """Return the condition that these edges lead to the record of an id."""
    where: Mapping[str, Any] = {"id": {"eq": id_}}
    for edge in reversed(path):
        where = {edge: where}
    return where


def make_change(cls: type[Change], watch: Watch, event: Event, context: GraphContext, kind: ChangeKind) -> Change:
    """Return the plain object that the subscription's selection is executed on."""
    record, gone = context.registry.records[event.entity], kind in {ChangeKind.LEFT, ChangeKind.DELETED}
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
    """Return the fields behind the changed columns that the viewer may read in clear on every row, and the connections
    to the parts that changed with them, where these may be read."""
    access = context.access.of(record.name)
    parts = event.data.get(PARTS, ())
    connections = [
        edge.name
        for edge in context.registry.edges(record).values()
        if edge.many and edge.target.name in parts and _is_part(edge, record) and _may_follow(edge, context)
    ]
    return [*(name for name in _fields(record, event) if not access.partial(name)), *connections]


def _is_part(edge: RecordEdge, record: Record) -> bool:
    parent = edge.target.policy.parent
    return parent is not None and parent[0].type == record.name and parent[1] == edge.column


def _may_follow(edge: RecordEdge, context: GraphContext) -> bool:
    access = context.access.of(edge.target.name)
    return access.allows(READ) and not access.partial(edge.target.edge_along(edge.column))


def _fields(record: Record, event: Event) -> list[str]:
    """Return the fields behind the changed columns; several read the currency that amounts share."""
    by_column: dict[str, dict[str, None]] = {}
    for each in record.columns.values():
        by_column.setdefault(each.column, {})[each.field] = None
    return list(dict.fromkeys(name for column in event.changes for name in by_column.get(column, ())))
