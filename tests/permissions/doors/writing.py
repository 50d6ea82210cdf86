"""The doors of mutations: what may be written, field by field, and what the payload shows of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    get_named_type,
    is_list_type,
    is_non_null_type,
    is_required_input_field,
)

from crm_graph.graph.records.record import ColumnSpec, MoneySpec, Record, ToOneSpec
from crm_graph.kernel.ids import split_id
from tests.permissions.doors.visit import Visit
from tests.permissions.matrix import Shown
from tests.permissions.tables import actions
from tests.permissions.tables.actions import input_of, mutation, prepare
from tests.permissions.tables.table import Id, Table, Write

NOT_FIELDS = frozenset(
    {
        *("id", "ifVersion", "roles", "reason", "resolution", "to", "lines", "public", "clientSecret", "overlapHours"),
        *("type", "format", "after", "into"),
    }
)
"""Inputs that are no field of the record, or that a named transition is about: the verb is what grants them."""


async def write(visit: Visit) -> None:
    """Every mutation: refused as a whole without its verbs, refused for each field without its level, and done for all
    fields together that are granted; then the payload shows what may be read of the row, and nothing more."""
    for table, each in actions.WRITES:
        if not table.record:
            continue
        record = visit.world.graph.schema.registry.records[table.type]
        async with visit.world.undone():
            await prepare(visit.world, table, each)
            needed = (record.name, each.verb), *each.needs
            if all(visit.grants(type_name).allows(verb) for type_name, verb in needed):
                await _write_fields(visit, table, each, record)
            else:
                await _expect_no_verb(visit, table, each)


async def _expect_no_verb(visit: Visit, table: Table, each: Write) -> None:
    sent = input_of(visit.world, table, each, table.place)
    body = await visit.ask(mutation(visit.world, each), {"input": sent})
    codes = [error["extensions"]["code"] for error in body.get("errors", ())]
    data = body["data"] and body["data"][each.name]
    visit.expect("mutation", f"{each.name} without {each.verb}", (codes, data), (["FORBIDDEN"], None))


async def _write_fields(visit: Visit, table: Table, each: Write, record: Record) -> None:
    fields = writable(visit, each, record)
    base = input_of(visit.world, table, each, table.place)
    refused = {
        name: field for name, field in fields.items() if visit.shown(record.name, field, table.place) < Shown.WRITE
    }
    of = inputs(visit, each)
    needed = {name: value for name, value in base.items() if name == "id" or is_required_input_field(of[name])}
    for name, field in refused.items():
        sent = {**needed, name: _sample(visit, each, record, name, table.place)}
        body = await visit.ask(mutation(visit.world, each), {"input": sent})
        told = [(error["extensions"]["code"], error["message"]) for error in body.get("errors", ())]
        first = next((other for key, other in refused.items() if key in needed and _told(record, other) in told), field)
        found = told, body["data"] and body["data"][each.name]
        visit.expect("mutation", f"{each.name} with {name}", found, ([_told(record, first)], None))
    if any(name in base for name in refused):
        return  # what it cannot be sent without is refused
    granted = [name for name in fields if name not in refused]
    more = {name: _sample(visit, each, record, name, table.place) for name in granted if name not in base}
    async with visit.world.undone():
        body = await visit.ask(mutation(visit.world, each), {"input": {**more, **base}})
        what = f"{each.name} with {', '.join(granted) or 'nothing else'}"
        payload = (body["data"] or {}).get(each.name) or {}
        failed = (body.get("errors", []), payload.get("errors"))
        visit.expect("mutation", what, failed, ([], []), max(len(granted), 1))
        if failed == ([], []):
            await _expect_payload(visit, table, each, {**more, **base}, payload)


def _told(record: Record, field: str) -> tuple[str, str]:
    return "FORBIDDEN", f"Your roles do not allow to write {record.name}.{field}."


async def _expect_payload(
    visit: Visit, table: Table, each: Write, sent: Mapping[str, Any], payload: Mapping[str, Any]
) -> None:
    """Expect a payload's record to be the row as it is now, as far as it may be seen, and the row to be as sent."""
    record, fields = visit.world.graph.schema.registry.records[table.type], {}
    for name in _records(visit, each, record):
        split = split_id(payload[name]["id"])
        assert split is not None
        visit.world.rows[record.name, table.place] = {**visit.world.row(record.name, table.place), "id": split[1]}
        await visit.world.read(record.name, table.place)
        wanted = visit.row(record, table.place)
        visit.expect("payload", f"{name} of {record.name}", payload[name], wanted, len(visit.fields(record)))
        row, fields = visit.world.row(record.name, table.place), writable(visit, each, record)
        for key in sent.keys() & fields.keys():
            found, wanted = _written(record, fields[key], row, sent[key])
            visit.expect("mutation", f"{each.name}: {record.name}.{key} as written", found, wanted)


