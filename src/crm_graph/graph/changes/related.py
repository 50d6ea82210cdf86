"""Records whose filter or scope reads other rows: which events concern them, and the statement that tells which of them
an event brings or takes.

What a predicate reads is read off it (`reach.py`). An event of a type that it reads, in a column that it reads, is
asked in one statement: which records come to the changed row by the predicate's own equations, and whether each
matched in the world before the event and in the one after it (`worlds.py`). An event in any other column costs nothing.

What cannot be told exactly is told by a resync: a change that concerns more records than `live_max_dependents`, one
that lies more than `live_max_undone` events back, one of rows that no equation leads to, and the deletion of a row with
which others go that the predicate reads, since the log does not keep these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    Alias,
    BigInteger,
    Boolean,
    ColumnClause,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Table,
    bindparam,
    column,
    false,
    func,
    literal_column,
    select,
    table,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.sql.visitors import replacement_traverse

from crm_graph.db.aliases import rows_of
from crm_graph.db.base import DELETED_AT
from crm_graph.db.statements import Statement, compile_for_many
from crm_graph.events.effects import Effect, Effects
from crm_graph.events.log import Event
from crm_graph.graph.changes.personal import OPENED, UNOPENED, Values, is_personal, opened_since, reads_personal
from crm_graph.graph.changes.reach import HOUSEHOLD, Reached, columns_read, reached
from crm_graph.graph.changes.worlds import AFTER, BEFORE, common_table, world, worlds
from crm_graph.graph.context import GraphContext
from crm_graph.graph.records.record import Record
from crm_graph.graph.records.registry import Registry
from crm_graph.permissions.policy import UUID, workspace

Predicate = Callable[[FromClause], ColumnElement[bool]]
"""Returns what a record must be, over rows of its table, to be seen and to match."""
SHARED = frozenset(
    {"workspace_id", "entity", "entity_id", "xid", "seq", "creating", "removing", "undone", "most", OPENED}
)
_TRUE: ColumnElement[bool] = literal_column("true")
_ZERO, _ONE = literal_column("0", Integer()), literal_column("1", Integer())
SPARE = 4
"""How many times over a candidate may be found, before it is not looked for any more."""


@dataclass(slots=True)
class Cause:
    """A type whose events may bring or take records."""

    columns: set[str] = field(default_factory=set)
    comes: bool = False
    """Whether a new row of it may: not if it must be there before anything points to it."""
    unsaid: bool = False
    """Whether its events may bring rows of its parts."""
    forgets: bool = False
    """Whether rows go with it for good, of which the log keeps nothing."""
    hides: bool = False
    """Whether such rows count for nothing while it is in the recycle bin: those of parts that stay where they are, and
    of which nothing is asked but what they say, are what they were."""
    adrift: bool = False


@dataclass(frozen=True, slots=True)
class Related:
    """The compiled question of one filter under one set of grants."""

    statement: Statement
    causes: Mapping[str, Cause]
    effects: Effects
    opens: Sequence[str] = ()
    """The types of which it reads personal values; none where it compares none."""

    async def opened(self, context: GraphContext, event: Event) -> Values:
        """Return the personal values that are to be put back. One statement where the filter compares any."""
        if not self.opens:
            return {}
        return await opened_since(context, event, self.opens, context.services.settings.live_max_undone + 1)

    def binds(self, context: GraphContext, event: Event) -> Mapping[str, Any]:
        """Return the values of the statement's binds for an event, but for who asks."""
        settings = context.services.settings
        return {
            "workspace_id": context.viewer.workspace_id,
            "entity": event.entity,
            "entity_id": event.entity_id,
            "xid": str(event.cursor.xid),
            "seq": event.cursor.seq,
            "creating": self.effects.names(Effect.CREATES),
            "removing": self.effects.names(Effect.REMOVES),
            "undone": settings.live_max_undone,
            "most": settings.live_max_dependents,
        }

    def concerns(self, event: Event) -> bool:
        """Return whether an event may bring or take records beside the one that it is about."""
        cause = self.causes.get(event.entity)
        if cause is None:
            return False
        effect = self.effects.of(event.type)
        if effect is Effect.CREATES:
            return cause.comes or cause.unsaid
        return (
            cause.unsaid
            or effect is Effect.REMOVES
            or (cause.hides and DELETED_AT in event.changes)
            or not cause.columns.isdisjoint(event.changes)
        )

    def is_beyond(self, event: Event) -> bool:
        """Return whether it cannot be said of which records an event concerns."""
        cause = self.causes.get(event.entity)
        if cause is None or not self.concerns(event):
            return False
        removed = cause.forgets and self.effects.of(event.type) is Effect.REMOVES and DELETED_AT not in event.changes
        return cause.adrift or removed or (cause.hides and DELETED_AT in event.changes)


