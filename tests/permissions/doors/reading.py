"""The doors through which records are read: by id, as a node, across edges, as lists and their counts."""

from __future__ import annotations

from graphql import get_named_type

from crm_graph.graph.records.record import Record
from tests.permissions.doors.visit import Visit, with_ids
from tests.permissions.matrix import ELSEWHERE, PLACES
from tests.permissions.world import EVERYWHERE


def roots(visit: Visit, record: Record) -> dict[str, str]:
    """Return the fields of Query that lead to a record: `one`, `many` and `aggregate`, those there are."""
    query = visit.world.graph.schema.core.query_type
    assert query is not None
    kinds = {record.name: "one", f"{record.name}Connection": "many", f"{record.name}Aggregate": "aggregate"}
    found = {}
    for name, each in query.fields.items():
        kind = kinds.get(get_named_type(each.type).name)
        if kind is not None and (kind != "one" or "id" in each.args):
            found[kind] = name
    return found


async def leaf(visit: Visit) -> None:
    """`customer(id:) { ... }`: every field of a row in every place, and which were withheld."""
    for record in visit.world.records:
        name = roots(visit, record).get("one")
        if name is None:
            continue
        selection = visit.selection(record)
        texts = [f'{name}(id: "{visit.world.id(record.name, place)}") {{ {selection} }}' for place in _places(record)]
        body = await visit.ask("{ " + " ".join(f"a{index}: {text}" for index, text in enumerate(texts)) + " }")
        for index, place in enumerate(_places(record)):
            found, wanted = body["data"][f"a{index}"], visit.row(record, place)
            visit.expect("leaf", f"{record.name} {place}", found, wanted, len(visit.fields(record)))
        _expect_withheld(visit, "leaf", record, body)


async def node(visit: Visit) -> None:
    """`node(id:)` and `nodes(ids:)`: rows of every type and place in one document."""
    world = visit.world
    fragments = " ".join(
        f"... on {record.name} {{ {visit.selection(record, record.name)} }}" for record in world.records
    )
    rows = [(record, place) for record in world.records for place in _places(record)]
    wanted = [visit.row(record, place, record.name) for record, place in rows]
    source = f"query ($ids: [ID!]!) {{ nodes(ids: $ids) {{ {fragments} }} }}"
    ids = [world.id(record.name, place) for record, place in rows]
    answers: list[object] = []
    found: set[str] = set()
    for start in range(0, len(ids), 100):
        body = await visit.ask(source, {"ids": ids[start : start + 100]})
        answers += body["data"]["nodes"]
        found |= set(body.get("extensions", {}).get("withheld", ()))
    for index, (record, place) in enumerate(rows):
        tried = len(visit.fields(record))
        visit.expect("nodes", f"{record.name} {place}", answers[index], wanted[index], tried)
    readable = {record.name for record in world.records if visit.grants(record.name).allows("read")}
    kept_back = {each for record in world.records for each in visit.withheld(record)}
    visit.expect(
        "nodes",
        "withheld",
        {each for each in found if each.partition(".")[0] in readable},
        {each for each in kept_back if each.partition(".")[0] in readable},
    )
    source = f"query ($id: ID!) {{ node(id: $id) {{ {fragments} }} }}"
    for index, (record, place) in enumerate(rows):
        body = await visit.ask(source, {"id": ids[index]})
        tried = len(visit.fields(record))
        visit.expect("node", f"{record.name} {place}", body["data"]["node"], wanted[index], tried)


async def edge(visit: Visit) -> None:
    """Every edge of every record, from a parent in every place: the fields of what lies beyond, in lists counted."""
    page = "totalCount nodes {{ {0} }} edges {{ node {{ id }} }} pageInfo {{ hasNextPage }}"
    for record in visit.world.records:
        if not record.edges:
            continue
        selections = []
        for index, (name, each) in enumerate(record.edges.items()):
            selection = visit.selection(each.target)
            inner = f"(first: 200) {{ {page.format(selection)} }}" if each.many else f" {{ {selection} }}"
            selections.append(f"e{index}: {name}{inner}")
        beyond = f"... on {record.name} {{ {' '.join(selections)} }}"
        source = f"query ($id: ID!) {{ found: {visit.by_id(record)} {{ {beyond} }} }}"
        for place in _places(record):
            body = await visit.ask(source, {"id": visit.world.id(record.name, place)})
            found, seen = body["data"]["found"], visit.sees(record.name, place)
            visit.expect("edge", f"{record.name} {place}", found is not None, seen)
            for index, (name, each) in enumerate(record.edges.items() if seen and found else ()):
                what = f"{record.name}.{name} from {place}"
                wanted = _beyond(visit, record, name, place)
                visit.expect("edge", what, found[f"e{index}"], wanted, len(visit.fields(each.target)))


