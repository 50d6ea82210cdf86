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

from crm_graph.db.statements import Statement, compile_for_many
from crm_graph.events.log import Event
from crm_graph.graph.context import GraphContext
from crm_graph.graph.reach import Reached, reached
from crm_graph.graph.records import Record
from crm_graph.graph.registry import Registry
from crm_graph.graph.worlds import AFTER, BEFORE, COMES, common_table, world, worlds
from crm_graph.permissions.policy import UUID, workspace

Predicate = Callable[[FromClause], ColumnElement[bool]]
"""Returns what a record must be, over rows of its table, to be seen and to match."""
SHARED = frozenset({"workspace_id", "entity", "entity_id", "xid", "seq", "undone", "most"})
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
    """Whether rows go with it of which the log keeps nothing."""
    adrift: bool = False


@dataclass(frozen=True, slots=True)
class Related:
    """The compiled question of one filter under one set of grants."""

    statement: Statement
    causes: Mapping[str, Cause]

    def binds(self, context: GraphContext, event: Event) -> Mapping[str, Any]:
        """Return the values of the statement's binds for an event, but for who asks."""
        settings = context.services.settings
        return {
            "workspace_id": context.viewer.workspace_id,
            "entity": event.entity,
            "entity_id": event.entity_id,
            "xid": str(event.cursor.xid),
            "seq": event.cursor.seq,
            "undone": settings.live_max_undone,
            "most": settings.live_max_dependents,
        }

    def concerns(self, event: Event) -> bool:
        """Return whether an event may bring or take records beside the one that it is about."""
        cause = self.causes.get(event.entity)
        if cause is None:
            return False
        if event.type.endswith(COMES):
            return cause.comes or cause.unsaid
        return cause.unsaid or is_gone(event) or not cause.columns.isdisjoint(event.changes)

    def is_beyond(self, event: Event) -> bool:
        """Return whether it cannot be said of which records an event concerns."""
        cause = self.causes.get(event.entity)
        return cause is not None and self.concerns(event) and (cause.adrift or (cause.forgets and is_gone(event)))


def is_gone(event: Event) -> bool:
    """Return whether an event is of a row's end: it keeps all of the row's values."""
    return "id" in event.changes


def related_of(record: Record, registry: Registry, predicate: Predicate) -> Related | None:
    """Return the question of a predicate about a record; None where it reads the record's own row and nothing else."""
    rows = record.table.alias("record")
    mentions = list(reached(predicate(rows), rows).values())
    if not mentions:
        return None
    statement = compile_for_many(_question(record, registry, predicate, mentions), SHARED, "asking")
    return Related(statement, _causes(registry, mentions))


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
                causes.setdefault(records[key.referred_table.name].name, Cause()).forgets = True
        if read.policy.unsaid:
            assert read.policy.parent is not None
            causes.setdefault(read.policy.parent[0].type, Cause()).unsaid = True
    return causes


def _question(record: Record, registry: Registry, predicate: Predicate, mentions: Sequence[Reached]) -> Any:
    """Return the statement: for each who asks and each candidate, whether it was there, whether it is, whether it
    matched, and whether it matches; one row without a candidate where there is none. Beside each: whether the event
    lies too far back, whether there are too many, and up to where a resync now speaks for what comes."""
    tables = {each.name: each for each in (record.table, *(mention.table for mention in mentions))}
    common = [
        *worlds(tables.values(), registry),
        common_table("found", _found(record, mentions)),
        common_table("candidate", "SELECT DISTINCT id FROM found"),
        common_table("head", _HEAD.format(spare=SPARE)),
    ]
    head = table("head", *(column(name, of) for name, of in _HEAD_COLUMNS))
    candidate = table("candidate", column("id", UUID))
    was, is_ = world(record.table, BEFORE, born=False), world(record.table, AFTER, born=False)
    rows = func.jsonb_to_recordset(bindparam("asking", type_=JSONB))
    asking = rows.table_valued(column("number", Integer)).render_derived(name="asking", with_types=True)
    source = head.outerjoin(candidate, ~head.c.far & ~head.c.many)
    for image in (was, is_):
        source = source.outerjoin(image, (image.c.workspace_id == workspace()) & (image.c.id == candidate.c.id))
    return (
        select(
            asking.c.number,
            candidate.c.id,
            was.c.id.is_not(None).label("was_there"),
            is_.c.id.is_not(None).label("is_there"),
            func.coalesce(_in_world(predicate(was), was, BEFORE), false()).label("before"),
            func.coalesce(_in_world(predicate(is_), is_, AFTER), false()).label("after"),
            *head.c,
        )
        .select_from(source.join(asking, literal_column("true")))
        .add_cte(*common)
    )


