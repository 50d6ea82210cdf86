"""Live changes: from events of the log to what one viewer may see of them, and the objects that are answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import Any

import strawberry

from crm_graph.events.effects import Effect
from crm_graph.events.horizon import Horizon
from crm_graph.events.log import Event
from crm_graph.graph.changes.judging import ChangeKind, Judge, Told, Verdict
from crm_graph.graph.changes.positions import any_position, scope_of
from crm_graph.graph.context import GraphContext
from crm_graph.graph.reading.filters import Form, asks_viewer
from crm_graph.graph.records.belonging import paths_to
from crm_graph.graph.records.record import Record, RecordColumn, RecordEdge, WatchSpec, record_of
from crm_graph.graph.records.registry import Registry
from crm_graph.graph.records.scalars import Cursor
from crm_graph.graph.schema.derive import WITHOUT_OWN
from crm_graph.identity.tokens import client_key
from crm_graph.identity.viewer import Actor, ActorKind
from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.errors import BadUserInput
from crm_graph.kernel.ids import decode_id, encode_id
from crm_graph.permissions.access import Access
from crm_graph.permissions.grants import READ
from crm_graph.wholes import PARTS

ACTOR_KIND = "Who made the change; null where another record's change brought or took this one."
CLIENT_ID = (
    "The id of the API client by which it was made, `apc_...`; null where it was none, or another record's change"
    " brought or took this one. A program knows its own changes by it."
)
_NOBODY: Any = {"actor": None, "actor_kind": None, "client_id": None}
"""What is told of who changed another record: nothing."""
GONE = frozenset({ChangeKind.LEFT, ChangeKind.DELETED, ChangeKind.RESYNC})
"""The kinds of changes with no record to show."""


@strawberry.type
class Change:
    """The base of all changes; the subclass of a slice adds the record and the actor."""

    key: strawberry.Private[str | None]
    actor_key: strawberry.Private[str | None]
    cursor: Cursor = strawberry.field(
        description="The position of this change; pass it as `after` to resume behind it."
    )
    kind: ChangeKind = strawberry.field(description="What the change means for a list of these records.")
    event: str = strawberry.field(
        description="What happened, as listed in schema/events.json. Where a record came or went because another one"
        " changed, it is told as updated; of a RESYNC this is `Resync`."
    )
    record_id: strawberry.ID | None = strawberry.field(
        description="The id of the record; null of a RESYNC, which is of none. Not called `id`: a normalising client"
        " would take this change for the record."
    )
    at: datetime = strawberry.field(description="When it happened.")
    actor_kind: ActorKind | None = strawberry.field(description=ACTOR_KIND)
    client_id: strawberry.ID | None = strawberry.field(description=CLIENT_ID)
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
    scope: str
    """What the client could see there (`positions.scope_of`); empty where its cursor does not say."""
    without: Actor | None
    """Whose changes are not told, where one's own are left out."""
    asks_who: bool
    """Whether its filter depends on who asks."""

    @classmethod
    def of(
        cls,
        spec: WatchSpec,
        context: GraphContext,
        arguments: Mapping[str, Any],
        newest: LogCursor,
        horizon: Horizon,
    ) -> Watch:
        """Return a checked watch. Raises BadUserInput for an id of another type, and for a cursor that spells no
        position, or one in the future; CursorTooOld for one that is not kept."""
        record, registry = record_of(spec.record), context.registry
        if spec.argument is not None:
            id_ = arguments[spec.argument]
            whole, paths = _whole(spec, registry)
            within = decode_id(whole.prefix, id_)
            if within is None:
                message = f"`{spec.argument}` is not the id of {whole.one}, `{whole.prefix}_...`."
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
        asks_who = any(asks_viewer(each.form) for each in judges.values())
        after, scope = newest, scope_of(context.access, context.viewer, asks_who=asks_who)
        if arguments.get("after") is not None:
            after, scope = any_position(context, arguments["after"])
            horizon.require_kept(after)
        if after > newest:
            raise BadUserInput("`after` is not a cursor of this event log.", path=("after",))
        without = context.viewer.actor if arguments.get(WITHOUT_OWN) else None
        return cls(record, judges, within, after, scope, without, asks_who)

    def scope_of(self, context: GraphContext) -> str:
        """Return what names that which somebody may see, and is told, of what is watched."""
        return scope_of(context.access, context.viewer, asks_who=self.asks_who)

    def heard(self, event: Event, told: Sequence[Told]) -> Sequence[Told]:
        """Return what of an event is told to somebody: without their own change, where they leave it out; what that
        brings or takes of other records they do not know."""
        if self.without is None or not is_by(event, self.without):
            return told
        return [each for each in told if (each.record, each.key) != (event.entity, event.entity_id)]

    @property
    def form(self) -> tuple[Form, ...]:
        """What is asked for, without its values."""
        return tuple(each.form for each in self.judges.values())

    def read(self, access: Access) -> tuple[str, ...]:
        """Return the types whose events are to be read: those of which one may be told, those on which it depends who
        is told of them, and those that say what viewers may see. Raises Forbidden where one may not filter so."""
        self.judges[self.record.name].statement(access)
        types = dict.fromkeys(name for name, judge in self.judges.items() if judge.may_ask(access))
        for name in list(types):
            related = self.judges[name].related(access)
            types |= dict.fromkeys(related.causes if related is not None else ())
        return (*types, *(name for name, of in access.types.items() if of.policy.directory and name not in types))

    def concerned(self, event: Event, access: Access) -> list[str]:
        """Return the types of which one may be told something because of an event, its own first."""
        names = sorted(self.judges, key=lambda name: name != event.entity)
        return [n for n in names if self.judges[n].may_ask(access) and self.judges[n].concerns(event, access)]

    async def verdict(self, context: GraphContext, event: Event, asking: Mapping[str, Sequence[Any]]) -> Verdict | None:
        """Return what an event means to each of those who ask: what they ask for is given for each type that is
        concerned. In one statement a type. None where the guard of the context's session fails."""
        found: list[Verdict] = []
        for name, each in asking.items():
            verdict = await self.judges[name].verdict(context, event, each)
            if verdict is None:
                return None
            found.append(verdict)
        told = [_one_resync([*chain(*of_one)]) for of_one in zip(*(each.told for each in found), strict=True)]
        return Verdict(told, next((each.covered for each in found if each.covered is not None), None))


