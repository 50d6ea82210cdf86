"""Bad values in every place of the schema: refused with their path, never INTERNAL, and nothing is written."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from graphql import GraphQLEnumType, GraphQLInputObjectType, get_named_type

from crm_graph.api.body import GraphQLRequest
from crm_graph.api.documents.cache import DocumentError
from crm_graph.graph.schema.build import BuiltSchema
from tests.permissions.doors.visit import ROOMY, Visit
from tests.permissions.tables.actions import WRITES, input_of, mutation, prepare
from tests.permissions.tables.table import Table, Write
from tests.permissions.world import World, make_world
from tests.security.bad_values import ABSURD, BAD, BAD_MEMBER, BAD_OBJECT
from tests.security.positions import Position, positions
from tests.support.bodies import assert_reveals_nothing
from tests.support.database import savepoint
from tests.support.graph import Graph
from tests.support.projected import begin
from tests.support.wire import post

CHUNKS = 4
REFUSED = {"BAD_USER_INPUT", "COST_LIMIT_EXCEEDED"}


@pytest.fixture(scope="module")
async def shared_world(database_url: str, schema: BuiltSchema) -> AsyncIterator[World]:
    """A world whose viewer may do everything: what is refused here is refused for what it is."""
    async with savepoint(database_url) as database:
        world = await make_world(Graph(schema, database, ROOMY))
        await begin(world.graph)
        await world.become("admin")
        yield world


@pytest.fixture
async def world(shared_world: World) -> AsyncIterator[World]:
    """The world as it was made."""
    async with shared_world.undone():
        yield shared_world


async def ask(world: World, source: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
    """Execute an operation of any kind, and return what it was answered first."""
    claims, engine = world.claims(), world.graph.engine
    if not source.startswith("subscription"):
        body = await world.graph.execute(source, variables, claims=claims)
    else:
        request = GraphQLRequest(source, None, variables or {})
        try:
            operation = await engine.admission.operation(request, claims)
            refusal, _ = await engine.subscribe(request, operation, lambda: claims)
        except DocumentError as error:
            refusal = engine.answers.refuse(error.errors, error.code)
        body = {"data": None} if refusal is None else refusal.body
    assert_reveals_nothing(body)
    return body


def bad_values(position: Position) -> Iterator[Any]:
    """Yield what a place must not take."""
    if isinstance(position.type, GraphQLInputObjectType):
        yield from BAD_OBJECT
    elif isinstance(position.type, GraphQLEnumType):
        yield from BAD_MEMBER
    else:
        yield from BAD[position.type.name]
    if not position.listed and position.type.name != "JSON":  # which a list is
        yield [[]]


def codes(body: dict[str, Any]) -> set[str]:
    """Return the codes of the errors of an answer."""
    return {error["extensions"]["code"] for error in body.get("errors", ())}


def test_every_scalar_has_its_bad_values(schema: BuiltSchema, world: World) -> None:
    found = {each.type.name for each in positions(world) if not hasattr(each.type, "fields")}
    enums = {name for name in found if isinstance(schema.core.type_map[name], GraphQLEnumType)}
    assert found - enums == set(BAD) == set(ABSURD)


def test_every_input_field_and_argument_has_its_position(schema: BuiltSchema, world: World) -> None:
    found = {each.coordinate for each in positions(world)}
    for name, type_ in schema.core.type_map.items():
        if isinstance(type_, GraphQLInputObjectType):
            assert {f"{name}.{field}" for field in type_.fields} <= found
    assert {f"Mutation.{write.name}(input:)" for _, write in WRITES} <= found


@pytest.mark.parametrize("chunk", range(CHUNKS))
async def test_bad_values_in_variables(world: World, chunk: int) -> None:
    """Each bad value in each place, in a variable: named with its path into the variable."""
    before, wrong, tried = await world.digest(), [], 0
    for position in positions(world)[chunk::CHUNKS]:
        for value in bad_values(position):
            body = await ask(world, position.operation(), {"v": position.filled(value)})
            tried += 1
            if codes(body) != {"BAD_USER_INPUT"} or body.get("data") is not None or not _names_path(position, body):
                wrong.append(f"{position.coordinate} = {_cut(value)}: {_cut(body)}")
    assert tried > 1_000
    assert not wrong, f"{len(wrong)} of {tried}:\n" + "\n".join(wrong[:30])
    assert await world.digest() == before


def _names_path(position: Position, body: dict[str, Any]) -> bool:
    """Return whether an error says where in its variable the value stands."""
    wanted = ["v", *position.path]
    found = [
        [step for step in error["extensions"].get("variable", []) if isinstance(step, str)] for error in body["errors"]
    ]
    return any(path[: len(wanted)] == wanted for path in found)


@pytest.mark.parametrize("chunk", range(CHUNKS))
async def test_bad_values_as_literals(world: World, chunk: int) -> None:
    """The same, spelled in the document, which is then not valid."""
    before, wrong = await world.digest(), []
    for number, position in enumerate(positions(world)[chunk::CHUNKS]):
        values = [value for value in bad_values(position) if _can_be_spelled(value)]
        value = values[number % len(values)]
        source = position.operation(spelled(position.filled(value)))
        body = await ask(world, source)
        if codes(body) != {"VALIDATION_FAILED"} or "data" in body or not body["errors"][0].get("locations"):
            wrong.append(f"{position.coordinate} = {_cut(value)}: {_cut(body)}")
    assert not wrong, "\n".join(wrong[:30])
    assert await world.digest() == before


def _can_be_spelled(value: Any) -> bool:
    text = repr(value)
    return "nan" not in text and "inf" not in text and "ud800" not in text and "__" not in text and len(text) < 10_000


def spelled(value: Any) -> str:
    """Return a value as a literal; text that is all capitals is the name of an enum's member."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {spelled(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(spelled, value)) + "]"
    if isinstance(value, str) and re.fullmatch("[A-Z_]+", value) and value != "NOPE":
        return value
    return json.dumps(value)


