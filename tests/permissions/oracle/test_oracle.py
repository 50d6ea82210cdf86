"""No hidden value, count, order or existence is observable, and nothing that is allowed is withheld: random roles,
teams, members, rows and operations against the oracle. `python -m tests.permissions.oracle` runs many more."""

from __future__ import annotations

import pytest
from graphql import GraphQLNonNull, GraphQLObjectType, get_named_type

from crm_graph.graph.schema.build import BuiltSchema
from tests.permissions.oracle.cases import Case
from tests.permissions.oracle.judge import SETTINGS, Judge
from tests.permissions.oracle.kinds import kinds
from tests.permissions.oracle.shrink import describe
from tests.support.database import savepoint
from tests.support.graph import Graph

CHUNKS = 5
CASES_PER_CHUNK = 6
SEED = "test"

# graphql-core leaves coroutines behind when it gives up the fields beside one that failed.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")


@pytest.mark.parametrize("chunk", range(CHUNKS))
async def test_everything_is_answered_as_the_oracle_says(database_url: str, schema: BuiltSchema, chunk: int) -> None:
    async with savepoint(database_url) as database:
        judge = Judge(Graph(schema, database, SETTINGS))
        for number in range(CASES_PER_CHUNK):
            found = await Case(judge, f"{SEED}:{chunk}:{number}").run()
            assert found is None, describe(found)
    counts = judge.counts
    assert counts["answered"] > 50, counts
    assert counts["forbidden"] < counts["answered"] * 0.2, counts
    for what in ("behind a cursor", "after disturbances", "changes judged", "mutations accepted", "mutations refused"):
        assert counts[what] > 1, counts


async def test_a_seed_always_gives_the_same_case(database_url: str, schema: BuiltSchema) -> None:
    found = []
    for _ in range(2):
        async with savepoint(database_url) as database:
            judge = Judge(Graph(schema, database, SETTINGS))
            assert await Case(judge, "same").run() is None
            found.append(judge.counts)
    assert found[0] == found[1]


def test_the_oracle_knows_every_record_type(schema: BuiltSchema) -> None:
    """A record type, or a field, that is not in `facts.txt` is not proven to be hidden from anybody."""
    for name, record in schema.registry.records.items():
        assert name in kinds(), f"describe {name} in facts.txt"
        kind, type_ = kinds()[name], schema.core.type_map[name]
        assert isinstance(type_, GraphQLObjectType)
        assert kind.fields.keys() == type_.fields.keys(), f"describe the fields of {name} in facts.txt"
        for each in kind.fields.values():
            of = type_.fields[each.name].type
            assert each.required == (isinstance(of, GraphQLNonNull) and each.of not in {"many", "measures"}), (
                f"{name}.{each.name}: a leaf that is never null is one in facts.txt; an edge may lead to what is unseen"
            )
            columns = {column.removesuffix("_clear") for column in each.columns}
            assert columns <= set(record.table.c.keys()), f"{name}.{each.name}"
            if each.of in {"one", "many", "measures"}:
                target = get_named_type(of).name.removesuffix("Connection").removesuffix("Measures")
                assert target == each.target, f"{name}.{each.name}"
    assert kinds().keys() == schema.registry.records.keys()
