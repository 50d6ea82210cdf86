"""All tables, and how what they say is carried out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from graphql import GraphQLField, GraphQLObjectType, GraphQLSchema, get_named_type

from crm_graph.graph.records.record import RightsSpec, WithheldSpec
from crm_graph.graph.writes import MANY_KEY, UPSERT_KEY
from tests.permissions.tables import catalog, customers, marketing, orders, sales, service, workspace
from tests.permissions.tables.table import ROW, Id, Refusal, Row, Table, Write
from tests.permissions.world import World

KEPT = ("Customer", "Contact", "Opportunity", "Order", "Product", "Campaign", "Ticket")


def _kept(table: Table) -> Table:
    """Return a table with what is done to every kept type: who may change a record archives it, and who may delete it
    brings it back."""
    if table.type not in KEPT:
        return table
    by_name = {each.name: each for each in table.writes}
    update, delete = by_name[f"update{table.type}"], by_name[f"delete{table.type}"]
    of_rows = [each for each in update.without if " to write " not in each.refusal.message]
    unkeyed = [name for name in update.tables if name != "person_key"]  # nothing of who it is changes
    archive = replace(update, input={"id": ROW}, without=of_rows, tables=unkeyed, samples={}, also={}, before="")
    gone = Refusal("NOT_FOUND", f"There is no such {table.type.lower()} in the recycle bin.", ("id",))
    restore = replace(
        delete,
        name=f"restore{table.type}",
        events=[f"{table.type}Restored"],
        given={**delete.given, "deleted_at": LONG_AGO},
        tables=[*unkeyed, *(["timer"] if table.type == "Ticket" else [])],  # the world's ticket is held
        without=[each if each.refusal.top else replace(each, refusal=gone) for each in delete.without],
        stranger=gone,
    )
    archived = replace(archive, name=f"archive{table.type}", events=[f"{table.type}Archived"])
    unarchived = replace(
        archive,
        name=f"unarchive{table.type}",
        events=[f"{table.type}Unarchived"],
        given={**archive.given, "archived_at": LONG_AGO},
    )
    return replace(table, writes=[*table.writes, archived, unarchived, restore])


LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
TABLES: tuple[Table, ...] = tuple(
    map(
        _kept,
        (
            *workspace.TABLES,
            *catalog.TABLES,
            *customers.TABLES,
            *sales.TABLES,
            *orders.TABLES,
            *marketing.TABLES,
            *service.TABLES,
        ),
    )
)
WRITES = [(table, write) for table in TABLES for write in table.writes]


_LOOKING_AFTER = frozenset({"assignTicket", "addAccountTeamMember"})
"""What names somebody else who is to look after a record: they must be able to see it."""


async def prepare(world: World, table: Table, write: Write) -> None:
    """Set what a table says is so before, at every place that it asks about."""
    if write.name in _LOOKING_AFTER:
        for place in ("team", "outside"):
            await world.become("sales_rep", place=place)
    if write.before:
        row = world.row(table.type, table.place) if table.record else world.row("Member", table.place)
        await world.graph.rows(write.before, row["workspace_id"], row["id"])
    places = {table.place, *(each.place or table.place for each in write.without)}
    if write.fresh:
        for place in places:
            await world.add(table.type, place)
    if write.given:
        for place in places:
            await world.put(table.type, place, **write.given)
    for other, columns in write.also.items():
        values = {
            name: world.row(value.type, value.place)["id"] if isinstance(value, Id) else value
            for name, value in columns.items()
        }
        await world.put(other.type, other.place, **values)


def many_of(core: GraphQLSchema) -> dict[str, str]:
    """Return the mutations of many by those of one."""
    assert core.mutation_type is not None
    fields = core.mutation_type.fields
    metadata = {name: each.extensions["strawberry-definition"].metadata for name, each in fields.items()}
    return {found[MANY_KEY]: name for name, found in metadata.items() if MANY_KEY in found}


def upserts_of(core: GraphQLSchema) -> dict[str, str]:
    """Return the mutations that change a record or make it, by those that change it."""
    assert core.mutation_type is not None
    fields = core.mutation_type.fields
    metadata = {name: each.extensions["strawberry-definition"].metadata for name, each in fields.items()}
    return {
        found[UPSERT_KEY]: name for name, found in metadata.items() if UPSERT_KEY in found and MANY_KEY not in found
    }


def mutation(world: World, write: Write, name: str = "") -> str:
    """Return the operation of a mutation, with all that its payload can tell; of another one by its `name`."""
    name = name or write.name
    field = _fields(world)[name]
    answer = _payload(world, field.type)
    return f"mutation ($input: {field.args['input'].type}) {{ {name}(input: $input) {answer} }}"


def mutation_of_many(world: World, name: str) -> str:
    """Return the operation of a mutation of many, with all that its payload can tell."""
    field = _fields(world)[name]
    payload = get_named_type(field.type)
    assert isinstance(payload, GraphQLObjectType)
    results = payload.fields["results"].type
    answer = f"{{ results {_payload(world, results)} errors {{ code }} }}"
    return f"mutation ($inputs: {field.args['inputs'].type}) {{ {name}(inputs: $inputs) {answer} }}"


def _fields(world: World) -> Mapping[str, GraphQLField]:
    mutation_type = world.graph.schema.core.mutation_type
    assert mutation_type is not None
    fields: Mapping[str, GraphQLField] = mutation_type.fields
    return fields


def _payload(world: World, type_: Any) -> str:
    parts = []
    for name, each in get_named_type(type_).fields.items():
        named = get_named_type(each.type)
        if name == "errors":
            parts.append("errors { code message field }")
        elif named.name in world.graph.schema.registry.records:
            parts.append(f"{name} {{ {selection(world, named.name)} }}")
        else:
            parts.append(f"{name} {{ __typename }}" if hasattr(named, "fields") else name)
    return f"{{ {' '.join(parts)} }}"


def selection(world: World, type_name: str) -> str:
    """Return a selection of all fields of a type."""
    fields = []
    for name, (_, spec) in world.graph.schema.registry.records[type_name].specs().items():
        if isinstance(spec, RightsSpec | WithheldSpec):  # of the viewer, and no row's
            continue
        core = world.graph.schema.core.type_map[type_name].fields[name]  # type: ignore[attr-defined]
        named = get_named_type(core.type)
        inner = {"Money": " { amount currency }"}.get(named.name, " { id }" if hasattr(named, "fields") else "")
        if not named.name.endswith(("Connection", "Measures")):
            fields.append(f"{name}{inner}")
    return " ".join(fields)


def input_of(world: World, table: Table, write: Write, place: str) -> dict[str, Any]:
    """Return what is sent: ids in the place of their names; to create, a row takes an id of its own."""

    def filled(value: Any) -> Any:
        match value:
            case Row():
                return world.id(table.type, place) if write.verb != "create" else new_id_like(world, table.type)
            case Id(type_name, of_place):
                return world.id(type_name, of_place)
            case dict():
                return {name: filled(item) for name, item in value.items()}
            case list():
                return [filled(item) for item in value]
        return value

    made = filled(dict(write.input))
    assert isinstance(made, dict)
    return made


def new_id_like(world: World, type_name: str) -> str:
    """Return an unused id of a type."""
    prefix = world.graph.schema.registry.records[type_name].prefix
    return f"{prefix}_019a{'0' * 27}1"
