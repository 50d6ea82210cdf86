"""The runner of the tables: anonymous, member of another workspace, member without the right, member with it.

Each row of a table asserts the exact refusal, that no value of the record is anywhere in the answer, and, by plain SQL
over all tables, that nothing was written; the last one that just what should be written was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from graphql import get_named_type

from crm_graph.executor.results import OnError
from crm_graph.identity.tokens import Claims
from tests.permissions.matrix import MATRIX
from tests.permissions.tables.actions import (
    TABLES,
    WRITES,
    input_of,
    many_of,
    mutation,
    mutation_of_many,
    prepare,
    selection,
    upserts_of,
)
from tests.permissions.tables.table import Table, Without, Write
from tests.permissions.world import FOREIGN, World
from tests.security.positions import minimal
from tests.support.bodies import assert_reveals_nothing
from tests.support.wire import post_anonymously

OF_ALL = ("node", "nodes", "changes")
"""Root fields that read records of any type: every table tries the first two, and the door `feed` the third."""
_DOMAINS = Path(__file__).parents[2] / "domains"
ELSEWHERE: Mapping[str, Path] = {
    "revokeAuthorizedApp": _DOMAINS.parent / "api" / "oauth" / "test_apps.py",
    **dict.fromkeys(("signIn",), _DOMAINS / "identity" / "test_sign_in.py"),
    **dict.fromkeys(
        ("requestPasswordReset", "resetPassword", "acceptInvitation"), _DOMAINS / "identity" / "test_mails.py"
    ),
    **dict.fromkeys(
        ("refreshSession", "signOut", "revokeSession", "revokeOtherSessions", "changePassword"),
        _DOMAINS / "identity" / "test_sessions.py",
    ),
    **dict.fromkeys(
        ("startSecondFactor", "confirmSecondFactor", "disableSecondFactor", "renewRecoveryCodes"),
        _DOMAINS / "identity" / "test_second_factor.py",
    ),
}
"""Mutations of one's own account, for which no role has a right: who may do them is tested where they are."""
UNAUTHENTICATED = ("UNAUTHENTICATED", "Send a bearer token: `Authorization: Bearer <token>`.")


def test_every_root_field_is_in_one_table(schema: Any) -> None:
    """A root field that is in none has no test of who may use it: put it into the table of its entity."""
    core = schema.core
    assert sorted([*OF_ALL, *(name for table in TABLES for name in table.reads)]) == sorted(core.query_type.fields)
    ones = [*ELSEWHERE, *(write.name for _, write in WRITES)]
    assert sorted([*ones, *many_of(core).values(), *upserts_of(core).values()]) == sorted(core.mutation_type.fields)
    assert [name for name, file in ELSEWHERE.items() if name not in file.read_text()] == []
    assert sorted(name for table in TABLES for name in table.watches) == sorted(core.subscription_type.fields)
    assert sorted(table.type for table in TABLES if table.record) == sorted(schema.registry.records)


async def test_nobody_changes_an_account_without_being_somebody(world: World) -> None:
    """The mutations that are tested elsewhere, but for those that need no token by what they are."""
    before, public = await world.digest(), world.graph.schema.public
    core = world.graph.schema.core
    assert core.mutation_type is not None
    for name in ELSEWHERE.keys() - public:
        arguments = core.mutation_type.fields[name].args
        given = {key: minimal(get_named_type(each.type)) for key, each in arguments.items()}
        types = ", ".join(f"${key}: {each.type}" for key, each in arguments.items())
        sent = ", ".join(f"{key}: ${key}" for key in arguments)
        source = f"mutation {f'({types})' if types else ''} {{ {name}{f'({sent})' if sent else ''} {{ __typename }} }}"
        status, body = await post_anonymously(world.graph, source, given)
        assert (status, errors(body), "data" in body) == (401, [UNAUTHENTICATED], False), name
    assert await world.digest() == before


# Reading.


