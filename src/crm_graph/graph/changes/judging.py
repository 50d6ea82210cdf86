"""Judging: what an event of the log means to one viewer, asked for many events of a record type, and
for many viewers, in one statement.

Each event is judged by the permissions of that moment. Whether a record was visible and matched *before* the change
is asked of its old image: the row with the event's old values put back, under the same compiled predicates. So a
record that leaves the viewer's sight, or their filter, is said to have left, and one that they never saw is never
mentioned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias

import strawberry
from sqlalchemy import ARRAY, BigInteger, ColumnElement, Integer, and_, bindparam, column, func, literal_column, select
from sqlalchemy.dialects.postgresql import JSONB, distinct_on

from crm_graph.db.base import table_of
from crm_graph.db.statements import Statement, compile_for_many
from crm_graph.events.effects import Effect
from crm_graph.events.log import Event
from crm_graph.events.model import EventRow
from crm_graph.graph.changes.personal import (
    OPENED,
    TRIES,
    UNOPENED,
    WITHHELD,
    Values,
    is_unopened,
    opened_of,
    reads_personal,
    with_opened,
)
from crm_graph.graph.changes.reach import columns_read
from crm_graph.graph.changes.related import Related, related_of
from crm_graph.graph.context import GraphContext
from crm_graph.graph.reading.filters import EVERYTHING, Form, Normaliser, predicate
from crm_graph.graph.reading.sealed import Search, blind_values
from crm_graph.graph.reading.views import View
from crm_graph.graph.records.record import Record
from crm_graph.graph.records.registry import Registry
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.caches import RecentCache
from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.errors import Forbidden
from crm_graph.permissions.access import Access
from crm_graph.permissions.policy import UUID, workspace


@strawberry.enum(description="What a change means for whoever keeps a list of the records.")
class ChangeKind(Enum):
    """Told from the visibility before and after the event."""

    CREATED = strawberry.enum_value("CREATED", description="The record is new.")
    UPDATED = strawberry.enum_value("UPDATED", description="The record changed and still matches.")
    ENTERED = strawberry.enum_value("ENTERED", description="The record now matches, or may now be seen: add it.")
    LEFT = strawberry.enum_value("LEFT", description="The record no longer matches, or may no longer be seen: drop it.")
    DELETED = strawberry.enum_value("DELETED", description="The record is gone: drop it.")
    RESYNC = strawberry.enum_value(
        "RESYNC",
        description="Which records match, or may be seen, has changed in more ways than are told one by one: your roles"
        " or teams changed, or a record that very many others depend on, or what the log does not keep. It is of no"
        " record. Read your list anew, and go on with what follows.",
    )


@dataclass(frozen=True, slots=True)
class Told:
    """What one viewer is told of a record because of an event, which may be about another one; a RESYNC is of none."""

    kind: ChangeKind
    record: str
    """The name of its type."""
    key: str | None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an event means to each of those who ask."""

    told: Sequence[Sequence[Told]]
    covered: LogCursor | None = None
    """Where all are told to read their lists anew: up to here nothing more need be told them."""


