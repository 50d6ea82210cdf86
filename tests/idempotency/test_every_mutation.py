"""Every mutation of the schema, under a key: done once, answered the same, whatever it is.

The tables of `tests/permissions` say how each is carried out. A mutation that opens its unit of work past the key, or
whose payload is not kept whole, is found here.
"""

from __future__ import annotations

import re
from typing import Any

import orjson
import pytest

from crm_graph.graph.idempotency.values import form_of
from crm_graph.graph.schema.build import BuiltSchema
from tests.idempotency.test_kept import payloads
from tests.permissions.fixtures import shared_world, world
from tests.permissions.tables.actions import WRITES, input_of, many_of, mutation, mutation_of_many, prepare, upserts_of
from tests.permissions.tables.table import Table, Write
from tests.permissions.world import World

__all__ = ["shared_world", "world"]

ELSEWHERE = {"revokeSession", "revokeOtherSessions", "revokeAuthorizedApp"}
"""Of one's own account: `test_kept.py`, `tests/api/oauth/test_apps.py`."""
READING = {"event"}
"""What reading may write: that sensitive fields were read."""


def test_every_mutation_is_here(schema: BuiltSchema) -> None:
    derived = {*many_of(schema.core).values(), *upserts_of(schema.core).values()}
    assert {*payloads(schema)} == {write.name for _, write in WRITES} | ELSEWHERE | derived


@pytest.mark.parametrize("executor", ["planned", "reference"])
@pytest.mark.parametrize(("table", "write"), WRITES, ids=lambda each: getattr(each, "name", ""))
async def test_a_replay(world: World, table: Table, write: Write, executor: str) -> None:
    """Of one input, and, where there is that, of many."""
    world.graph.use(executor)
    async with world.undone():
        await prepare(world, table, write)
        input_ = input_of(world, table, write, table.place)
        await expect_once(world, write, write.name, mutation(world, write), {"input": input_})
    upsert = upserts_of(world.graph.schema.core).get(write.name)
    if upsert is not None:
        async with world.undone():
            await prepare(world, table, write)
            input_ = input_of(world, table, write, table.place)
            await expect_once(world, write, upsert, mutation(world, write, upsert), {"input": input_})
    many = many_of(world.graph.schema.core).get(write.name)
    if many is not None:
        await prepare(world, table, write)
        input_ = input_of(world, table, write, table.place)
        answer = await expect_once(world, write, many, mutation_of_many(world, many), {"inputs": [input_]})
        assert [result["errors"] for result in answer["results"]] == [[]]


async def expect_once(world: World, write: Write, name: str, source: str, given: dict[str, Any]) -> Any:
    """Expect that a mutation is done once and answered the same twice; return the answer."""
    source = re.sub(r"(\(inputs?: \$inputs?\))", r'\1 @idempotent(key: "k")', source)
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
