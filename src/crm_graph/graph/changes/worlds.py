"""Worlds: the tables that a predicate reads as they were right before an event, and right after it.

A world is made by undoing: what is stored now, but for the rows that events since the position concern, whose images
(the row with the old values put back, none of a row that came later, one again of a row that went) take their place.
Near the head of the log these are few. Undoing goes by the order in which readers see events, so that the world after
an event is the world before the next one, and the world after the last one is what is stored.

What the log does not keep is not undone: `version`, the times of a row and who wrote it last, and the rows of parts
that went with their whole. Parts that came with an event of their whole (`Policy.unsaid`) are known by the time that
they share with it.

Decided in D-graph-15 (ARCHITECTURE.md).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, CTE, BigInteger, Integer, Table, Text, bindparam, column, literal_column, table, text
from sqlalchemy.dialects.postgresql import JSONB

from crm_graph.graph.changes.personal import OPENED, reads_personal
from crm_graph.graph.records.record import Record
from crm_graph.graph.records.registry import Registry
from crm_graph.permissions.policy import UUID

BEFORE, AFTER = "before", "after"
_LATER = """
    SELECT entity, entity_id, xid, seq, at, {changes} AS changes, (xid, seq) = (CAST(:xid AS xid8), :seq) AS this,
        type = ANY(:creating) AS born, type = ANY(:removing) AS gone{unopened}
    FROM event
    WHERE workspace_id = :workspace_id AND (xid, seq) >= (CAST(:xid AS xid8), :seq) AND entity IN ({entities})
    ORDER BY event.xid, seq LIMIT :undone + 1
"""
_UNOPENED = ", personal IS NOT NULL AND NOT jsonb_exists(CAST(:opened AS jsonb), seq::text) AS unopened"
_OPENED = "changes || coalesce(CAST(:opened AS jsonb) -> seq::text, '{}'::jsonb)"
_OF_TABLE = """
    SELECT entity_id AS id, seq, this, born, gone, changes FROM later WHERE entity = '{entity}'
"""
_UNSAID = """
    UNION ALL SELECT part.id, seq, this, true, false, '{{}}'::jsonb
    FROM later JOIN {table} AS part
        ON part.workspace_id = :workspace_id AND part.{pointer} = later.entity_id AND part.created_at = later.at
    WHERE entity = '{whole}'
"""
_TOUCHED = "SELECT coalesce(array_agg(DISTINCT id), '{{}}') AS ids FROM {table}__later"
_IMAGE = """
    SELECT {image}, undone.born
    FROM (
        SELECT id, coalesce((array_agg(born ORDER BY seq) FILTER (WHERE {since}))[1], false) AS born,
            coalesce(bool_or(gone) FILTER (WHERE {since}), false) AS gone
        FROM {table}__later GROUP BY id
    ) AS undone
    LEFT JOIN (
        SELECT id, jsonb_object_agg(key, old) AS olds
        FROM (
            SELECT DISTINCT ON (one.id, change.key) one.id, change.key, change.value -> 0 AS old
            FROM {table}__later AS one CROSS JOIN jsonb_each(one.changes) AS change
            WHERE NOT one.born AND {since} AND change.value <> '[null, null]'
            ORDER BY one.id, change.key, one.seq
        ) AS earliest GROUP BY id
    ) AS values_before ON values_before.id = undone.id
    LEFT JOIN {table} AS stored ON stored.workspace_id = :workspace_id AND stored.id = undone.id
    CROSS JOIN LATERAL jsonb_populate_record(stored, jsonb_build_object('id', undone.id, 'workspace_id',
        CAST(:workspace_id AS uuid)) || coalesce(values_before.olds, '{{}}'::jsonb)) AS image
    WHERE stored.id IS NOT NULL OR undone.gone
"""
_WORLD = """
    SELECT {columns}
    FROM (
        SELECT {columns}, false AS touched, false AS born FROM {table} WHERE workspace_id = :workspace_id
        UNION ALL SELECT {columns}, true, born FROM {table}__image_{side}
    ) AS rows
    WHERE (rows.touched OR rows.id <> ALL ((SELECT ids FROM {table}__touched)::uuid[])) {born}