@dataclass(slots=True)
class Judge:
    """Judges the events of one record type, within a filter."""

    record: Record
    registry: Registry
    form: Form = EVERYTHING
    values: Mapping[str, Any] = field(default_factory=dict)
    searches: Mapping[str, Search] = field(default_factory=dict)

    @classmethod
    def of(cls, record: Record, registry: Registry, where: Any, path: tuple[str | int, ...]) -> Judge:
        """Return the judge of a coerced `where`. Raises BadUserInput and LimitExceeded at the path of what is wrong."""
        normaliser = Normaliser(registry)
        form = normaliser.normalise(record, where, path)
        return cls(record, registry, form, normaliser.binds(), normaliser.searches)

    async def kinds(self, context: GraphContext, events: Sequence[Event]) -> list[ChangeKind | None]:
        """Return what each event means to the viewer, None where it means nothing: in one statement."""
        (found,) = await self.kinds_for(context, events, [await self.asking(context, context.viewer)])
        return found

    async def asking(self, context: GraphContext, viewer: Viewer) -> Mapping[str, Any]:
        """Return the values by which a viewer, of the context's workspace, and this filter differ from others of the
        same form and grants."""
        searched = await blind_values(context, self.searches) if self.searches else {}
        return {**viewer.binds, **context.bound(self.values), **searched}

    async def kinds_for(
        self, context: GraphContext, events: Sequence[Event], asking: Sequence[Mapping[str, Any]]
    ) -> list[list[ChangeKind | None]]:
        """Return, for each who asks, what each event means to them: in one statement.

        All have the workspace and the grants of the context; each is told by what `asking` returned. Nobody is
        answered where the guard of the context's session fails.
        """
        statement, audited = self.statement(context.access)
        opens = OPENED in statement.names
        for _ in range(TRIES):
            opened = await opened_of(context, events) if opens else {}
            values = {
                "workspace_id": context.viewer.workspace_id,
                OPENED: opened,
                "ids": [event.entity_id for event in events],
                "seqs": [event.cursor.seq for event in events],
                "olds": [_olds(event, opened) for event in events],
                "asking": _numbered(asking),
            }
            rows = await context.reader.fetch(statement, values)
            if not (opens and any(row[UNOPENED] for row in rows)):
                break
        if audited:
            context.note_reads(audited)
        if not rows:
            return []
        kinds: list[list[ChangeKind | None]] = [[None] * len(events) for _ in asking]
        for number, place, before, after, *_ in rows:
            if before or after:
                kinds[number][place - 1] = self._kind(events[place - 1], before=before, after=after)
        return kinds

    async def verdict(self, context: GraphContext, event: Event, asking: Sequence[Mapping[str, Any]]) -> Verdict | None:
        """Return what an event means to each who asks, for the record that it is about and for those that it brings or
        takes: in one statement. None where the guard of the context's session fails."""
        related = self.related(context.access)
        if related is None:
            kinds = await self.kinds_for(context, [event], asking)
            told = [[Told(kind, self.record.name, event.entity_id)] if kind else [] for (kind,) in kinds]
            if not kinds or not self._forgets(event, context.access):
                return Verdict(told) if kinds else None
            resync = Told(ChangeKind.RESYNC, self.record.name, None)
            return Verdict([[*each, resync] for each in told], event.cursor)
        for _ in range(TRIES):
            opened = await related.opened(context, event)
            bound = {**related.binds(context, event), OPENED: opened, "asking": _numbered(asking)}
            rows = await context.reader.fetch(related.statement, bound)
            if not (related.opens and rows and rows[0][UNOPENED]):
                break
        _, audited = self.statement(context.access)
        if audited:
            context.note_reads(audited)
        beyond = related.is_beyond(event) or self._forgets(event, context.access)
        return self._weighed(event, rows, len(asking), beyond=beyond) if rows else None

    def _forgets(self, event: Event, access: Access) -> bool:
        """Return whether an event erased what the filter compares: nobody can tell who had the record in their list."""
        if not self.registry.effects.erases(event.type):
            return False
        related = self.related(access)
        return OPENED in self.statement(access)[0].names or (related is not None and event.entity in related.opens)

    def _weighed(self, event: Event, rows: Sequence[Any], count: int, *, beyond: bool) -> Verdict:
        """Return what the rows of `related` say to each of so many who ask."""
        found: list[list[Told]] = [[] for _ in range(count)]
        for number, key, was_there, is_there, before, after, *_ in rows:
            kind = None
            if key == event.entity_id and event.entity == self.record.name:
                kind = self._kind(event, before=before, after=after)
            elif was_there and is_there and before != after:
                kind = ChangeKind.ENTERED if after else ChangeKind.LEFT
            if kind is not None:
                found[number].append(Told(kind, self.record.name, key))
        far, many, end_xid = (rows[0][name] for name in ("far", "many", "end_xid"))
        if not (beyond or far or many):
            return Verdict(found)
        resync = Told(ChangeKind.RESYNC, self.record.name, None)
        covered = max(event.cursor, LogCursor(end_xid, LAST_SEQ)) if far else event.cursor
        return Verdict([[*told, resync] for told in found], covered)

    def related(self, access: Access) -> Related | None:
        """Return what else is asked for events, of other types too; None where it is the record's own row alone that
        says whether it matches. Raises Forbidden where one may not filter so."""
        self.statement(access)
        key = self.record.name, self.form, access.fingerprint
        return _RELATED.get(
            key, lambda: related_of(self.record, self.registry, lambda rows: self._matching(access, rows, {}))
        )

    def concerns(self, event: Event, access: Access) -> bool:
        """Return whether an event can mean anything: it is about a record of this type, or about what its filter or the
        viewer's scope reads."""
        if event.entity == self.record.name:
            return True
        related = self.related(access)
        return related is not None and related.concerns(event)

    def _kind(self, event: Event, *, before: bool, after: bool) -> ChangeKind | None:
        effect = self.registry.effects.of(event.type)
        created, deleted = effect is Effect.CREATES, effect is Effect.REMOVES
        before, after = before and not created, after and not deleted
        if after:
            return ChangeKind.CREATED if created else ChangeKind.UPDATED if before else ChangeKind.ENTERED
        if before:
            return ChangeKind.DELETED if deleted else ChangeKind.LEFT
        return None

    def may_ask(self, access: Access) -> bool:
        """Return whether one may filter so."""
        try:
            self.statement(access)
        except Forbidden:
            return False
        return True

    def statement(self, access: Access) -> tuple[Statement, tuple[str, ...]]:
        """Return the statement of events, and what it compares whose reading is to be written down. Raises Forbidden
        where one may not filter so."""
        key = self.record.name, self.form, access.fingerprint
        found = _STATEMENTS.get(key, lambda: self._compiled(access))
        if isinstance(found, str):
            raise Forbidden(found)
        return found

    def _compiled(self, access: Access) -> Compiled:
        compared: dict[str, None] = {}
        try:
            statement = compile_for_many(self._select(access, compared), _SHARED, "asking")
        except Forbidden as error:
            return error.message
        return statement, tuple(compared)

    def _select(self, access: Access, compared: dict[str, None]) -> Any:
        """Return the statement that tells whether each record matched before and after its event.

        The row as it is now, with the old values of all later events put back, is the row after this event; with this
        event's old values as well it is the row before. The later events of a record are those with a larger `seq`:
        each was written under the row's lock.
        """
        table = self.record.table
        rows = table.alias("record")
        opens = reads_personal({table: columns_read(self._matching(access, rows, {}), rows)})
        undone = _undone(opens=opens)
        current = table.alias("current")
        wanted = (current.c.workspace_id == workspace()) & (current.c.id == undone.c.id)
        own = func.jsonb_build_object("id", undone.c.id, "workspace_id", workspace())
        after = _image(table, literal_column('"current"'), own, undone.c.changes, name="after")
        before = _image(table, literal_column('"after"'), undone.c.old, name="before")
        true: ColumnElement[bool] = literal_column("true")
        source = undone.outerjoin(current, wanted).join(after, true).join(before, true)
        given = func.jsonb_to_recordset(bindparam("asking", type_=JSONB))
        asking = given.table_valued(column("number", Integer)).render_derived(name="asking", with_types=True)
        return select(
            asking.c.number,
            undone.c.place,
            func.coalesce(self._matching(access, before, compared), False).label("before"),
            func.coalesce(self._matching(access, after, compared), False).label("after"),
            *([undone.c[UNOPENED]] if opens else []),
        ).select_from(source.join(asking, true))

    def _matching(self, access: Access, image: Any, compared: dict[str, None]) -> ColumnElement[bool]:
        view = View(self.record, access, image, compared)
        matching = predicate(self.form, view, self.registry, access)
        return and_(*view.conditions(), matching)


