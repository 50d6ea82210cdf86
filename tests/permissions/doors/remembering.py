"""The doors to what was: records as of a time, and the history of a record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from crm_graph.db.history import versions_of
from crm_graph.graph.records.record import MoneySpec, Record, ToOneSpec
from tests.permissions.doors.reading import roots
from tests.permissions.doors.visit import Visit, with_ids
from tests.permissions.matrix import PLACES, Shown
from tests.permissions.world import EVERYWHERE
from tests.support.projected import begin


async def as_of(visit: Visit) -> None:
    """Rows in every place, lists and measures, as of a time since when nothing has changed: as they are."""
    await begin(visit.world.graph)
    at = f'asOf: "{datetime.now(UTC).isoformat()}"'
    for record in _kept(visit):
        named = roots(visit, record)
        ids = ", ".join(f'"{id_}"' for id_ in with_ids(visit.world, record.name, EVERYWHERE))
        where, selection = f"where: {{id: {{in: [{ids}]}}}}", visit.selection(record)
        texts = [
            f'a{index}: {named["one"]}(id: "{visit.world.id(record.name, place)}", {at}) {{ {selection} }}'
            for index, place in enumerate(EVERYWHERE)
        ]
        texts.append(f"many: {named['many']}({where}, {at}) {{ totalCount }}")
        texts.append(f"measured: {named['aggregate']}({where}, {at}) {{ groups {{ count }} }}")
        data = (await visit.ask(f"{{ {' '.join(texts)} }}"))["data"]
        tried = len(visit.fields(record))
        for index, place in enumerate(EVERYWHERE):
            visit.expect("as of", f"{record.name} {place}", data[f"a{index}"], visit.row(record, place), tried)
        seen = sum(visit.sees(record.name, place) for place in PLACES)
        visit.expect("as of", f"many {record.name}", data["many"], {"totalCount": seen})
        visit.expect("as of", f"measured {record.name}", data["measured"], {"groups": [{"count": seen}]})


async def history(visit: Visit) -> None:
    """The history of rows in every place, of each of which all that can be empty was: what came, of what is shown."""
    graph = visit.world.graph
    await begin(graph)
    source = "history { totalCount nodes { event changes { field from to } } }"
    for record in _kept(visit):
        await _was_empty(visit, record)
        named = roots(visit, record)
        texts = [
            f'a{index}: {named["one"]}(id: "{visit.world.id(record.name, place)}") {{ {source} }}'
            for index, place in enumerate(EVERYWHERE)
        ]
        data = (await visit.ask(f"{{ {' '.join(texts)} }}"))["data"]
        for index, place in enumerate(EVERYWHERE):
            found, wanted = data[f"a{index}"], _changes(visit, record, place)
            if found is not None:
                for node in found["history"]["nodes"]:
                    node["changes"].sort(key=lambda change: change["field"])
            nodes = [{"event": "Told", "changes": wanted}] if wanted else []
            expected = {"history": {"totalCount": len(nodes), "nodes": nodes}}
            seen = visit.sees(record.name, place)
            what = f"{record.name} {place}"
            visit.expect("history", what, found, expected if seen else None, len(visit.fields(record)))


def _kept(visit: Visit) -> list[Record]:
    return [record for record in visit.world.records if record.keeps_history]


def _emptied(record: Record) -> list[str]:
    """Return the columns that say nothing of where a row stands, and may be empty."""
    pointing = {spec.column for _, spec in record.specs().values() if isinstance(spec, ToOneSpec)}
    kept = {"archived_at", "deleted_at", "created_by_id", "updated_by_id", *pointing}
    return [column.name for column in record.table.columns if column.nullable and column.name not in kept]


async def _was_empty(visit: Visit, record: Record) -> None:
    """Give each row a version before the one that it has, in which all that can be empty was."""
    versions = versions_of(record.table)
    assert versions is not None
    emptied = {*_emptied(record)}
    values = {column.name: "NULL" if column.name in emptied else column.name for column in versions.c}
    values |= {"valid_from": "valid_from - interval '1 day'", "valid_to": "valid_from"}
    names = ", ".join(values)
    await visit.world.graph.rows(
        f"INSERT INTO {versions.name} ({names}) SELECT {', '.join(values.values())} FROM {versions.name}"
    )
    await visit.world.graph.rows(f"UPDATE {versions.name} SET told_as = 'Told' WHERE valid_to = 'infinity'")


def _changes(visit: Visit, record: Record, place: str) -> list[dict[str, Any]]:
    """Return what changed of a row, of what is shown of it."""
    emptied, row = {*_emptied(record)}, visit.world.row(record.name, place)
    found = []
    for name in visit.fields(record):
        each = record.columns[name]
        if each.column not in emptied or row[each.column] is None:
            continue
        if visit.shown(record.name, name, place) > Shown.NONE:
            found.append({"field": name, "from": None, "to": _text(record, name, visit.value(record, name, place))})
    return sorted(found, key=lambda change: change["field"])


def _text(record: Record, name: str, value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(record.specs()[name][1], MoneySpec):
        return f"{value['amount']} {value['currency']}"
    return str(value).lower() if isinstance(value, bool) else str(value)