"""
_WIDE = """
    SELECT {columns} FROM {table} WHERE workspace_id = :workspace_id
    UNION ALL SELECT {columns} FROM {table}__image_before
    UNION ALL SELECT {columns} FROM {table}__image_after
"""
_BINDS = (
    bindparam("workspace_id", type_=UUID),
    bindparam("xid", type_=Text),
    bindparam("seq", type_=BigInteger),
    bindparam("undone", type_=Integer),
    bindparam("most", type_=Integer),
    bindparam("creating", type_=ARRAY(Text)),
    bindparam("removing", type_=ARRAY(Text)),
    bindparam("entity", type_=Text),
    bindparam("entity_id", type_=UUID),
    bindparam(OPENED, type_=JSONB),
)


def world(of: Table, names: Collection[str], side: str, *, born: bool) -> Any:
    """Return fresh rows of a table, with some of its columns, in the world before or after the event. Rows that are
    pointed to are there before they are `born`: with them the order of two transactions, which readers may see the
    other way round, is no matter."""
    columns = [column(each.name, each.type) for each in of.columns if each.name in names]
    return table(f"{of.name}__{side}{'_born' if born else ''}", *columns).alias()


def worlds(
    tables: Mapping[Table, Collection[str]], asked: Collection[tuple[Table, bool]], registry: Registry
) -> list[CTE]:
    """Return the common tables of the worlds of these tables, with some of their columns, each after those that it is
    made of; `asked` is which of them are asked for with what is to be born, or without. Their binds are
    `workspace_id`, the event's `xid` and `seq`, how many events may be `undone`, and the types of events that are
    `creating` rows and `removing` them."""
    records = {record.table.name: record for record in registry.records.values()}
    of = [records[each.name] for each in tables]
    entities = {record.name for record in of} | {_whole(record) for record in of if record.policy.unsaid}
    listed = ", ".join(f"'{name}'" for name in sorted(entities))
    changes, unopened = (_OPENED, _UNOPENED) if reads_personal(tables) else ("changes", "")
    found = [common_table("later", _LATER.format(entities=listed, changes=changes, unopened=unopened))]
    for record in of:
        names = [each.name for each in record.table.columns if each.name in tables[record.table]]
        found += _worlds_of(record, names, [born for born in (False, True) if (record.table, born) in asked])
    return found


def _worlds_of(record: Record, names: Sequence[str], asked: Sequence[bool]) -> Iterator[CTE]:
    of, columns = record.table.name, ", ".join(names)
    image = ", ".join(f"image.{name}" for name in names)
    later = _OF_TABLE.format(entity=record.name)
    if record.policy.unsaid:
        assert record.policy.parent is not None
        later += _UNSAID.format(table=of, pointer=record.policy.parent[1], whole=_whole(record))
    yield common_table(f"{of}__later", later)
    yield common_table(f"{of}__touched", _TOUCHED.format(table=of))
    for side, since in ((BEFORE, "true"), (AFTER, "NOT this")):
        yield common_table(f"{of}__image_{side}", _IMAGE.format(image=image, table=of, since=since))
        for born in asked:
            rows = _WORLD.format(columns=columns, table=of, side=side, born="" if born else "AND NOT rows.born")
            yield common_table(f"{of}__{side}{'_born' if born else ''}", rows, inlined=True)
    yield common_table(f"{of}__wide", _WIDE.format(columns=columns, table=of), inlined=True)


def _whole(record: Record) -> str:
    assert record.policy.parent is not None
    return record.policy.parent[0].type


def common_table(name: str, source: str, *, inlined: bool = False) -> CTE:
    """Return a common table: made once, or `inlined` where it is read, so that indexes serve. Without indentation:
    asyncpg keeps no statement prepared that is longer than 15 KiB."""
    binds = [each for each in _BINDS if re.search(f":{each.key}\\b", source)]
    made = text(" ".join(source.split())).bindparams(*binds).columns(literal_column("*"))
    return made.cte(name).prefix_with("NOT MATERIALIZED" if inlined else "MATERIALIZED", dialect="postgresql")