MAX_STATEMENTS = 2_000
LAST_SEQ = (1 << 63) - 1
_SHARED = frozenset({"workspace_id", "ids", "seqs", "olds", OPENED})
"""The binds that are the same for all who ask."""
Compiled: TypeAlias = tuple[Statement, tuple[str, ...]] | str
"""The statement of events, and what it compares whose reading is to be written down; a text says why one may not filter
so."""
_STATEMENTS: RecentCache[Any, Compiled] = RecentCache(MAX_STATEMENTS)
_RELATED: RecentCache[Any, Related | None] = RecentCache(MAX_STATEMENTS)
EVENTS = table_of(EventRow)


def _numbered(asking: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [{**each, "number": number} for number, each in enumerate(asking)]


def _olds(event: Event, opened: Values) -> dict[str, Any]:
    """Return the values that a record had before an event."""
    changes = {**event.changes, **opened.get(str(event.cursor.seq), {})}
    return {name: change[0] for name, change in changes.items() if change[0] is not None or change[1] is not None}


def _undone(*, opens: bool) -> Any:
    """Return the given events, each with what is to be put back, with personal values where it `opens` them: a common
    table, so that nothing but the log is read for it, which lies elsewhere than the records on a cluster."""
    given = _given()
    columns = [_later(given, opens=opens).label("changes"), *([_unopened(given).label(UNOPENED)] if opens else [])]
    return select(given, *columns).cte("undone").prefix_with("MATERIALIZED", dialect="postgresql")


def _unopened(given: Any) -> ColumnElement[Any]:
    """Return how many later events have personal values that were not given."""
    later = EVENTS.c.workspace_id == workspace(), EVENTS.c.entity_id == given.c.id, EVENTS.c.seq >= given.c.seq
    unopened = select(func.count()).where(*later, is_unopened(EVENTS.c.personal, EVENTS.c.seq))
    return unopened.select_from(EVENTS).correlate(given).scalar_subquery()


def _given() -> Any:
    """Return the events that are to be judged as a table: record, position, old values, and the place in the list."""
    lists = func.unnest(
        bindparam("ids", type_=ARRAY(UUID)),
        bindparam("seqs", type_=ARRAY(BigInteger)),
        bindparam("olds", type_=ARRAY(JSONB)),
    )
    columns = column("id", UUID), column("seq", BigInteger), column("old", JSONB)
    return lists.table_valued(*columns, with_ordinality="place", name="given").render_derived()


def _later(given: Any, *, opens: bool) -> ColumnElement[Any]:
    """Return, as a JSON object, each column that later events changed with its value before the first of them."""
    changes = with_opened(EVENTS.c.changes, EVENTS.c.seq) if opens else EVENTS.c.changes
    change = func.jsonb_each(changes).table_valued("key", column("value", JSONB), name="change")
    earliest = (
        select(change.c.key, change.c.value.op("->")(literal_column("0")).label("old"))
        .ext(distinct_on(change.c.key))
        .select_from(EVENTS.join(change, literal_column("true")))
        .where(
            EVENTS.c.workspace_id == workspace(),
            EVENTS.c.entity_id == given.c.id,
            EVENTS.c.seq > given.c.seq,
            *([change.c.value != WITHHELD] if opens else []),
        )
        .order_by(change.c.key, EVENTS.c.seq)
        .correlate(given)
        .subquery("earliest")
    )
    merged = func.coalesce(func.jsonb_object_agg(earliest.c.key, earliest.c.old), literal_column("'{}'::jsonb"))
    return select(merged).select_from(earliest).correlate(given).scalar_subquery()


def _image(table: Any, row: Any, *changes: Any, name: str) -> Any:
    """Return the row with the values of JSON objects put over its own, as a lateral table of its columns."""
    columns = [column(each.name, each.type) for each in table.columns]
    merged = changes[0]
    for each in changes[1:]:
        merged = merged.op("||")(each)
    return func.jsonb_populate_record(row, merged).table_valued(*columns, name=name).lateral(name)
