"""The change feed: what happened in the log after a cursor, page by page, cut to what the viewer may see.

For mobile sync and warehouses: a cursor, a copy of the records, and pages of changes from then on. A page of any size
takes one statement for its events, one a record type to judge them, and one a record type for the records.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import strawberry

from crm_graph.events.log import Event, end
from crm_graph.events.pages import LogPage, read_page
from crm_graph.graph.changes.dependents import causes
from crm_graph.graph.changes.judging import ChangeKind, Judge
from crm_graph.graph.changes.live import actor_kind, changed_fields, client_id, event_name, is_by
from crm_graph.graph.changes.positions import open_position, scope_of, seal_position
from crm_graph.graph.context import GraphContext, Info
from crm_graph.graph.reading.counts import PER_ROW, paged
from crm_graph.graph.records.record import Node, by_key
from crm_graph.graph.records.scalars import Cursor
from crm_graph.graph.schema.derive import OWN_LEFT_OUT
from crm_graph.identity.viewer import ActorKind
from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.errors import BadUserInput
from crm_graph.kernel.ids import encode_id
from crm_graph.permissions.grants import READ

PAGE_SIZE = 100
GONE = frozenset({ChangeKind.LEFT, ChangeKind.DELETED})


@strawberry.type(description="A change of a record, as far as you may see it.")
class RecordChange:
    """One event, judged by the permissions of the moment of reading."""

    key: strawberry.Private[tuple[str, str] | None]
    cursor: Cursor = strawberry.field(
        description="The position of this change: pass it as `after` to go on behind it, also to a subscription."
    )
    kind: ChangeKind = strawberry.field(description="What the change means for a copy of the records.")
    event: str = strawberry.field(description="What happened, as listed in schema/events.json.")
    record_id: strawberry.ID = strawberry.field(
        description="The id of the record. Not called `id`: a normalising client would take this change for the record."
    )
    type: str = strawberry.field(description="The type of the record: `Opportunity`.")
    at: datetime = strawberry.field(description="When it happened.")
    actor_kind: ActorKind | None = strawberry.field(description="Who made the change.")
    client_id: strawberry.ID | None = strawberry.field(
        description="The id of the API client by which it was made, `apc_...`; null where it was none. A program knows"
        " its own changes by it."
    )
    changed_fields: list[str] = strawberry.field(description="The fields that changed, of those you may read.")
    node: Node | None = by_key(
        "key",
        "The record as it is now, which can be newer than this change; null when it left or was deleted, by this change"
        " or by a later one: drop it then.",
    )


@strawberry.type(description="A page of changes, and where the next one starts.")
class ChangeFeed:
    """The answer of `changes`."""

    nodes: list[RecordChange] = strawberry.field(
        metadata=PER_ROW,
        description="The changes in the order of the log; a page can be empty and have more behind it.",
    )
    cursor: Cursor = strawberry.field(
        description="Where the next page starts: keep it once you have applied this page, also where that was empty."
    )
    has_more: bool = strawberry.field(
        description="Whether more changes are probably there already: then ask again at once."
    )
    resync: list[str] = strawberry.field(
        description="Record types, of those asked for, that you may see differently since `after` for a reason that is"
        " no change of their records: your roles or teams changed, or the owner of what they depend on. Apply `nodes`,"
        " then read the records of these types anew in place of your copy, which can leave none of a type that you"
        " may not read any more, and go on from `cursor`. Usually empty."
    )


async def _changes(
    info: Info,
    after: Annotated[
        Cursor | None,
        strawberry.argument(
            description="The cursor that the last page answered; without it the answer is the cursor to start from,"
            " and no changes."
        ),
    ] = None,
    types: Annotated[
        list[str] | None,
        strawberry.argument(description="Names of record types; all that you may read unless given."),
    ] = None,
    first: Annotated[
        int | None,
        strawberry.argument(description="The size of the page; 100 unless given, at most 1,000."),
    ] = None,
    without_own: Annotated[bool | None, strawberry.argument(description=OWN_LEFT_OUT)] = None,
) -> ChangeFeed:
    context = info.context
    followed = _followed(context, types)
    size = _size(context, first)
    scope = scope_of(context.access, context.viewer)
    if after is None:
        start = await end(context.reader)
        return ChangeFeed(
            nodes=[], cursor=seal_position(context.sealer, context.viewer, start, scope), has_more=False, resync=[]
        )
    position, seen = open_position(context, after)
    by = causes(context.access, context.registry, followed)
    entities = {*followed, *(cause.entity for each in by.values() for cause in each)}
    page = await read_page(context.reader, context.viewer.workspace_id, position, sorted(entities), size)
    await _check(context, position, page)
    if seen != scope:
        cursor = seal_position(context.sealer, context.viewer, max(page.end, position), scope)
        asked = list(dict.fromkeys(context.registry.records if types is None else types))
        return ChangeFeed(nodes=[], cursor=cursor, has_more=False, resync=asked)
    me = context.viewer
    own = me.actor if without_own else None
    told = await _judge(
        context,
        [each for each in page.events if each.entity in set(followed) and (own is None or not is_by(each, own))],
    )
    stale = [name for name, of in by.items() if any(each.shows(event, me) for each in of for event in page.events)]
    return ChangeFeed(
        nodes=[_change(context, event, kind, scope) for event, kind in told],
        cursor=seal_position(context.sealer, context.viewer, page.next, scope),
        has_more=page.has_more,
        resync=stale,
    )


def _followed(context: GraphContext, types: Sequence[str] | None) -> list[str]:
    """Return the types that are followed, of those that the viewer may read. Raises BadUserInput."""
    known = context.registry.records
    for index, name in enumerate(types or ()):
        if name not in known:
            listed = ", ".join(sorted(known))
            raise BadUserInput(f"{name!r} is no record type. Those are: {listed}.", path=("types", index))
    return [name for name in (known if types is None else dict.fromkeys(types)) if context.access.of(name).allows(READ)]


def _size(context: GraphContext, first: int | None) -> int:
    most = context.services.settings.max_feed_page_size
    size = min(PAGE_SIZE, most) if first is None else first
    if not 1 <= size <= most:
        raise BadUserInput(f"`first` must be between 1 and {most}, not {size}.", path=("first",))
    return size


async def _check(context: GraphContext, position: LogCursor, page: LogPage) -> None:
    """Raise CursorTooOld, or BadUserInput for a position in the future. A replica may lag behind the cursors that the
    primary gave out, and then has nothing new."""
    page.horizon.require_kept(position)
    if position > page.end and position > await end(context.services.database.primary_reader()):
        raise BadUserInput("`after` is not a cursor of this event log: it lies in the future.", path=("after",))


async def _judge(context: GraphContext, events: Sequence[Event]) -> list[tuple[Event, ChangeKind]]:
    """Return what the viewer may be told, in the log's order: one statement a record type."""
    places: dict[str, list[int]] = {}
    for place, event in enumerate(events):
        places.setdefault(event.entity, []).append(place)

    async def judge(name: str, of: Sequence[int]) -> Sequence[ChangeKind | None]:
        return await Judge(context.registry.records[name], context.registry).kinds(context, [events[i] for i in of])

    judged = await asyncio.gather(*(judge(name, of) for name, of in places.items()))
    kinds = {
        place: kind
        for of, found in zip(places.values(), judged, strict=True)
        for place, kind in zip(of, found, strict=True)
    }
    return [(event, kind) for place, event in enumerate(events) if (kind := kinds[place]) is not None]


