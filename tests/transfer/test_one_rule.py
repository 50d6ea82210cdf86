"""One rule at every door: what a mutation takes, a mutation of many and a file take, and store alike.

The cases are values of single columns and, beyond those, of several at once; what each door makes of a case is compared
with the others, and with nothing else. `ONE_RULE_CASES=1000` tries more of them.
"""

from __future__ import annotations

import csv
import io
import os
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    get_named_type,
    get_nullable_type,
    is_list_type,
    is_non_null_type,
)

from crm_graph.cli.data.steps import SPECS
from crm_graph.db.base import HOUSEKEEPING, table_of
from crm_graph.db.sizes import Letters, size_of
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.kernel.naming import camel, pascal
from crm_graph.transfer.spec import Column, ImportSpec
from crm_graph.vault.columns import mark_of
from tests.support.graph import Graph
from tests.transfer.desk import SLUG, Desk

CASES = int(os.environ.get("ONE_RULE_CASES", "200"))
FEWER = {"stage": 80}
"""Of a pipeline's stages there may be a hundred."""
Case = Mapping[str, Any]
"""Values by the columns of the file, as the API takes them."""
Refusals = dict[int, str]
"""The column at fault, by the numbers of cases."""

TEXTS = (
    *("", " ", " \t\n\u3000", "\u00a0", "\u200b", "a", " a ", "\ta\n", "a\r\nb", "a\tb", "a;b", "=1+1", "'", '"', "\\"),
    *(
        "%_",
        "null",
        "NULL",
        "None",
        "true",
        "0",
        "-",
        "深圳市",
        "𝕏" * 3,
        "e\u0301",
        "\u202eabc",
        "\ufeffa",
        "\x7f",
        "\x01",
    ),
    *("x" * 499, "x" * 500, "x" * 501, "长" * 500, "长" * 501, "x" * 2_000, "x" * 2_001, "x" * 20_000, "x" * 20_001),
)
ITS_OWN = {
    ("opportunity", "opened_on"): "a file tells what happened elsewhere, and when that was opened is not known",
    ("stage", "position"): "a mutation moves the stages behind it, a file says where each stands",
}
"""Columns in which doors differ, and why."""
VALUES: Mapping[str, Sequence[Any]] = {
    "String": TEXTS,
    "Int": (-(2**31), -1000, -1, 0, 1, 2, 99, 100, 101, 1000, 2**31 - 1),
    "Boolean": (True, False),
    "Decimal": (
        *("0", "-0", "0.0", "1", "-1", "0.0001", "-0.0001", "99.9999", "100", "100.0001", "101", "12.50", "000012"),
        *("0.00001", "-0.00001", "1.00004999", "1.50000", "0.12345678"),
        *("99999999999999.9999", "-99999999999999.9999", "99999999999999", "10000000000000", "0.1000"),
    ),
    "Date": ("1900-01-01", "1999-12-31", "2000-02-29", "2026-11-30", "2199-12-31"),
    "DateTime": (
        *("1900-01-01T00:00:00Z", "2026-11-30T09:30:00+08:00", "2026-11-30T09:30:00.123456789Z"),
        *("2026-11-30T09:30:00.1Z", "2199-12-31T23:59:59.999999Z", "2000-02-29T12:00:00-05:30"),
    ),
    "Currency": ("USD", "CNY", "JPY", "KWD", "XXX"),
}


def input_of(schema: BuiltSchema, spec: ImportSpec) -> GraphQLInputObjectType | None:
    found = schema.core.type_map.get(f"Create{pascal(spec.entity)}Input")
    return found if isinstance(found, GraphQLInputObjectType) else None


def field_of(column: Column) -> str:
    return camel(column.stored or column.name)


def fields_of(schema: BuiltSchema, spec: ImportSpec) -> dict[str, tuple[str, Sequence[Any]]]:
    """Return the field of the input behind each column of a file that both have, with values to try."""
    input_ = input_of(schema, spec)
    assert input_ is not None
    found = {}
    for column in spec.columns:
        named = input_.fields.get(field_of(column))
        if named is None or column.target is not None or column.verbs or is_list_type(get_nullable_type(named.type)):
            continue
        if (spec.entity, column.name) in ITS_OWN:
            continue
        type_ = get_named_type(named.type)
        values = tuple(type_.values) if isinstance(type_, GraphQLEnumType) else VALUES.get(type_.name, ())
        size = size_of(table_of(spec.model).c[column.stored]) if column.stored else None
        if isinstance(size, Letters) and type_.name == "String":
            values = (*values, "字" * size.at_most, "y" * (size.at_most + 1))
        if values:
            found[column.name] = field_of(column), values
    return found


