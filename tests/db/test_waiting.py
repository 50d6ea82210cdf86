"""Writes that wait: what becomes one statement, what does not, and whom a constraint that does not hold is told to."""

from __future__ import annotations

from typing import Any

import pytest

from crm_graph.db.statements import Statement
from crm_graph.db.waiting import Write, batches
from crm_graph.domains.catalog.products.events import ProductCreated
from crm_graph.domains.catalog.products.model import Product
from crm_graph.domains.catalog.products.policy import PRODUCT
from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.sales.opportunities.graph import Opportunity
from crm_graph.domains.sales.pipelines.graph import Stage
from crm_graph.kernel.errors import Refused
from crm_graph.work import Work
from tests.support.graph import Graph

DEAL = Statement("UPDATE deal SET name=$1::TEXT WHERE id = $2::UUID", ("name", "id"), {}, ("TEXT", "UUID"))
OF_DEAL = Statement("UPDATE deal SET amount=$1::TEXT WHERE id = $2::UUID", ("name", "id"), {}, ("TEXT", "UUID"))
EVENT = Statement("INSERT INTO event (id, name) VALUES ($1, $2)", ("id", "name"), {}, ("UUID", "TEXT"))


def write(statement: Statement, row: str, name: str = "x") -> Write:
    return Write(statement, {"id": row, "name": name}, row)


def sent(*writes: Write, combined: bool = True) -> list[tuple[str, list[Any]]]:
    return [batch.sent() for batch in batches(writes, combined=combined)]


def test_several_tables_are_one_statement() -> None:
    assert sent(write(DEAL, "1", "Lid"), write(EVENT, "2", "Moved")) == [
        (
            "WITH part_0 AS (UPDATE deal SET name=$1::TEXT WHERE id = $2::UUID)"
            " INSERT INTO event (id, name) VALUES ($3, $4)",
            ["Lid", "1", "2", "Moved"],
        )
    ]


def test_a_sharded_database_is_sent_a_statement_for_each_table() -> None:
    assert sent(write(DEAL, "1", "Lid"), write(EVENT, "2"), write(EVENT, "3"), combined=False) == [
        (DEAL.text, ["Lid", "1"]),
        sent(write(EVENT, "2"), write(EVENT, "3"))[0],
    ]


def test_rows_of_one_table_are_one_statement() -> None:
    ((text, arguments),) = sent(write(EVENT, "1", "a"), write(EVENT, "2", "b"))
    assert text.startswith("INSERT INTO event (id, name) SELECT (rows.a1)::UUID, (rows.a2)::TEXT FROM unnest(")
    assert arguments == [["1", "2"], ["a", "b"]]


def test_no_row_and_no_table_is_written_twice_in_one_statement() -> None:
    assert [text for text, _ in sent(write(DEAL, "1"), write(DEAL, "1"))] == [DEAL.text] * 2
    assert [text for text, _ in sent(write(DEAL, "1"), write(OF_DEAL, "2"))] == [DEAL.text, OF_DEAL.text]


MOVE = """mutation ($id: ID!, $stage: ID!) { moveOpportunity(input: {id: $id, stageId: $stage, lostReason: "price"}) {
  opportunity { status version } errors { code message } } }"""
ORDER = """mutation ($customer: ID!) { createOrder(input: {customerId: $customer, currency: "CNY", notes: "by hand"}) {
  order { status version } errors { code message } } }"""


@pytest.mark.parametrize(("combined", "statements"), [(True, 4), (False, 6)])
async def test_a_move_is_written_alike_whatever_the_database_can(graph: Graph, combined: bool, statements: int) -> None:
    """The row with its lock, the stage, what is written, the payload; without it, each table of what is written."""
    graph.database.combined = combined
    deal, lost = await graph.id_of(Opportunity, "status = 'OPEN'"), await graph.id_of(Stage, "kind = 'LOST'")
    variables = {"id": deal, "stage": lost}
    last = await graph.value("SELECT max(seq) FROM event")
    moved = (await graph.data(MOVE, variables))["moveOpportunity"]
    assert moved["errors"] == []
    assert moved["opportunity"]["status"] == "LOST"
    assert graph.statements == statements, "\n".join(graph.database.one.sent)
    id_ = variables["id"].partition("_")[2]
    events = await graph.rows("SELECT type, entity_id FROM event WHERE seq > $1 ORDER BY seq", last)
    assert [tuple(row) for row in events] == [("OpportunityLost", id_)]
    history = "SELECT count(*) FROM stage_move WHERE opportunity_id = $1 AND moved_at = (SELECT max(at) FROM event)"
    assert await graph.value(history, id_) == 1


@pytest.mark.parametrize("combined", [True, False])
async def test_whoever_made_the_row_is_told_what_is_taken(graph: Graph, combined: bool) -> None:
    """Three rows in one statement, of which one is in the way of another one that was there before."""
    graph.database.combined = combined
    context = await graph.engine.contexts.read(await graph.claims("admin"))

    async def make(work: Work, *skus: str) -> None:
        for sku in skus:
            await work.create(Product.make(name=f"Cup {sku}", sku=sku, active=True), PRODUCT, ProductCreated())

    async with context.begin() as work:
        await make(work, "taken-1")
    with pytest.raises(Refused) as refused:
        async with context.begin() as work:
            await make(work, "free-1", "taken-1", "free-2")
    assert (refused.value.code, refused.value.field) == ("TAKEN", ("sku",))
    assert await graph.value("SELECT count(*) FROM product WHERE sku LIKE 'free-%'") == 0
    told = "SELECT count(*) FROM event WHERE type = 'ProductCreated' AND changes -> 'sku' ->> 1 LIKE 'free-%'"
    assert await graph.value(told) == 0


async def test_what_is_read_finds_what_was_written(graph: Graph) -> None:
    context = await graph.engine.contexts.read(await graph.claims("admin"))
    count = Statement("SELECT count(*) FROM product WHERE sku = 'here'", (), {})
    async with context.begin() as work:
        await work.create(Product.make(name="Cup", sku="here", active=True), PRODUCT, ProductCreated())
        assert (await work.session.fetch(count, {}))[0][0] == 1


async def test_the_number_of_an_order_is_counted_when_nothing_can_be_refused(graph: Graph) -> None:
    """Others wait for the counter: whatever is asked under it keeps all drafts of the workspace waiting."""
    for role in ("admin", "sales_rep"):
        owner = (await graph.claims("sales_rep")).member_id
        variables = {"customer": await graph.id_of(Customer, f"owner_id = '{owner}'")}
        made = (await graph.data(ORDER, variables, role=role))["createOrder"]
        assert made["errors"] == []
        sent = graph.database.one.sent
        counted = next(place for place, text in enumerate(sent) if "order_counter" in text)
        under_the_lock = sent[counted + 1 :]
        # Whether somebody has the number, what is written, and after the commit the payload.
        assert len(under_the_lock) == 3, "\n".join(sent)
        assert under_the_lock[1].startswith("WITH part_0 AS (INSERT INTO sales_order")