async def test_unpaired_surrogates_and_numbers_that_are_none_over_http(world: World) -> None:
    """Spelled in JSON, these are no JSON: refused before anything of the request is looked at."""
    authorization = {"authorization": f"Bearer {_token(world)}"}
    for value in (b'"a\\ud800b"', b"NaN", b"Infinity", b"-Infinity", b"1e400", b"9" * 5_000, b"1E+999999999"):
        query = b'{"query": "query ($v: String) { customers(after: $v) { totalCount } }", "variables": {"v": %b}}'
        status, body = await post(world.graph, query % value, authorization)
        assert_reveals_nothing(body)
        assert codes(body) in ({"PARSE_FAILED"}, {"BAD_USER_INPUT"}), (value[:20], body)
        assert status in {200, 400}
        assert body.get("data") is None


def _token(world: World) -> str:
    claims = world.claims()
    return world.graph.authority.issue(claims.workspace_id, claims.member_id, timedelta(hours=1))


@pytest.mark.parametrize(("table", "write"), WRITES, ids=lambda each: getattr(each, "name", ""))
async def test_absurd_values_in_mutations(world: World, table: Table, write: Write) -> None:
    """What a scalar takes and nobody means, in every field of every mutation: done, or refused in its payload with the
    path of a field, or refused as input; then nothing is written."""
    await prepare(world, table, write)
    source, base = mutation(world, write), input_of(world, table, write, table.place)
    wrong = []
    for position in positions(world):
        if not position.field.startswith(f"found: {write.name}(") or position.type.name not in ABSURD:
            continue
        for value in ABSURD[position.type.name]:
            async with world.undone():
                before = await world.digest()
                sent = position.filled([value] if position.listed else value)
                body = await ask(world, source, {"input": {**base, **sent} if isinstance(sent, dict) else sent})
                payload = (body.get("data") or {}).get(write.name)
                if codes(body) - REFUSED - {"FORBIDDEN"} or (payload is None and not body.get("errors")):
                    wrong.append(f"{position.coordinate} = {_cut(value)}: {_cut(body)}")
                refused = payload is None or payload["errors"]
                if refused and await world.digest() != before:
                    wrong.append(f"{position.coordinate} = {_cut(value)}: refused, and written")
                if payload and any(not error["field"] for error in payload["errors"]):
                    wrong.append(f"{position.coordinate} = {_cut(value)}: no path in {payload['errors']}")
    assert not wrong, "\n".join(wrong[:30])


async def test_absurd_values_in_queries(world: World) -> None:
    """The same in every argument of every query, and in every comparator of every filter and having."""
    before, wrong = await world.digest(), []
    for position in positions(world):
        if not position.operation().startswith("query") or position.type.name not in ABSURD:
            continue
        for value in ABSURD[position.type.name]:
            body = await ask(world, position.operation(), {"v": position.filled([value] if position.listed else value)})
            if codes(body) - REFUSED:
                wrong.append(f"{position.coordinate} = {_cut(value)}: {_cut(body)}")
    for name, record in world.graph.schema.registry.records.items():
        if record.name == "Workspace":
            continue
        wrong += [f"{name}: {each}" for each in await _absurd_filters(world, name)]
    assert not wrong, "\n".join(wrong[:30])
    assert await world.digest() == before


async def _absurd_filters(world: World, name: str) -> list[str]:
    """Compare every leaf of a record's filter with absurd values, all leaves in one filter, and return what broke."""
    visit = Visit(world, "admin", world.claims())
    filter_: Any = world.graph.schema.core.type_map[f"{name}Filter"]
    wrong = []
    for number in range(6):
        where: dict[str, Any] = {}
        for index, (field, each) in enumerate(filter_.fields.items()):
            comparator: Any = get_named_type(each.type)
            if not comparator.name.endswith("Comparator"):
                continue
            operators = [operator for operator in comparator.fields if operator != "isNull"]
            operator = operators[(number + index) % len(operators)]
            scalar = get_named_type(comparator.fields[operator].type).name
            values = ABSURD.get(
                scalar, (next(iter(getattr(world.graph.schema.core.type_map[scalar], "values", [""]))),)
            )
            value = values[number % len(values)]
            where[field] = {operator: [value, values[0]] if operator in {"in", "notIn"} else value}
        record = world.graph.schema.registry.records[name]
        answer = await visit.list(record, "own", where={"or": [{key: item} for key, item in where.items()]})
        if answer.code not in {None, *REFUSED}:
            wrong.append(f"{where}: {answer}")
    return wrong


async def test_deep_and_wide_inputs(world: World) -> None:
    """Nested and repeated without end: refused by a limit, with the path of the place."""
    deep: Any = {"name": {"eq": "x"}}
    for _ in range(200):
        deep = {"not": deep}
    wide = {"or": [{"name": {"eq": "x"}}] * 5_000}
    long = {"name": {"in": ["x"] * 5_000}}
    source = "query ($v: CustomerFilter) { customers(where: $v) { totalCount } }"
    for where in (deep, wide, long):
        body = await ask(world, source, {"v": where})
        assert codes(body) <= REFUSED
        assert body.get("data") is None


def _cut(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 300 else f"{text[:300]}…"