def cases_of(schema: BuiltSchema, spec: ImportSpec) -> list[Case]:
    """Return `CASES` cases: every value by itself as far as they go, then several at once."""
    fields = fields_of(schema, spec)
    keys = {*(name for key in (*spec.matches, *spec.unique) for name in key)}
    for name in keys & fields.keys():  # rows of files are told apart by them: a file that has one has it in each row
        field, values = fields[name]
        fields[name] = field, [value for value in values if str(value).strip()]
    single: list[Case] = [{name: value} for name, (_, values) in fields.items() for value in values]
    dice = random.Random(spec.entity)
    count = min(CASES, FEWER.get(spec.entity, CASES))
    if len(single) > count:
        return dice.sample(single, count)
    usual = sorted(fields.keys() - keys)

    def several() -> Case:
        chosen = dice.sample(usual, min(len(usual), dice.randint(2, 4)))
        return {name: dice.choice(fields[name][1]) for name in chosen}

    return [*single, *(several() for _ in range(count - len(single) if usual else 0))]


def written(value: Any) -> str:
    """Return a value as the text of a cell."""
    if isinstance(value, list):
        return ";".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


async def base_of(desk: Desk, schema: BuiltSchema, spec: ImportSpec) -> dict[str, Any]:
    """Return what a new row needs besides a case, by the columns of the file; references are ids of the API."""
    found: dict[str, Any] = {}
    input_ = input_of(schema, spec)
    assert input_ is not None
    for column in spec.columns:
        named = input_.fields.get(field_of(column))
        if named is None or not (column.required or is_non_null_type(named.type)):
            continue
        if column.target is not None:
            table, workspace = table_of(column.target.model).name, desk.workspace_id
            id_ = await desk.value(f"SELECT id FROM {table} WHERE workspace_id = $1 ORDER BY id LIMIT 1")
            assert id_ is not None, f"{workspace} has no {table}"
            found[column.name] = f"{column.target.prefix}_{str(id_).replace('-', '')}"
            continue
        type_ = get_named_type(named.type)
        if is_list_type(get_nullable_type(named.type)):
            found[column.name] = ["sales_rep"]
        elif isinstance(type_, GraphQLEnumType):
            found[column.name] = next(iter(type_.values))
        else:
            found[column.name] = 1 if type_.name == "Int" else VALUES[type_.name][-1]
    return found


def unlike(spec: ImportSpec, base: dict[str, Any], number: int) -> dict[str, Any]:
    """Return what a row needs, with a name and keys of its own."""
    own = {name: f"{name} {number}" for name in ("name", "subject", "sku", "external_id") if spec.column(name)}
    own |= {"email": f"a{number}@desk.example"} if "email" in base else {}
    return {**base, **own, **({"position": 1000 + number} if spec.entity == "stage" else {})}


async def rows_of(desk: Desk, spec: ImportSpec, seen: set[Any]) -> list[dict[str, Any]]:
    """Return the new rows in the order in which they were made, without what differs by itself."""
    table = table_of(spec.model).name
    rows = await desk.database.one.connection.fetch(
        f"SELECT * FROM {table} WHERE workspace_id = $1 ORDER BY id", desk.workspace_id
    )
    new = [dict(row) for row in rows if row["id"] not in seen]
    seen.update(row["id"] for row in rows)
    hidden = {*HOUSEKEEPING, "number", *(name for of, name in ITS_OWN if of == spec.entity)}
    hidden |= {column.name for column in table_of(spec.model).c if mark_of(column) or column.name.endswith("_blind")}
    return [{name: value for name, value in row.items() if name not in hidden} for row in new]


def told(spec: ImportSpec, error: Mapping[str, Any]) -> str:
    """Return the column of the file that the path of a payload's error names."""
    path = error["field"]
    return next((column.name for column in spec.columns if path and field_of(column) == path[0]), ".".join(path))


def is_instant(value: Any) -> bool:
    """Return whether a value is a time, which is another one whenever it is the time of a row's making."""
    return isinstance(value, datetime) or (isinstance(value, str) and len(value) > 18 and value[10] == "T")