def _change(context: GraphContext, event: Event, kind: ChangeKind, scope: str) -> RecordChange:
    record = context.registry.records[event.entity]
    gone = kind in GONE
    return RecordChange(
        key=None if gone else (record.name, event.entity_id),
        cursor=seal_position(context.sealer, context.viewer, event.cursor, scope),
        kind=kind,
        event=event_name(record, event, context),
        record_id=strawberry.ID(encode_id(record.prefix, event.entity_id)),
        type=record.name,
        at=event.at,  # type: ignore[arg-type] # in output form, as everything from the database
        actor_kind=actor_kind(event),
        client_id=client_id(event),
        changed_fields=[] if gone else changed_fields(record, event, context),
    )


class FeedQueries:
    """Fields of Query."""

    changes: ChangeFeed = strawberry.field(
        resolver=_changes,
        metadata=paged("first", PAGE_SIZE),
        description="The changes of records after a cursor, for keeping a copy: ask without `after` for a cursor, read"
        " the records (pages, or an export), then ask for what changed since. Every change of a record that you may"
        " see is told, and its leaving your sight; never that there was a record that you could not see. Records that"
        " are part of another (`OrderLine`, `StageMove`) come, go and are hidden with it, and that is told of the"
        " whole alone: read them with its `node`. What is computed from other records is not a change. Changes of"
        " what you may see are told by `resync`. A cursor from before the events that are kept, or of a history that"
        " was lost when the installation was restored from a backup, is refused with CURSOR_TOO_OLD: start again.",
    )