def reading(world: World, table: Table) -> str:
    """Return an operation that asks for a table's row in every way there is, `$id` being its id."""
    fields = [f"node(id: $id) {{ ... on {table.type} {{ {selection(world, table.type)} }} }}"]
    fields += [f"nodes(ids: [$id]) {{ ... on {table.type} {{ {selection(world, table.type)} }} }}"]
    query = world.graph.schema.core.query_type
    assert query is not None
    for name in table.reads:
        field = query.fields[name]
        if "id" in field.args:
            fields.append(f"{name}(id: $id) {{ {selection(world, table.type)} }}")
        elif "groupBy" in field.args:
            fields.append(f"{name}(where: {{id: {{eq: $id}}}}) {{ groups {{ count }} }}")
        elif "where" in field.args:
            where = "first: 200, where: {id: {eq: $id}}"
            fields.append(f"{name}({where}) {{ totalCount nodes {{ {selection(world, table.type)} }} }}")
        else:
            fields.append(f"{name} {{ workspace {{ {selection(world, table.type)} }} }}")
    return f"query ($id: ID!) {{ {' '.join(fields)} }}"


def nothing(name: str) -> Any:
    """Return the answer to a root field that finds no row."""
    if name == "nodes":
        return [None]
    if name.endswith("Aggregate"):
        return {"groups": [{"count": 0}]}
    return {"totalCount": 0, "nodes": []} if name.endswith("s") else None


@pytest.mark.parametrize("table", [each for each in TABLES if each.record], ids=lambda table: table.type)
async def test_who_may_read(world: World, table: Table) -> None:
    source, id_ = reading(world, table), world.id(table.type, table.place)
    before = await world.digest()

    status, body = await post_anonymously(world.graph, source, {"id": id_})
    assert (status, "data" in body) == (401, False)
    assert errors(body) == [UNAUTHENTICATED]
    assert_absent(world, table.type, table.place, body)

    stranger = await world.become("admin", place=FOREIGN)
    await expect_unseen(world, table, table.place, stranger)
    for role, place in table.unseen_by:
        await expect_unseen(world, table, place, await world.become(*[role] if role else []))
    claims = await world.become(*[table.seen_by])
    await world.digest()
    assert await world.digest() == {**before, **await changed_roles(world, before)}

    body = await world.graph.execute(source, {"id": id_}, claims=claims)
    assert "errors" not in body
    answers = [value for value in body["data"].values() if value and "groups" not in value]
    assert all(id_ in json.dumps(value) for value in answers), body
    assert len(answers) == len(body["data"]) - sum("groups" in value for value in body["data"].values())


ROLES = """query ($id: ID!, $member: ID!) { roles { name } role(name: "analyst") { name grants { type } }
  mine: explainAccess(id: $id, field: "name") { visible level rules { role grant } }
  theirs: explainAccess(id: $id, field: "name", memberId: $member) { visible } grantables { type } }"""


async def test_who_may_read_roles(world: World) -> None:
    """What roles grant is for administrators; why one sees what one sees, for everybody."""
    variables = {"id": world.id("Customer"), "member": world.id("Member", "team")}
    status, body = await post_anonymously(world.graph, ROLES, variables)
    assert (status, errors(body), "data" in body) == (401, [UNAUTHENTICATED], False)

    stranger = await world.become("admin", place=FOREIGN)
    body = await world.graph.execute(ROLES, variables, claims=stranger, on_error=OnError.NULL)
    assert (body["data"]["mine"], body["data"]["theirs"]) == (None, None)
    assert_absent(world, "Customer", "own", body)

    for role in ("sales_manager", "analyst"):
        claims = await world.become(role)
        body = await world.graph.execute(ROLES, variables, claims=claims, on_error=OnError.NULL)
        assert [code for code, _ in errors(body)] == ["FORBIDDEN"] * 3
        assert (body["data"]["roles"], body["data"]["role"], body["data"]["theirs"]) == (None, None, None)
        assert {rule["role"] for rule in body["data"]["mine"]["rules"]} == {role}
        assert_reveals_nothing(body)

    claims = await world.become("admin")
    data = await world.graph.data(ROLES, variables, claims=claims)
    assert len(data["roles"]) == len(MATRIX.roles)
    assert data["theirs"] == {"visible": False}


async def changed_roles(world: World, before: Mapping[str, str]) -> dict[str, str]:
    """Return the digest of the one table that the test itself writes: who has which role."""
    return {"member_role": (await world.digest())["member_role"]}