def related_of(record: Record, registry: Registry, predicate: Predicate) -> Related | None:
    """Return the question of a predicate about a record; None where it reads the record's own row and nothing else."""
    rows = rows_of(record.table, "record")
    asked = predicate(rows)
    mentions = list(reached(asked, rows).values())
    if not mentions:
        return None
    tables = {record.table: HOUSEHOLD | columns_read(asked, rows)}
    for mention in mentions:
        tables[mention.table] = tables.get(mention.table, HOUSEHOLD) | mention.columns
    question = _Question(record, registry, predicate, mentions, tables)
    personal = [each.name for each in registry.records.values() if each.table in tables and is_personal(each.table)]
    opens = sorted(personal) if reads_personal(tables) else []
    statement = compile_for_many(question.select(), SHARED, "asking")
    return Related(statement, _causes(registry, mentions), registry.effects, opens)


def _causes(registry: Registry, mentions: Sequence[Reached]) -> Mapping[str, Cause]:
    records = {each.table.name: each for each in registry.records.values()}
    causes: dict[str, Cause] = {}
    for mention in mentions:
        read = records[mention.table.name]
        cause = causes.setdefault(read.name, Cause())
        cause.columns |= mention.changing
        cause.comes |= not mention.pointed_to
        cause.adrift |= mention.adrift
        for key in mention.table.foreign_key_constraints:
            if key.ondelete == "CASCADE":
                whole = causes.setdefault(records[key.referred_table.name].name, Cause())
                whole.forgets = True
                whole.hides |= DELETED_AT in mention.columns or DELETED_AT not in mention.table.c
        if read.policy.unsaid:
            assert read.policy.parent is not None
            causes.setdefault(read.policy.parent[0].type, Cause()).unsaid = True
    return causes


@dataclass(frozen=True, slots=True)
class _Question:
    """The statement in the making."""

    record: Record
    registry: Registry
    predicate: Predicate
    mentions: Sequence[Reached]
    tables: Mapping[Table, frozenset[str]]
    """The tables that it reads, with the columns of each."""

    def select(self) -> Any:
        """Return the statement: for each who asks and each candidate, whether it was there, whether it is, whether it
        matched, and whether it matches; one row without a candidate where there is none. Beside each: whether the event
        lies too far back, whether there are too many, and the last transaction that a list read from now on shows."""
        opens = reads_personal(self.tables)
        asked = {(self.record.table, False), *((each.table, each.pointed_to) for each in self.mentions)}
        common = [
            *worlds(self.tables, asked, self.registry),
            common_table("found", _found(self.record, self.mentions)),
            common_table("candidate", "SELECT DISTINCT id FROM found"),
            common_table("head", _HEAD.format(spare=SPARE, unopened=_UNOPENED if opens else "")),
        ]
        columns_of_head = [column(name, of) for name, of in _HEAD_COLUMNS]
        head = table("head", *columns_of_head, *([column(UNOPENED, BigInteger())] if opens else []))
        candidate = table("candidate", column("id", UUID))
        rows = func.jsonb_to_recordset(bindparam("asking", type_=JSONB))
        asking = rows.table_valued(column("number", Integer)).render_derived(name="asking", with_types=True)
        was, is_ = (self._image(candidate, side) for side in (BEFORE, AFTER))
        before, after = (
            func.coalesce(self._in_world(image, side), false()).label(side)
            for image, side in ((was, BEFORE), (is_, AFTER))
        )
        # Fenced, so that the predicates are planned for the one row that they are asked of: for as many as Postgres
        # expects of the functions above it would hash whole tables.
        judged = select(before, after).offset(_ZERO).correlate(was, is_, asking).lateral("judged")
        source = head.outerjoin(candidate, ~head.c.far & ~head.c.many).join(asking, _TRUE)
        for each in (was, is_, judged):
            source = source.outerjoin(each, _TRUE)
        there = was.c.id.is_not(None).label("was_there"), is_.c.id.is_not(None).label("is_there")
        columns = asking.c.number, candidate.c.id, *there, judged.c.before, judged.c.after, *head.c
        return select(*columns).select_from(source).add_cte(*common)

    def _image(self, candidate: Any, side: str) -> Any:
        """Return the candidate's row in the world on one side of the event."""
        table_ = self.record.table
        rows = world(table_, self.tables[table_], side, born=False)
        found = select(*rows.c).where(rows.c.workspace_id == workspace(), rows.c.id == candidate.c.id)
        return found.limit(_ONE).correlate(candidate).lateral({BEFORE: "was", AFTER: "is_now"}[side])

    def _in_world(self, record: FromClause, side: str) -> ColumnElement[bool]:
        """Return the predicate about a record with every table that it reads as it was on one side of the event; its
        subqueries are fenced as well, so that each goes along its index for one row and none is joined or hashed whole.
        """
        predicate = self.predicate(record)
        places = {
            rows: world(mention.table, self.tables[mention.table], side, born=mention.pointed_to)
            for rows, mention in reached(predicate, record).items()
        }
        fenced: list[Any] = []

        def replaced(element: Any, **_: Any) -> Any:
            if isinstance(element, Select) and not any(element is each for each in fenced):
                fenced.append(element.offset(_ZERO))
                return replacement_traverse(fenced[-1], {}, replaced)
            if isinstance(element, Alias):
                return places.get(element)
            if isinstance(element, ColumnClause) and element.table in places:
                return places[element.table].c[element.name]
            return None

        moved: ColumnElement[bool] = replacement_traverse(predicate, {}, replaced)
        return moved


