"""A mutation of many under a key: the whole batch is one field, done once or taken back once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from tests.idempotency.test_replays import code_of, written
from tests.support.graph import Graph

CREATE = """mutation ($inputs: [CreateCustomerInput!]!, $onError: OnRefusal! = REJECT_ALL, $dryRun: Boolean! = false) {
    createCustomers(inputs: $inputs, onError: $onError, dryRun: $dryRun) {
        results { customer { id name } errors { code field message } } errors { code field message } } }"""
GOOD = [{"name": f"Batch {number}"} for number in range(30)]
BAD = [*GOOD[:7], {"name": "Batch bad", "employees": -5}, *GOOD[8:]]

pytestmark = pytest.mark.parametrize("executor", ["planned", "reference"])


@pytest.fixture(autouse=True)
def _use(graph: Graph, executor: str) -> None:
    graph.use(executor)


CASES: Mapping[str, tuple[Mapping[str, Any], int]] = {
    "all are good": ({"inputs": GOOD}, 30),
    "one is refused, and so are all": ({"inputs": BAD}, 0),
    "one is refused, the others are done": ({"inputs": BAD, "onError": "REJECT_FAILED"}, 29),
    "a dry run": ({"inputs": BAD, "dryRun": True}, 0),
}


@pytest.mark.parametrize(("given", "made"), CASES.values(), ids=CASES.keys())
async def test_a_batch_is_answered_as_it_was(graph: Graph, given: Mapping[str, Any], made: int) -> None:
    """In its order, with the errors of each, and nothing of it is done again."""
    customers, events, answers = await written(graph)
    first = await graph.execute(CREATE, given, key="k")
    results = first["data"]["createCustomers"]["results"]
    assert sum(each["customer"] is not None for each in results) == made
    assert await written(graph) == (customers + made, events + made, answers + 1)
    for _ in range(2):
        assert orjson.dumps(await graph.execute(CREATE, given, key="k")) == orjson.dumps(first)
    assert await written(graph) == (customers + made, events + made, answers + 1)
    other = {**given, "inputs": given["inputs"][1:]}
    assert code_of(await graph.execute(CREATE, other, key="k")) == "IDEMPOTENCY_KEY_REUSED"


async def test_a_batch_sends_two_statements_more(graph: Graph) -> None:
    """Whatever its size; the guard, which they have one statement for, rides on the first of them. A replay reads."""
    claims = await graph.claims("admin")
    for _ in range(2):
        await graph.data(CREATE, {"inputs": GOOD}, claims=claims)
    without = len(graph.database.one.sent)
    await graph.execute(CREATE, {"inputs": GOOD}, claims=claims, key="k")
    assert sum("idempotent_answer" in text for text in graph.database.one.sent) == 2
    assert len(graph.database.one.sent) <= without + 2
    await graph.execute(CREATE, {"inputs": GOOD}, claims=claims, key="k")
    assert len(graph.database.one.sent) == 2


async def test_a_batch_that_may_not_be_done_is_not_kept(graph: Graph) -> None:
    """A verb that no role grants is refused at the top, as that of one is."""
    before = await written(graph)
    assert code_of(await graph.execute(CREATE, {"inputs": GOOD}, key="k", role="analyst")) == "FORBIDDEN"
    assert await written(graph) == before


async def test_a_thousand_have_room(graph: Graph) -> None:
    """As many as a batch may have, each with a message."""
    inputs = [{"name": "Batch", "employees": -number} for number in range(1, 1_001)]
    first = await graph.execute(CREATE, {"inputs": inputs, "onError": "REJECT_FAILED"}, key="k")
    assert len(first["data"]["createCustomers"]["results"]) == 1_000
    assert await graph.execute(CREATE, {"inputs": inputs, "onError": "REJECT_FAILED"}, key="k") == first