async def expect_unseen(world: World, table: Table, place: str, claims: Claims) -> None:
    """Expect a row to be what an unknown id is, in every way of asking, and none of its values to be told."""
    source = reading(world, table)
    body = await world.graph.execute(source, {"id": world.id(table.type, place)}, claims=claims)
    prefix = world.id(table.type, place).partition("_")[0]
    unknown = await world.graph.execute(source, {"id": f"{prefix}_{'0' * 31}7"}, claims=claims)
    assert body == unknown, "an id that may not be seen is answered like one that does not exist"
    assert "errors" not in body
    wanted = {name: nothing(name) for name in body["data"] if name != "viewer"}
    assert {name: value for name, value in body["data"].items() if name != "viewer"} == wanted
    assert_absent(world, table.type, place, body)


# Writing.


@pytest.mark.parametrize(("table", "write"), WRITES, ids=lambda each: getattr(each, "name", ""))
async def test_who_may_write(world: World, table: Table, write: Write) -> None:
    await prepare(world, table, write)
    source = mutation(world, write)
    before = await world.digest()

    given = input_of(world, table, write, table.place)
    status, body = await post_anonymously(world.graph, source, {"input": given})
    assert (status, errors(body), "data" in body) == (401, [UNAUTHENTICATED], False)
    assert_absent(world, table.type, table.place, body)

    stranger = await world.become("admin", place=FOREIGN)
    async with world.undone():
        body = await world.graph.execute(source, {"input": given}, claims=stranger)
        await expect_refused(world, table, write, body, write.stranger, table.place)
        assert await world.digest() == before, "a stranger wrote into our workspace"

    for each in write.without:
        claims = await world.become(*[each.role] if each.role else [])
        async with world.undone():
            await expect_without(world, table, write, each, claims)

    claims = await world.become(write.right)
    before, seq = await world.digest(), await newest(world)
    body = await world.graph.execute(source, {"input": given}, claims=claims)
    assert "errors" not in body, body
    payload = body["data"][write.name]
    assert payload["errors"] == []
    after = await world.digest()
    assert {name for name in after if after[name] != before[name]} == {
        *write.tables,
        *(["event"] if write.events else []),
    }
    recorded = await world.graph.rows("SELECT type, actor, workspace_id FROM event WHERE seq > $1 ORDER BY seq", seq)
    assert [row["type"] for row in recorded] == list(write.events)
    actor = world.row("Member")
    assert {(row["actor"], row["workspace_id"]) for row in recorded} == {(actor["id"], actor["workspace_id"])}


@pytest.mark.parametrize(("table", "write"), WRITES, ids=lambda each: getattr(each, "name", ""))
async def test_who_may_write_many(world: World, table: Table, write: Write) -> None:
    """A mutation of many gives the verdict of that of one: the same refusals, and the same events."""
    many = many_of(world.graph.schema.core).get(write.name)
    if many is None:
        pytest.skip("there is none of many")
    await prepare(world, table, write)
    source = mutation_of_many(world, many)

    for each in write.without:
        claims = await world.become(*[each.role] if each.role else [])
        async with world.undone():
            before, place = await world.digest(), each.place or table.place
            given = input_of(world, table, write, place)
            body = await world.graph.execute(source, {"inputs": [given]}, claims=claims)
            await expect_refused(world, table, write, as_of_one(body, many, write), each.refusal, place)
            assert await world.digest() == before, f"{each.role or 'nobody'} wrote something"

    claims = await world.become(write.right)
    seq = await newest(world)
    given = input_of(world, table, write, table.place)
    body = as_of_one(await world.graph.execute(source, {"inputs": [given]}, claims=claims), many, write)
    assert "errors" not in body, body
    assert body["data"][write.name]["errors"] == []
    recorded = await world.graph.rows("SELECT type FROM event WHERE seq > $1 ORDER BY seq", seq)
    assert [row["type"] for row in recorded] == list(write.events)


