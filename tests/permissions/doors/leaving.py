"""The doors through which data leaves otherwise: exports, subscriptions, and the schema cut to a role."""

from __future__ import annotations

import asyncio
from typing import Any

from graphql import GraphQLObjectType, GraphQLSchema, build_schema, get_named_type, is_required_input_field

from crm_graph.api.body import Answer, GraphQLRequest
from crm_graph.api.live.subscriptions import Subscriptions
from crm_graph.events.hub import Hub
from crm_graph.graph.exporting.exports import KNOWN_BY, ON_REQUEST, export_rows, plan_export
from crm_graph.graph.records.record import MeasuresSpec, Record, ToManySpec, WatchSpec, record_of, spec_of
from crm_graph.graph.schema.cut import cut_to_role
from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.errors import RequestError
from tests.permissions.doors.comparing import (
    Where,
    all_equal,
    conditions,
    governing,
    is_clear,
    is_refused,
    operand,
    order_keys,
    refusal,
)
from tests.permissions.doors.measuring import FUNCTIONS
from tests.permissions.doors.visit import MASKS, Visit
from tests.permissions.doors.writing import inputs, writable
from tests.permissions.matrix import LIKE, PLACES, Shown
from tests.permissions.tables.actions import WRITES


async def export(visit: Visit) -> None:
    """`crm-graph export`: the rows and columns of every type."""
    for record in visit.world.records:
        await _export(visit, record)


async def _export(visit: Visit, record: Record) -> None:
    graph = visit.world.graph
    context = await graph.engine.contexts.read(visit.claims)
    registry, access = graph.schema.registry, context.access
    grants = visit.grants(record.name)
    lacking = next((verb for verb in ("read", "export") if not grants.allows(verb)), None)
    if lacking is not None:
        message = f"Your roles do not allow to {lacking} {record.name} records."
        visit.expect("export", record.name, _refused(record, registry, access, None), ("FORBIDDEN", message))
        return
    headers = {key: _header(record, key) for key in record.columns}
    shown = {key: visit.shown(record.name, each.field) for key, each in record.columns.items()}
    seen = {headers[key] for key, level in shown.items() if level > Shown.NONE}
    for key, header in {header: (key, header) for key, header in reversed(headers.items())}.values():
        if header not in seen:
            message = f"Your roles do not allow to read {record.name}.{record.columns[key].field}."
            found = _refused(record, registry, access, [header])
            visit.expect("export", f"{record.name} column {header}", found, ("FORBIDDEN", message))
    unchosen = plan_export(record, registry, access, None)
    offered = {column.header for column in unchosen.columns}
    visit.expect("export", f"columns of {record.name}", offered, seen - ON_REQUEST, len(headers))
    everything = plan_export(record, registry, access, sorted(seen))
    connection = graph.database.one.connection
    rows = {
        values[sorted(seen).index("id")]: values
        async for values in export_rows(connection, everything, context.viewer, context.vault)
    }
    for place in PLACES:
        values = rows.get(visit.world.id(record.name, place))
        wanted_row = visit.sees(record.name, place) and grants.allows("export", place)
        visit.expect("export", f"{record.name} {place}", values is not None, wanted_row)
        for column, value in zip(everything.columns, values or (), strict=values is not None):
            wanted = _cell(visit, record, column.key, place)
            visit.expect("export", f"{record.name}.{column.key} {place}", value if value in wanted else [value], value)


def _header(record: Record, key: str) -> str:
    column = record.columns[key].column
    return column.removesuffix("_id") if key in record.edges else column


def _refused(record: Record, registry: Any, access: Any, chosen: list[str] | None) -> tuple[str, str] | None:
    try:
        plan_export(record, registry, access, chosen)
    except RequestError as error:
        return error.code, error.message
    return None


def _cell(visit: Visit, record: Record, key: str, place: str) -> list[Any]:
    """Return what a cell may be: of an edge, anything that names the row beyond it and may be read in clear."""
    column = record.columns[key]
    shown = visit.shown(record.name, column.field, place)
    if key in record.edges:
        beyond = visit.value(record, key, place)
        if beyond is None:
            return [None]
        target = record.edges[key].target
        there = visit.place_of(target.name, visit.world.row(record.name, place)[column.column])
        known = [name for name in KNOWN_BY if name in target.columns and is_clear(visit, target, name, there)]
        return [beyond["id"], *(operand(visit, target, name, there) for name in known)]
    if key == "id":
        return [visit.world.id(record.name, place)]
    value = visit.world.row(record.name, place)[column.column]
    if shown is Shown.NONE:
        return [None]
    return [MASKS[key](value) if shown is Shown.MASKED and key in MASKS else value]