class Doors:
    """The doors of an entity: each is tried in an empty workspace, and leaves nothing behind."""

    def __init__(self, desk: Desk, schema: BuiltSchema, spec: ImportSpec, base: dict[str, Any]) -> None:
        self.desk, self.spec = desk, spec
        self.graph = Graph(schema, desk.database)
        self.cases = cases_of(schema, spec)
        self.name = pascal(spec.entity)
        called = schema.registry.records[self.name].called
        self.payload = f"{called} {{ id }} errors {{ code field message }}"
        self.sent = [{**unlike(spec, base, number), **case} for number, case in enumerate(self.cases)]
        self.by_field = {column.name: field_of(column) for column in spec.columns}
        mutation = schema.core.mutation_type
        assert mutation is not None
        plural = schema.registry.records[self.name].plural.title().replace(" ", "")
        self.of_many = f"create{plural}" if f"create{plural}" in mutation.fields else None

    async def tried(self, door: Callable[[], Awaitable[Refusals]]) -> tuple[Refusals, list[dict[str, Any]]]:
        """Return what a door refuses, and the rows that it makes."""
        before: set[Any] = set()
        await rows_of(self.desk, self.spec, before)
        transaction = self.desk.database.one.connection.transaction()
        await transaction.start()
        try:
            return await door(), await rows_of(self.desk, self.spec, before)
        finally:
            await transaction.rollback()

    def inputs(self) -> list[dict[str, Any]]:
        return [{self.by_field[name]: value for name, value in row.items()} for row in self.sent]

    async def one_by_one(self) -> Refusals:
        type_ = f"Create{self.name}Input"
        source = f"mutation ($input: {type_}!) {{ create{self.name}(input: $input) {{ {self.payload} }} }}"
        claims, refused = await self.graph.claims("admin", SLUG), {}
        for number, input_ in enumerate(self.inputs()):
            (answer,) = (await self.graph.data(source, {"input": input_}, claims=claims)).values()
            if answer["errors"]:
                refused[number] = told(self.spec, answer["errors"][0])
        return refused

    async def many(self) -> Refusals:
        source = (
            f"mutation ($inputs: [Create{self.name}Input!]!) {{"
            f" {self.of_many}(inputs: $inputs, onError: REJECT_FAILED) {{ results {{ {self.payload} }} }} }}"
        )
        claims = await self.graph.claims("admin", SLUG)
        (answer,) = (await self.graph.data(source, {"inputs": self.inputs()}, claims=claims)).values()
        results = enumerate(answer["results"])
        return {number: told(self.spec, each["errors"][0]) for number, each in results if each["errors"]}

    async def file(self) -> Refusals:
        names = list(dict.fromkeys(name for row in self.sent for name in row))
        file = io.StringIO(newline="")
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([written(row[name]) if name in row else "" for name in names] for row in self.sent)
        report = await self.desk.load(self.spec.entity, file.getvalue(), skip_errors=True)
        refused: dict[int, str] = {}
        for error in report.errors:
            refused.setdefault(error.row - 2, error.column)
        return refused


@pytest.mark.parametrize("entity", [spec.entity for spec in SPECS])
async def test_the_same_value_has_the_same_verdict_at_every_door(desk: Desk, schema: BuiltSchema, entity: str) -> None:
    spec = next(each for each in SPECS if each.entity == entity)
    await desk.load("customer", "name\nFirst\n")
    doors = Doors(desk, schema, spec, await base_of(desk, schema, spec))
    refused, made = await doors.tried(doors.one_by_one)
    unlike_it = []
    for door in (doors.many, doors.file):
        if door == doors.many and doors.of_many is None:
            continue
        judged, rows = await doors.tried(door)
        for number, case in enumerate(doors.cases):
            said = refused.get(number), judged.get(number)
            if said[0] != said[1] and (len(case) == 1 or None in said):  # of several, each door names its first
                unlike_it.append(f"{door.__name__}: {case!r:.200}: {refused.get(number)} but {judged.get(number)}")
        if judged.keys() == refused.keys():
            taken = [number for number in range(len(doors.cases)) if number not in refused]
            for number, one, other in zip(taken, made, rows, strict=True):
                differ = [
                    f"{name} {one[name]!r} but {other[name]!r}"
                    for name in one
                    if one[name] != other[name] and (name in doors.cases[number] or not is_instant(one[name]))
                ]
                if differ:
                    unlike_it.append(f"{door.__name__}: {doors.cases[number]!r:.200}: {'; '.join(differ):.200}")
    assert unlike_it == [], "\n".join(unlike_it)
