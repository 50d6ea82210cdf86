"""The door of the change feed: what it tells of a change of every row of every type."""

from __future__ import annotations

from crm_graph.graph.changes.positions import scope_of, seal_position
from crm_graph.kernel.cursor import LogCursor
from tests.permissions.doors.leaving import change_every_row, changed
from tests.permissions.doors.visit import Visit
from tests.permissions.matrix import PLACES


async def feed(visit: Visit) -> None:
    """`changes`: of each type the rows that may be seen, and of them what may be seen."""
    context = await visit.world.graph.engine.contexts.read(visit.claims)
    scope = scope_of(context.access, context.viewer)
    after = seal_position(context.sealer, context.viewer, LogCursor(0, 0), scope)
    for record in visit.world.records:
        node = f"... on {record.name} {{ {visit.selection(record)} }}"
        source = (
            "query ($after: Cursor, $first: Int) {"
            f' changes(after: $after, types: ["{record.name}"], first: $first) {{'
            f" resync nodes {{ kind type recordId changedFields node {{ {node} }} }} }} }}"
        )
        async with visit.world.undone():
            await change_every_row(visit, record)
            variables = {"after": after, "first": len(PLACES)}
            answer = (await visit.world.graph.data(source, variables, claims=visit.claims))["changes"]
        wanted = [
            {
                "kind": "UPDATED",
                "type": record.name,
                "recordId": visit.world.id(record.name, place),
                "changedFields": changed(visit, record),
                "node": visit.row(record, place),
            }
            for place in reversed(PLACES)
            if visit.sees(record.name, place)
        ]
        found = [{**each, "changedFields": set(each["changedFields"])} for each in answer["nodes"]]
        visit.expect("feed", record.name, found, wanted, len(visit.fields(record)) * len(PLACES))
        visit.expect("feed", f"{record.name} resync", answer["resync"], [])