async def subscription(visit: Visit) -> None:
    """A subscription's `where`, refused before it starts, and what it is told of a change of every row."""
    root = visit.world.graph.schema.core.subscription_type
    assert root is not None
    for name, field in root.fields.items():
        definition = field.extensions["strawberry-definition"]
        spec = spec_of(definition)
        assert isinstance(spec, WatchSpec)
        if spec.argument is not None:  # tests/events/test_boards.py, test_timelines.py
            continue
        record = record_of(spec.record)
        await _expect_changes(visit, name, record, {})
        leaves = conditions(visit, record)
        clear = [each for each in leaves if is_clear(visit, record, each.name, "own")]
        if clear:
            await _expect_changes(visit, name, record, all_equal(visit, record, clear, "own"), only="own")
        for each in leaves:
            if is_refused(visit, record, each.name):
                for operator, condition in each.every(operand(visit, record, each.name, "own")):
                    message = refusal("filter by", record, each.name)
                    await _expect_refused(visit, name, f"{each.name} {operator}", condition, message)
        for edge in record.edges.values():
            for each in conditions(visit, edge.target):
                if is_refused(visit, edge.target, each.name):
                    condition = each.eq(operand(visit, edge.target, each.name, "own"))
                    condition = {edge.name: {"some": condition} if edge.many else condition}
                    message = refusal("filter by", edge.target, each.name)
                    await _expect_refused(visit, name, f"{edge.name} {each.name}", condition, message)


async def _expect_refused(visit: Visit, name: str, what: str, where: Where, message: str) -> None:
    answers = await _subscribe(visit, name, "kind", where)
    found = [(error["extensions"]["code"], error["message"]) for each in answers for error in each.body["errors"]]
    visit.expect("subscription", f"{name} by {what}", found, [("FORBIDDEN", message)])


async def _expect_changes(visit: Visit, name: str, record: Record, where: Where, only: str | None = None) -> None:
    """Let every row be changed, the hidden ones first, and expect to be told of those that may be seen."""
    async with visit.world.undone():
        await change_every_row(visit, record)
        field = next(key for key, each in _members(visit, f"{record.name}Change") if each == record.name)
        selection = f"kind recordId changedFields {field} {{ {visit.selection(record)} }} actor {{ id }}"
        answers = await _subscribe(visit, name, selection, where)
        wanted = [
            {
                "kind": "UPDATED",
                "recordId": visit.world.id(record.name, place),
                "changedFields": changed(visit, record),
                field: visit.row(record, place),
                "actor": {"id": visit.world.id("Member", "team")} if visit.sees("Member", "team") else None,
            }
            for place in reversed(PLACES)
            if visit.sees(record.name, place) and only in {None, place}
        ]
        found = [{**each, "changedFields": set(each["changedFields"])} for each in _data(answers, name)]
        tried = len(visit.fields(record)) * len(PLACES)
        visit.expect("subscription", f"{name} where {where}", found, wanted, tried)


def _data(answers: list[Answer], name: str) -> list[Any]:
    return [each.body["data"][name] for each in answers]


async def change_every_row(visit: Visit, record: Record) -> None:
    """Write an event of every row, the hidden ones first, as if the first transaction of all had done it."""
    for place in reversed(PLACES):
        row = visit.world.row(record.name, place)
        changes = {column: [value, value] for column, value in row.items() if column not in {"workspace_id", "id"}}
        insert = (
            "INSERT INTO event (workspace_id, type, entity, entity_id, actor, at, changes, data, xid)"
            " VALUES ($1, $2, $3, $4, $5, now(), $6, '{}', '1'::xid8)"
        )
        actor = visit.world.row("Member", "team")["id"]
        keys = row["workspace_id"], f"{record.name}Updated", record.name, row["id"], actor
        await visit.world.graph.rows(insert, *keys, changes)


def changed(visit: Visit, record: Record) -> set[str]:
    """Return the fields that a change of every column tells of: those that may be read in clear on all rows seen."""
    seen = [place for place in PLACES if visit.sees(record.name, place)]
    return {
        each.key if each.key in LIKE.get(record.name, {}) else each.field
        for each in record.columns.values()
        if each.key != "id" and all(visit.shown(record.name, each.field, place) >= Shown.READ for place in seen)
    }


def _members(visit: Visit, type_name: str) -> list[tuple[str, str]]:
    found = visit.world.graph.schema.core.type_map[type_name]
    assert isinstance(found, GraphQLObjectType)
    return [(name, getattr(each.type, "name", "")) for name, each in found.fields.items()]