def is_by(event: Event, actor: Actor) -> bool:
    """Return whether an event is of somebody's own doing: of the API client that they use, and of themselves where they
    use none."""
    if event.client_id is not None or actor.client_id is not None:
        return event.client_id == actor.client_id
    return event.actor is not None and event.actor == actor.member_id


def moves_rights(event: Event, access: Access) -> bool:
    """Return whether an event can have changed what viewers may see: of members, teams, roles and credentials."""
    of = access.types.get(event.entity)
    return of is not None and of.policy.directory and bool(event.changes)


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


def make_change(
    cls: type[Change], watch: Watch, event: Event, context: GraphContext, told: Told, cursor: str
) -> Change:
    """Return the plain object that the subscription's selection is executed on."""
    event = _as_told(watch, event, told)
    record, gone = context.registry.records[event.entity], told.kind in GONE
    return cls(
        key=None if gone else event.entity_id,
        actor_key=event.actor,
        cursor=Cursor(cursor),
        kind=told.kind,
        event=event_name(record, event, context),
        record_id=None if told.key is None else strawberry.ID(encode_id(record.prefix, told.key)),
        at=event.at,  # type: ignore[arg-type] # in output form, as everything from the database
        actor_kind=actor_kind(event),
        client_id=client_id(event),
        changed_fields=[] if gone else changed_fields(record, event, context),
        **cls.more(watch, event, context, gone=gone),
    )


def actor_kind(event: Event) -> ActorKind | None:
    """Return who made a change, as the API tells it; None where that is not told."""
    return None if event.actor_kind is None else ActorKind(event.actor_kind)


def client_id(event: Event) -> strawberry.ID | None:
    """Return the API client by which a change was made, as the API spells it."""
    return None if event.client_id is None else strawberry.ID(client_key(event.client_id))


def _as_told(watch: Watch, event: Event, told: Told) -> Event:
    """Return an event as one of what is told of it. What happened to another record, and who did it, is not for whoever
    may see this one."""
    if told.key is None:
        return replace(event, type="Resync", entity=watch.record.name, entity_id="", changes={}, **_NOBODY)
    if (told.record, told.key) == (event.entity, event.entity_id):
        return event
    type_ = _plain_update(told.record)
    return replace(event, type=type_, entity=told.record, entity_id=told.key, changes={}, **_NOBODY)


def _one_resync(told: Sequence[Told]) -> Sequence[Told]:
    """Return what one is told with one RESYNC at its end, if there is any."""
    resyncs = [each for each in told if each.kind is ChangeKind.RESYNC]
    return [each for each in told if each.kind is not ChangeKind.RESYNC] + resyncs[:1]


def event_name(record: Record, event: Event, context: GraphContext) -> str:
    """Return what happened, as far as the viewer may know: `OpportunityWon` would tell a stage that is hidden from
    them, so where a field that changed is hidden on any row, a record was updated, and no more."""
    access, effect = context.access.of(record.name), context.registry.effects.of(event.type)
    told_by_kind = effect in {Effect.CREATES, Effect.REMOVES}
    if told_by_kind or not any(access.partial(each.field) for each in _changed(record, event)):
        return event.type
    return _plain_update(record.name)


def _plain_update(name: str) -> str:
    """Return what is told of a change of which no more may be told."""
    return f"{name}Updated"


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
    fields = (each.told_as for each in _changed(record, event) if not access.partial(each.field))
    return [*dict.fromkeys(fields), *connections]


def _is_part(edge: RecordEdge, record: Record) -> bool:
    parent = edge.target.policy.parent
    return parent is not None and parent[0].type == record.name and parent[1] == edge.column


def _may_follow(edge: RecordEdge, context: GraphContext) -> bool:
    access = context.access.of(edge.target.name)
    return access.allows(READ) and not access.partial(edge.target.edge_along(edge.column))


def _changed(record: Record, event: Event) -> Iterator[RecordColumn]:
    """Yield what the changed columns are behind; several fields read the currency that amounts share."""
    by_column: dict[str, list[RecordColumn]] = {}
    for each in record.columns.values():
        by_column.setdefault(each.column, []).append(each)
    for column in event.changes:
        yield from by_column.get(column, ())
