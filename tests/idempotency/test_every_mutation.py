"""Every mutation of the schema, under a key: done once, answered the same, whatever it is.

The tables of `tests/permissions` say how each is carried out. A mutation that opens its unit of work past the key, or
whose payload is not kept whole, is found here.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from graphql import get_named_type

from crm_graph.graph.idempotency.values import form_of
from crm_graph.graph.schema.build import BuiltSchema
from tests.idempotency.test_kept import payloads
from tests.permissions.fixtures import shared_world, world
from tests.permissions.tables.actions import WRITES, input_of, mutation, prepare
from tests.permissions.tables.table import Table, Write
from tests.permissions.world import World

__all__ = ["shared_world", "world"]

ELSEWHERE = {"revokeSession", "revokeOtherSessions", "revokeAuthorizedApp"}
"""Of one's own account: `test_kept.py`, `tests/api/oauth/test_apps.py`."""
READING = {"event"}
"""What reading may write: that sensitive fields were read."""


def of_many(schema: BuiltSchema) -> dict[str, str]:
    """Return the mutations that take many inputs, by the type of these."""
    assert schema.core.mutation_type is not None
    return {
        get_named_type(field.args["inputs"].type).name: name
        for name, field in schema.core.mutation_type.fields.items()
        if "inputs" in field.args
    }


def test_every_mutation_is_here(schema: BuiltSchema) -> None:
    assert {*payloads(schema)} == {write.name for _, write in WRITES} | ELSEWHERE | {*of_many(schema).values()}


@pytest.mark.parametrize("executor", ["planned", "reference"])
@pytest.mark.parametrize(("table", "write"), WRITES, ids=lambda each: getattr(each, "name", ""))
async def test_a_replay(world: World, table: Table, write: Write, executor: str) -> None:
    """Of one input, and, where there is that, of many."""
    world.graph.use(executor)
    one = mutation(world, write).replace("(input: $input)", '(input: $input) @idempotent(key: "k")')
    async with world.undone():
        await prepare(world, table, write)
        input_ = input_of(world, table, write, table.place)
        await expect_once(world, write, write.name, one, {"input": input_})
    core = world.graph.schema.core
    assert core.mutation_type is not None
    type_ = get_named_type(core.mutation_type.fields[write.name].args["input"].type).name
    many = of_many(world.graph.schema).get(type_)
    if many is None:
        return
    inner = one[one.index(write.name) :].partition("{")[2].rpartition("}")[0].rpartition("}")[0]
    source = (
        f'mutation ($inputs: [{type_}!]!) {{ {many}(inputs: $inputs) @idempotent(key: "k")'
        f" {{ results {{ {inner} }} errors {{ code }} }} }}"
    )
    await prepare(world, table, write)
    input_ = input_of(world, table, write, table.place)
    answer = await expect_once(world, write, many, source, {"inputs": [input_]})
    assert [result["errors"] for result in answer["results"]] == [[]]


async def expect_once(world: World, write: Write, name: str, source: str, given: dict[str, Any]) -> Any:
    """Expect that a mutation is done once and answered the same twice; return the answer."""
    claims = await world.become(write.right)
    before = await world.digest()
    first = await world.graph.execute(source, given, claims=claims)
    assert "errors" not in first, first
    assert first["data"][name]["errors"] == []
    done = await world.digest()
    assert done["idempotent_answer"] != before["idempotent_answer"]
    again = await world.graph.execute(source, given, claims=claims)
    after = await world.digest()
    assert {name for name in after if after[name] != done[name]} <= READING
    once = form_of(payloads(world.graph.schema)[name]).once
    assert orjson.dumps(again["data"]) == orjson.dumps(without(first["data"], name, once))
    assert [error["path"] for error in again.get("errors", ())] == [
        [name, field] for field in once if first["data"][name][field] is not None
    ]
    assert again.get("extensions") == first.get("extensions")
    return first["data"][name]


def without(data: Any, name: str, once: Any) -> Any:
    """Return an answer without what is shown once."""
    return {name: {key: None if key in once else value for key, value in data[name].items()}}