def _in_world(predicate: ColumnElement[bool], record: FromClause, side: str) -> ColumnElement[bool]:
    """Return a predicate about a record with every table that it reads as it was on one side of the event."""
    places = {
        rows: world(mention.table, side, born=mention.pointed_to)
        for rows, mention in reached(predicate, record).items()
    }

    def replaced(element: Any, **_: Any) -> Any:
        if isinstance(element, Alias):
            return places.get(element)
        if isinstance(element, ColumnClause) and element.table in places:
            return places[element.table].c[element.name]
        return None

    moved: ColumnElement[bool] = replacement_traverse(predicate, {}, replaced)
    return moved


_HEAD_COLUMNS = (("far", Boolean()), ("many", Boolean()), ("end_xid", BigInteger()), ("end_seq", BigInteger()))
_HEAD = """
    SELECT (SELECT count(*) FROM later) > :undone AS far,
        (SELECT count(*) FROM candidate) > :most
            OR EXISTS (SELECT FROM found GROUP BY arm HAVING count(*) >= {spare} * (:most + 1)) AS many,
        last.xid AS end_xid, last.seq AS end_seq
    FROM (VALUES (true)) AS one (row) LEFT JOIN (
        SELECT xid::text::bigint AS xid, seq FROM later
        WHERE xid < pg_snapshot_xmin(pg_current_snapshot()) ORDER BY later.xid DESC, seq DESC LIMIT 1
    ) AS last ON true
"""


def _found(record: Record, mentions: Sequence[Reached]) -> str:
    """Return the text of the records that an event may concern, some of them more than once: its own, and those that
    come to a row that it changed, in the world before it or after it."""
    own = "SELECT CAST(:entity_id AS uuid) AS id WHERE CAST(:entity AS text) = '{name}'"
    arms = [own.format(name=record.name)]
    arms += dict.fromkeys(_arm(record, mention) for mention in mentions if not mention.adrift)
    return " UNION ALL ".join(
        f"SELECT {number} AS arm, id FROM ({arm}) AS arm_{number}"  # noqa: S608 - names of tables and columns
        for number, arm in enumerate(arms)
    )


def _arm(record: Record, changed: Reached) -> str:
    """Return the text of the records that come to the changed rows of one mention."""
    names: dict[Reached | None, str] = {None: "record"}
    conditions = ["record.workspace_id = :workspace_id"]
    sources = [f"{record.table.name}__wide AS record"]
    for mention in _on_the_way(changed):
        name = names[mention] = f"at_{len(names)}"
        sources.append(f"{mention.table.name}__wide AS {name}")
        conditions.append(f"{name}.workspace_id = :workspace_id")
        conditions += [f"{name}.{link.column} = {names[link.nearer]}.{link.other}" for link in mention.links]
    changes = f"SELECT id FROM {changed.table.name}__later WHERE this"  # noqa: S608 - names of tables and columns
    conditions.append(f"{names[changed]}.id IN ({changes})")
    source, condition = ", ".join(sources), " AND ".join(conditions)
    return f"SELECT record.id FROM {source} WHERE {condition} LIMIT {SPARE} * (:most + 1)"  # noqa: S608 - as above


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
