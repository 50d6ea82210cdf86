"""No hidden value, count, order or existence is observable, and nothing that is allowed is withheld: random roles,
teams, members, rows and operations against the oracle. `python -m tests.permissions.oracle` runs many more."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from graphql import GraphQLNonNull, GraphQLObjectType, get_named_type

from crm_graph.graph.schema.build import BuiltSchema
from tests.permissions.oracle.cases import Case
from tests.permissions.oracle.grants import READ
from tests.permissions.oracle.invent import invent_world
from tests.permissions.oracle.judge import SETTINGS, Judge
from tests.permissions.oracle.kinds import kinds
from tests.permissions.oracle.shrink import describe
from tests.permissions.oracle.sight import Sight
from tests.support.database import savepoint
from tests.support.graph import Graph

CHUNKS = 5
CASES_PER_CHUNK = 8
ABOUT_VIEWER = {"viewerCan", "withheld", "history"}
"""Fields of records that no role grants: they say what roles grant, and what changed of what these show."""
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
    for what in (
        "behind a cursor",
        "as of a moment",
        "after disturbances",
        "changes judged",
        "mutations accepted",
        "mutations refused",
    ):
        assert counts[what] > 1, counts


@pytest.mark.parametrize("executor", ["planned", "reference"])
@pytest.mark.parametrize("number", range(4))
async def test_every_record_says_what_the_viewer_can(
    database_url: str, schema: BuiltSchema, number: int, executor: str
) -> None:
    """Of all records that anybody sees in random worlds: what they may do with each, and what is withheld of it."""
    said: Counter[tuple[str, bool]] = Counter()
    async with savepoint(database_url) as database:
        judge = Judge(Graph(schema, database, SETTINGS))
        world = await invent_world(judge.graph, random.Random(f"{SEED}:can:{number}"))
        for member in [*world.others, world.almighty]:
            sight = Sight(world, member)
            for kind in kinds().values():
                if "list" not in kind.roots or not sight.reads(kind):
                    continue
                can = ("update", "delete", *kind.verbs)
                selected = f"nodes {{ id viewerCan {{ {' '.join(can)} }} withheld }}"
                source = f"{{ {kind.roots['list']}(first: 200) {{ {selected} }} }}"
                body = await judge.run(sight, source, {}, executor)
                for node in body["data"][kind.roots["list"]]["nodes"]:
                    row = world.of(kind.name)[node["id"].partition("_")[2]]
                    delete = "delete" if kind.part is None else "update"
                    wanted = {verb: sight.may(kind, row, delete if verb == "delete" else verb) for verb in can}
                    assert node["viewerCan"] == wanted, (kind.name, member)
                    hidden = {each.name for each in kind.named if sight.level(kind, row, each) < READ}
                    assert set(node["withheld"]) == hidden, (kind.name, member)
                    said.update(("can", each) for each in wanted.values())
                    said["withheld", bool(hidden)] += 1
    assert min(said["can", True], said["can", False], said["withheld", True], said["withheld", False]) > 10, said


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
        assert kind.fields.keys() == type_.fields.keys() - ABOUT_VIEWER, f"describe the fields of {name} in facts.txt"
        assert kind.computed.keys() == record.measures.keys(), f"describe what is computed of {name} in facts.txt"
        for each in kind.computed.values():
            assert each.values == record.measures[each.name].needs
        assert kind.history == ("history" in type_.fields), name
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