@pytest.mark.parametrize(
    ("table", "write"),
    [each for each in WRITES if each[1].verb == "update"],
    ids=lambda each: getattr(each, "name", ""),
)
async def test_who_may_upsert(world: World, table: Table, write: Write) -> None:
    """A mutation that changes a record or makes it gives the verdict of that which changes it, where it is there."""
    name = upserts_of(world.graph.schema.core).get(write.name)
    if name is None:
        pytest.skip("there is none")
    await prepare(world, table, write)
    source = mutation(world, write, name)
    for each in write.without:
        claims = await world.become(*[each.role] if each.role else [])
        async with world.undone():
            before, place = await world.digest(), each.place or table.place
            body = await world.graph.execute(source, {"input": input_of(world, table, write, place)}, claims=claims)
            if each.refusal.top:  # who may not read it is refused to make it
                assert [code for code, _ in errors(body)] == [each.refusal.code]
            elif each.refusal.code == "NOT_FOUND":
                assert_absent(world, table.type, place, body)  # it is made, and its id or a value of it is taken
                assert body.get("errors") or body["data"][name]["errors"]
            else:
                body = {**body, "data": {write.name: body["data"][name]}}
                await expect_refused(world, table, write, body, each.refusal, place)
            assert await world.digest() == before, f"{each.role or 'nobody'} wrote something"
    claims, seq = await world.become(write.right), await newest(world)
    body = await world.graph.execute(source, {"input": input_of(world, table, write, table.place)}, claims=claims)
    assert "errors" not in body, body
    assert body["data"][name]["errors"] == []
    recorded = await world.graph.rows("SELECT type FROM event WHERE seq > $1 ORDER BY seq", seq)
    assert [row["type"] for row in recorded] == list(write.events)


def as_of_one(body: Mapping[str, Any], many: str, write: Write) -> dict[str, Any]:
    """Return the answer of a mutation of many to one input as that of one would be."""
    payload = body["data"][many]
    if payload is None:
        return {**body, "data": {write.name: None}}
    (result,) = payload["results"]
    assert [each["code"] for each in payload["errors"]] == ["REJECTED"] * bool(result["errors"]), payload
    return {**body, "data": {write.name: result}}


async def expect_without(world: World, table: Table, write: Write, each: Without, claims: Claims) -> None:
    """Expect the refusal of a member without the right, and that nothing was written."""
    before = await world.digest()
    place = each.place or table.place
    given = input_of(world, table, write, place)
    body = await world.graph.execute(mutation(world, write), {"input": given}, claims=claims)
    await expect_refused(world, table, write, body, each.refusal, place)
    assert await world.digest() == before, f"{each.role or 'nobody'} wrote something"


async def expect_refused(
    world: World, table: Table, write: Write, body: Mapping[str, Any], refusal: Any, place: str
) -> None:
    """Expect a refusal, word for word, with no record beside it and none of the row's values in the answer."""
    assert_reveals_nothing(body)
    if refusal is None:
        assert "errors" not in body, body
        assert body["data"][write.name]["errors"] == []
    elif refusal.top:
        assert errors(body) == [(refusal.code, refusal.message)]
        assert body["data"] == {write.name: None}
    else:
        assert "errors" not in body, body
        payload = dict(body["data"][write.name])
        assert payload.pop("errors") == [
            {"code": refusal.code, "message": refusal.message, "field": list(refusal.field)}
        ]
        assert all(value is None or value == [] for value in payload.values()), payload
    assert_absent(world, table.type, place, body)


def errors(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the codes and messages of the top-level errors."""
    return [(error["extensions"]["code"], error["message"]) for error in body.get("errors", [])]


def assert_absent(world: World, type_name: str, place: str, body: Any) -> None:
    """Assert that no value of a row is in an answer, wherever it might stand; the workspace's own is everybody's."""
    if type_name == "Workspace" or (type_name, place) not in world.rows:
        return
    text = json.dumps(body, ensure_ascii=False)
    found = [secret for secret in world.secrets(type_name, place) if secret in text]
    assert not found, f"{found} of {type_name} {place} in {text}"


async def newest(world: World) -> int:
    """Return the last position of the event log."""
    found: int = await world.graph.value("SELECT coalesce(max(seq), 0) FROM event")
    return found