_HEAD_COLUMNS = (("far", Boolean()), ("many", Boolean()), ("end_xid", BigInteger()))
_HEAD = """
    SELECT (SELECT count(*) FROM later) > :undone AS far,
        (SELECT count(*) FROM candidate) > :most
            OR EXISTS (SELECT 1 FROM found GROUP BY arm HAVING count(*) >= {spare} * (:most + 1)) AS many,
        crm_log_horizon()::text::bigint - 1 AS end_xid{unopened}
"""
_UNOPENED = ", (SELECT count(*) FROM later WHERE unopened) AS unopened"


def _found(record: Record, mentions: Sequence[Reached]) -> str:
    """Return the text of the records that an event can concern, some of them more than once: its own, and those that
    come to a row that it changed, in the world before it or after it."""
    own = "SELECT CAST(:entity_id AS uuid) AS id WHERE CAST(:entity AS text) = '{name}'"
    arms = [own.format(name=record.name)]
    arms += dict.fromkeys(_arm(record, mention) for mention in mentions if not mention.adrift)
    return " UNION ALL ".join(
        f"SELECT {number} AS arm, id FROM ({arm}) AS arm_{number}"  # noqa: S608 - names of tables and columns
        for number, arm in enumerate(arms)
    )


def _arm(record: Record, changed: Reached) -> str:
    """Return the text of the records that come to the changed rows of one mention: from these towards the record, each
    step fenced (`OFFSET 0`), so that Postgres goes this way, along indexes, whatever it expects."""
    placed: dict[Reached | None, str] = {changed: "at_0"}
    changes = f"(SELECT DISTINCT id FROM {changed.table.name}__later WHERE this) AS changed"  # noqa: S608 - of ours
    sources = [changes, _step(changed.table.name, "rows.id = changed.id", "at_0")]
    for mention in [*reversed(_on_the_way(changed)[:-1]), None]:
        conditions = [
            f"rows.{link.other} = {name}.{link.column}"
            for farther, name in placed.items()
            if farther is not None
            for link in farther.links
            if link.nearer is mention
        ]
        name = placed[mention] = f"at_{len(placed)}"
        of = record.table if mention is None else mention.table
        sources.append(_step(of.name, " AND ".join(conditions), name))
    return f"SELECT {placed[None]}.id FROM {', '.join(sources)} LIMIT {SPARE} * (:most + 1)"  # noqa: S608 - as above


def _step(table_name: str, condition: str, name: str) -> str:
    rows = f"SELECT * FROM {table_name}__wide AS rows WHERE rows.workspace_id = :workspace_id AND {condition} OFFSET 0"  # noqa: S608
    return f"LATERAL ({rows}) AS {name}"


def _on_the_way(mention: Reached) -> list[Reached]:
    """Return the mentions between the record and one of them, and that one, each after those that lead to it."""
    found: dict[Reached, None] = {}

    def add(each: Reached) -> None:
        for link in each.links:
            if link.nearer is not None and link.nearer not in found:
                add(link.nearer)
        found[each] = None

    add(mention)
    return list(found)
