"""The bytes of an answer are bounded, and so is the memory that making them takes."""

from __future__ import annotations

import json
import tracemalloc
from random import Random
from typing import Any

import orjson
import pytest

from crm_graph.api.body import GraphQLRequest
from crm_graph.api.encoding import AnswerTooLong, encode
from crm_graph.api.transport.answers import frame, respond
from crm_graph.api.transport.negotiation import JSON
from crm_graph.domains.service.tickets.graph import Ticket
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.graph.schema.costs import letters_of
from crm_graph.kernel.settings import Settings
from tests.support.database import SavepointDatabase
from tests.support.graph import Graph

LIMIT = 20_000
COST = 9_999


def anything(random: Random, depth: int = 0) -> Any:
    """Return a value of JSON."""
    kind = random.randrange(8 if depth < 4 else 5)
    if kind < 5:
        return random.choice([None, True, 17, 1.5, "", "x" * random.randrange(50), '"名\n🚀'])
    if kind < 7:
        return [anything(random, depth + 1) for _ in range(random.randrange(30))]
    return {f"k{index}名": anything(random, depth + 1) for index in range(random.randrange(6))}


@pytest.mark.parametrize("seed", range(200))
def test_pieces_are_what_the_whole_is(seed: int) -> None:
    """Whatever is cut where: the same bytes; or none, exactly from the first too many."""
    random = Random(seed)
    body = {"data": anything(random)}
    whole = orjson.dumps(body)
    for cost in (0, 1, 7, 100, COST):
        assert encode(body, cost, len(whole)) == whole
        with pytest.raises(AnswerTooLong):
            encode(body, cost, len(whole) - 1)
    assert encode(body, COST, 4 * len(whole)) == whole


def test_what_is_too_long_is_given_up_before_it_is_made() -> None:
    """One text of 20,000 letters, 28 times in each of 200 rows, is 112 MB; it is in memory once."""
    row = dict.fromkeys((f"a{index}" for index in range(28)), "x" * 20_000)
    body = {"data": {"tickets": {"nodes": [row] * 200}}}
    tracemalloc.start()
    with pytest.raises(AnswerTooLong):
        encode(body, COST, 16 * 1024 * 1024)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3 * 16 * 1024 * 1024


def test_an_ordinary_answer_is_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of what costs as much as a page of a thousand rows, nothing is looked at twice."""
    body: dict[str, Any] = {"data": {"customers": {"nodes": [{}] * 1_000}}}
    written: list[Any] = []

    def dumps(value: Any) -> bytes:
        written.append(value)
        return b"{}"

    monkeypatch.setattr("crm_graph.api.encoding.orjson.dumps", dumps)
    encode(body, 1_001, Settings().max_answer_bytes)
    assert written == [body]
    assert letters_of(1_001) < Settings().max_answer_bytes


@pytest.fixture
async def small(graph: Graph, schema: BuiltSchema) -> Graph:
    """The graph, whose answers may be short ones only."""
    assert isinstance(graph.database, SavepointDatabase)
    return Graph(schema, graph.database, Settings(max_answer_bytes=LIMIT, webhook_max_bytes=LIMIT))


async def test_a_query_that_answers_too_much_is_refused(small: Graph) -> None:
    id_ = await small.id_of(Ticket)
    await small.rows("UPDATE ticket SET description = $1 WHERE id = $2", "x" * 9_000, id_.removeprefix("tic_"))
    read = "query ($v: ID!) {{ ticket(id: $v) {{ {} }} }}"
    assert "errors" not in await small.execute(read.format("a: description b: description"), {"v": id_})
    body = await small.execute(read.format("a: description b: description c: description"), {"v": id_})
    assert set(body) == {"errors"}
    (error,) = body["errors"]
    assert error["extensions"]["code"] == "COST_LIMIT_EXCEEDED"
    assert "more than 20,000 bytes. Ask for smaller pages" in error["message"]


async def test_a_mutation_is_done_though_its_answer_is_too_long(small: Graph) -> None:
    """And says so: a client that took it for undone would do it twice."""
    id_ = await small.id_of(Ticket)
    source = """mutation ($v: UpdateTicketInput!) { updateTicket(input: $v) {
        ticket { a: description b: description c: description } errors { code } } }"""
    body = await small.execute(source, {"v": {"id": id_, "description": "y" * 9_000}})
    assert body["data"] is None
    (error,) = body["errors"]
    assert error["extensions"]["code"] == "COST_LIMIT_EXCEEDED"
    assert "was carried out" in error["message"]
    assert await small.value("SELECT description FROM ticket WHERE id = $1", id_.removeprefix("tic_")) == "y" * 9_000


async def test_the_bytes_that_are_sent_are_those_that_were_counted(graph: Graph) -> None:
    """By HTTP and as an event: made once."""
    claims = await graph.claims("admin")
    request = GraphQLRequest("{ customers(first: 2) { nodes { name } } }")
    answer = await graph.engine.execute(request, await graph.engine.admission.operation(request, claims), claims)
    assert json.loads(answer.content) == answer.body
    reply = respond(answer, JSON)
    assert reply.body is answer.content
    assert frame("next", answer) == b"event: next\ndata: " + answer.content + b"\n\n"


async def test_what_a_subscription_or_a_webhook_is_told_is_bounded_too(small: Graph) -> None:
    claims = await small.claims("admin")
    id_ = await small.id_of(Ticket)
    await small.rows("UPDATE ticket SET description = $1 WHERE id = $2", "x" * 9_000, id_.removeprefix("tic_"))
    source = "query ($v: ID!) { ticket(id: $v) { a: description b: description c: description } }"
    request = GraphQLRequest(source, None, {"v": id_})
    operation = await small.engine.admission.operation(request, claims)
    answer = await small.engine.execution.answer_live(request, operation, await small.engine.contexts.read(claims))
    assert [each["extensions"]["code"] for each in answer.body["errors"]] == ["COST_LIMIT_EXCEEDED"]
