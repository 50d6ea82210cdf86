"""Every mutation of the schema, under a key: done once, answered the same, whatever it is.

The tables of `tests/permissions` say how each is carried out. A mutation that opens its unit of work past the key, or
whose payload is not kept whole, is found here.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest

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


def test_every_mutation_is_here(schema: BuiltSchema) -> None:
    assert {*payloads(schema)} == {write.name for _, write in WRITES} | ELSEWHERE


@pytest.mark.parametrize("executor", ["planned", "reference"])
@pytest.mark.parametrize(("table", "write"), WRITES, ids=lambda each: getattr(each, "name", ""))
async def test_a_replay(world: World, table: Table, write: Write, executor: str) -> None:
    world.graph.use(executor)
    await prepare(world, table, write)
    source = mutation(world, write).replace("(input: $input)", '(input: $input) @idempotent(key: "k")')
    given = {"input": input_of(world, table, write, table.place)}
    claims = await world.become(write.right)
    before = await world.digest()
    first = await world.graph.execute(source, given, claims=claims)
    assert "errors" not in first, first
    assert first["data"][write.name]["errors"] == []
    done = await world.digest()
    assert done["idempotent_answer"] != before["idempotent_answer"]
    again = await world.graph.execute(source, given, claims=claims)
    after = await world.digest()
    assert {name for name in after if after[name] != done[name]} <= READING
    once = form_of(payloads(world.graph.schema)[write.name]).once
    assert orjson.dumps(again["data"]) == orjson.dumps(without(first["data"], write.name, once))
    assert [error["path"] for error in again.get("errors", ())] == [
        [write.name, field] for field in once if first["data"][write.name][field] is not None
    ]
    assert again.get("extensions") == first.get("extensions")


def without(data: Any, name: str, once: Any) -> Any:
    """Return an answer without what is shown once."""
    return {name: {key: None if key in once else value for key, value in data[name].items()}}