def _records(visit: Visit, each: Write, record: Record) -> list[str]:
    """Return the fields of a mutation's payload that are the record."""
    core = visit.world.graph.schema.core
    assert core.mutation_type is not None
    payload = get_named_type(core.mutation_type.fields[each.name].type)
    assert isinstance(payload, GraphQLObjectType)
    return [name for name, field in payload.fields.items() if get_named_type(field.type).name == record.name]


def _written(record: Record, field: str, row: Mapping[str, Any], sent: Any) -> tuple[Any, Any]:
    """Return what a row has in a field, and what it should have."""
    match record.specs()[field][1]:
        case MoneySpec(amount, currency):
            if not isinstance(sent, dict):
                return row[amount], sent
            return (row[amount], row[currency]), (sent["amount"], sent["currency"])
        case ToOneSpec(column):
            split = split_id(sent)
            return row[column], split and split[1]
        case ColumnSpec(column, _):
            return row[column or record.columns[field].column], sent
    raise AssertionError(f"{record.name}.{field} cannot be written")


def writable(visit: Visit, each: Write, record: Record) -> dict[str, str]:
    """Return the fields of the record that a mutation's input writes, by the name in the input."""
    specs = record.specs()
    found = {}
    for name in inputs(visit, each):
        if name in NOT_FIELDS:
            continue
        field = name if name in specs else name.removesuffix("Id")
        assert field in specs, f"{each.name}: no field of {record.name} is behind the input {name!r}"
        found[name] = field
    return found


def inputs(visit: Visit, each: Write) -> Mapping[str, GraphQLInputField]:
    """Return the fields of a mutation's input."""
    core = visit.world.graph.schema.core
    assert core.mutation_type is not None
    found = get_named_type(core.mutation_type.fields[each.name].args["input"].type)
    assert isinstance(found, GraphQLInputObjectType)
    fields: Mapping[str, GraphQLInputField] = found.fields
    return fields


SAMPLES: Mapping[str, Any] = {
    "String": "Zebra",
    "Int": 4,
    "Boolean": True,
    "Decimal": "5",
    "Date": "2033-01-01",
    "DateTime": "2033-01-01T00:00:00Z",
    "Currency": "MRU",
    "MoneyInput": {"amount": "5", "currency": "MRU"},
}


def _sample(visit: Visit, each: Write, record: Record, name: str, place: str) -> Any:
    """Return a value that an input field takes."""
    if name in each.samples:
        given = each.samples[name]
        return visit.world.id(given.type, given.place) if isinstance(given, Id) else given
    type_ = inputs(visit, each)[name].type
    named = get_named_type(type_)
    if named.name == "ID":
        field = name if name in record.edges else name.removesuffix("Id")
        target = record.edges[field].target
        return visit.world.id(target.name, "own" if target is not record or place != "own" else "team")
    if isinstance(named, GraphQLEnumType):
        return next(iter(named.values))
    value = SAMPLES[named.name]
    if name == "email":
        value = f"zebra.{each.name.lower()}@example.com"
    elif name == "website":
        value = f"https://{each.name.lower()}.example"
    elif named.name == "String" and name != "description":
        value = f"{value} {each.name} {name}"
    listed = type_.of_type if is_non_null_type(type_) else type_
    return ["nextStep"] if is_list_type(listed) else value