def _beyond(visit: Visit, record: Record, name: str, place: str) -> object:
    """Return what lies beyond an edge of a row that may be seen."""
    found = record.edges[name]
    target, key = found.target, visit.world.row(record.name, place)
    if not found.many:
        if visit.value(record, name, place) is None:
            return None
        return visit.row(target, visit.place_of(target.name, key[found.column]))
    rows = [
        visit.row(target, other)
        for other in sorted(PLACES, key=lambda other: str(visit.world.row(target.name, other)["id"]))
        if visit.sees(target.name, other) and visit.world.row(target.name, other)[found.column] == key["id"]
    ]
    edges = [{"node": {"id": row["id"]}} for row in rows]
    return {"totalCount": len(rows), "nodes": rows, "edges": edges, "pageInfo": {"hasNextPage": False}}


async def count(visit: Visit) -> None:
    """Lists of everything: which rows are in them, how many are counted, and that no page hints at more."""
    for record in visit.world.records:
        name = roots(visit, record).get("many")
        if name is None:
            continue
        ids = await _visible_ids(visit, record)
        page = f"first: {max(len(ids), 1)}"
        selection = "{ totalCount nodes { id } pageInfo { hasNextPage hasPreviousPage } }"
        body = await visit.ask(f"{{ all: {name}({page}) {selection} }}")
        wanted = {
            "totalCount": len(ids),
            "nodes": [{"id": id_} for id_ in ids],
            "pageInfo": {"hasNextPage": False, "hasPreviousPage": False},
        }
        visit.expect("count", f"all {name}", body["data"]["all"], wanted)
        ids_in = ", ".join(f'"{id_}"' for id_ in with_ids(visit.world, record.name, EVERYWHERE))
        body = await visit.ask(f"{{ ours: {name}(where: {{id: {{in: [{ids_in}]}}}}) {{ totalCount }} }}")
        seen = [place for place in PLACES if visit.sees(record.name, place)]
        visit.expect("count", f"{name} of the world", body["data"]["ours"], {"totalCount": len(seen)}, len(PLACES))
        await _count_in_aggregate(visit, record, ids_in, len(seen))


async def _count_in_aggregate(visit: Visit, record: Record, ids: str, seen: int) -> None:
    name = roots(visit, record).get("aggregate")
    if name is not None:
        body = await visit.ask(f"{{ ours: {name}(where: {{id: {{in: [{ids}]}}}}) {{ groups {{ count }} }} }}")
        visit.expect("count", f"{name} of the world", body["data"]["ours"], {"groups": [{"count": seen}]})


async def _visible_ids(visit: Visit, record: Record) -> list[str]:
    """Return the ids of all rows that the role may see, in their order: by plain SQL. Demo data is nobody's."""
    row = visit.world.row(record.name)
    query = f"SELECT id FROM {record.table.name} WHERE workspace_id = $1 ORDER BY id"
    everything = [found["id"] for found in await visit.world.graph.rows(query, row["workspace_id"])]
    of_places = {visit.world.row(record.name, place)["id"]: place for place in PLACES}
    return [f"{record.prefix}_{id_}" for id_ in everything if visit.sees(record.name, of_places.get(id_, ELSEWHERE))]


def _places(record: Record) -> tuple[str, ...]:
    """Return the places to look at; the rows of one workspace are one row."""
    return ("own", "foreign") if record.name == "Workspace" else EVERYWHERE


def _expect_withheld(visit: Visit, door: str, record: Record, body: dict[str, object]) -> None:
    """Expect that just the fields that are kept back on some row are said to be: of types that may be read at all."""
    extensions = body.get("extensions", {})
    assert isinstance(extensions, dict)
    if visit.grants(record.name).allows("read"):
        visit.expect(door, f"withheld of {record.name}", set(extensions.get("withheld", ())), visit.withheld(record))
