"""Generated operations under both executors: the same bytes, errors, paths and withheld coordinates, no INTERNAL error,
and never more statements than the plan has edges. `make fuzz` runs a hundred times as many."""

from __future__ import annotations

import random

import pytest

from tests.executor.comparing import Twins
from tests.executor.coverage import coordinates
from tests.executor.generate import generate
from tests.executor.known import learn
from tests.executor.shrink import describe
from tests.support.graph import Graph
from tests.support.projected import begin

# graphql-core leaves coroutines behind when it gives up the fields beside one that failed.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")

CHUNKS = 8
DOCUMENTS_PER_CHUNK = 60
SEED = "test"


@pytest.mark.parametrize("chunk", range(CHUNKS))
async def test_both_executors_answer_alike(graph: Graph, chunk: int) -> None:
    await begin(graph)
    twins = Twins(graph.schema, graph.database)
    known = await learn(graph)
    for number in range(DOCUMENTS_PER_CHUNK):
        case = generate(graph.schema, known, f"{SEED}:{chunk}:{number}")
        differences, _ = await twins.compare(case)
        assert not differences, describe(differences[0])
    counts = twins.counts
    assert counts.refused < counts.documents * 0.2, f"{counts.refused} of {counts.documents} documents are not valid"
    assert counts.errors < counts.runs * 0.5, f"{counts.errors} of {counts.runs} runs have errors"
    assert len(twins.coverage) > len(coordinates(graph.schema.core)) * 0.04


async def test_a_seed_always_gives_the_same_case(graph: Graph) -> None:
    known = await learn(graph)
    random.seed(1)
    first = generate(graph.schema, known, "same")
    random.seed(2)
    assert generate(graph.schema, known, "same") == first
    assert generate(graph.schema, known, "other") != first