async def _subscribe(visit: Visit, name: str, selection: str, where: Where) -> list[Answer]:
    """Return the refusal of a subscription, or all that it is told of the events whose transaction is the first."""
    engine = visit.world.graph.engine
    engine.hub = hub = Hub(visit.world.graph.database)
    hub.position = LogCursor(1, 2**62)
    engine.subscriptions = Subscriptions(engine)
    root = visit.world.graph.schema.core.subscription_type
    assert root is not None
    types = f"$where: {root.fields[name].args['where'].type}, $after: Cursor"
    source = f"subscription ({types}) {{ {name}(where: $where, after: $after) {{ {selection} }} }}"
    request = GraphQLRequest(source, None, {"where": where, "after": LogCursor(0, 0).encode()})
    operation = await engine.admission.operation(request, visit.claims)
    refusal, stream = await engine.subscribe(request, operation, lambda: visit.claims)
    if refusal is not None:
        return [refusal]
    collecting = asyncio.create_task(_collect(stream))
    while not hub._feeds and not collecting.done():  # noqa: ASYNC110 - until it listens
        await asyncio.sleep(0.001)
    await hub.stop()  # ends the stream behind what the log has
    return await collecting


async def _collect(stream: Any) -> list[Answer]:
    return [answer async for _, answer in stream]


async def cut(visit: Visit) -> None:
    """The schema cut to a role: each coordinate is in it exactly if the role reaches it."""
    schema = visit.world.graph.schema
    found = build_schema(cut_to_role(schema, visit.role), assume_valid=True)
    for record in visit.world.records:
        readable = visit.grants(record.name).allows("read")
        for name, (_, spec) in record.specs().items():
            wanted = readable and _is_reachable(visit, record, name, many=isinstance(spec, ToManySpec))
            if isinstance(spec, MeasuresSpec):  # its records are read along the edge back
                edge = record.edges[name.removesuffix("Aggregate")]
                back = visit.shown(edge.target.name, edge.target.edge_along(edge.column))
                wanted = readable and _is_reachable(visit, record, edge.name, many=True) and back >= Shown.READ
            visit.expect("SDL", f"{record.name}.{name}", _has(found, record.name, name), wanted)
        if record.name == "Workspace":
            continue
        for leaf in conditions(visit, record):
            wanted = readable and _is_comparable(visit, record, leaf.name)
            visit.expect(
                "SDL", f"{record.name}Filter.{leaf.name}", _has(found, f"{record.name}Filter", leaf.name), wanted
            )
        for value, name in order_keys(visit, record).items():
            wanted = readable and visit.shown(record.name, name) >= Shown.READ
            visit.expect(
                "SDL", f"{record.name}OrderField.{value}", _has(found, f"{record.name}OrderField", value), wanted
            )
        for suffix in {"GroupKey", *FUNCTIONS.values()}:
            own = {*record.specs(), "currency"}
            for name in (each for each in _names(schema.core, f"{record.name}{suffix}") if each in own):
                summed = suffix == "Sums" and name in visit.grants(record.name).measured
                wanted = readable and (summed or _is_comparable(visit, record, name))
                visit.expect(
                    "SDL", f"{record.name}{suffix}.{name}", _has(found, f"{record.name}{suffix}", name), wanted
                )
                if suffix != "GroupKey":
                    having = f"{record.name}Having{suffix}"
                    visit.expect("SDL", f"{having}.{name}", _has(found, having, name), wanted)
    _expect_mutations(visit, found)


def _expect_mutations(visit: Visit, found: GraphQLSchema) -> None:
    schema = visit.world.graph.schema
    for table, each in ((table, each) for table, each in WRITES if table.record):
        grants = visit.grants(table.type)
        record = schema.registry.records[table.type]
        fields = writable(visit, each, record)
        refused = {name for name, field in fields.items() if visit.shown(record.name, field) < Shown.WRITE}
        needed = {name for name, field in inputs(visit, each).items() if is_required_input_field(field)}
        allowed = grants.allows(each.verb) and not refused & needed
        visit.expect("SDL", f"Mutation.{each.name}", _has(found, "Mutation", each.name), allowed)
        if not allowed:
            continue
        assert schema.core.mutation_type is not None
        input_type = get_named_type(schema.core.mutation_type.fields[each.name].args["input"].type).name
        for name in fields:
            visit.expect("SDL", f"{input_type}.{name}", _has(found, input_type, name), name not in refused)


def _is_reachable(visit: Visit, record: Record, name: str, *, many: bool) -> bool:
    edge = record.edges.get(name)
    if edge is not None and not visit.grants(edge.target.name).allows("read"):
        return False
    return many or visit.shown(record.name, name) > Shown.NONE


def _is_comparable(visit: Visit, record: Record, name: str) -> bool:
    edge = record.edges.get(governing(record, name))
    if edge is not None and not visit.grants(edge.target.name).allows("read"):
        return False
    return visit.shown(record.name, governing(record, name)) >= Shown.READ


def _names(schema: GraphQLSchema, type_name: str) -> list[str]:
    found = schema.type_map.get(type_name)
    return list(getattr(found, "fields", None) or getattr(found, "values", None) or ())


def _has(schema: GraphQLSchema, type_name: str, name: str) -> bool:
    return name in _names(schema, type_name)
