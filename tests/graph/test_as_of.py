"""`asOf`: records, lists, edges and aggregates as they were, under the rights of today."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.sales.opportunities.graph import Opportunity
from crm_graph.graph.running.execution import PlannedExecutor
from crm_graph.kernel.settings import Settings
from tests.support.graph import Graph
from tests.support.projected import begin, project

EXECUTORS = ("planned", "reference")
UPDATE = "mutation ($input: UpdateCustomerInput!) { updateCustomer(input: $input) { errors { message } } }"
UPDATE_DEAL = "mutation ($input: UpdateOpportunityInput!) { updateOpportunity(input: $input) { errors { message } } }"
DELETE = "mutation ($input: DeleteCustomerInput!) { deleteCustomer(input: $input) { errors { message } } }"
CREATE = (
    "mutation ($input: CreateCustomerInput!) { createCustomer(input: $input) { customer { id } errors { message } } }"
)


def now() -> str:
    return datetime.now(UTC).isoformat()


async def update(graph: Graph, source: str, **input_: Any) -> None:
    (payload,) = (await graph.data(source, {"input": input_})).values()
    assert payload["errors"] == []


@pytest.fixture
async def begun(graph: Graph) -> Graph:
    """A graph whose history has begun."""
    await begin(graph)
    return graph


@pytest.mark.parametrize("executor", EXECUTORS)
async def test_a_record_and_what_is_below_it(begun: Graph, executor: str) -> None:
    graph = begun
    graph.use(executor)
    deal = await graph.id_of(Opportunity, "customer_id IS NOT NULL AND owner_id IS NOT NULL")
    source = (
        "query ($deal: ID!, $at: DateTime) { opportunity(id: $deal, asOf: $at) { name owner { id name }"
        " customer { id name"
        ' opportunities(where: {name: {startsWith: "As it"}}) { totalCount nodes { name customer { name } } } } } }'
    )
    first = (await graph.data(source, {"deal": deal}))["opportunity"]
    before = now()
    await update(graph, UPDATE_DEAL, id=deal, name="As it is")
    await update(graph, UPDATE, id=first["customer"]["id"], name="Renamed")
    between = now()
    await update(graph, UPDATE_DEAL, id=deal, name="Later")
    await project(graph)

    async def read(at: str | None) -> Any:
        return (await graph.data(source, {"deal": deal, "at": at}))["opportunity"]

    assert await read(before) == first
    then = await read(between)
    assert (then["name"], then["owner"], then["customer"]["name"]) == ("As it is", first["owner"], "Renamed")
    assert then["customer"]["opportunities"] == {
        "totalCount": 1,
        "nodes": [{"name": "As it is", "customer": {"name": "Renamed"}}],
    }
    assert (await read(None))["customer"]["opportunities"]["totalCount"] == 0


@pytest.mark.parametrize("executor", EXECUTORS)
async def test_what_has_no_history_and_is_gone_counts_nowhere(begun: Graph, executor: str) -> None:
    graph = begun
    graph.use(executor)
    customer = await made(graph)
    create = "mutation ($input: CreateContactInput!) { createContact(input: $input) { contact { id } } }"
    contact = (await graph.data(create, {"input": {"customerId": customer, "name": "Kim"}}))["createContact"]["contact"]
    open_ = "mutation ($input: CreateTicketInput!) { createTicket(input: $input) { ticket { id } } }"
    tickets = []
    for contact_id in (contact["id"], None):
        input_ = {"customerId": customer, "contactId": contact_id, "subject": "Of two times"}
        tickets.append((await graph.data(open_, {"input": input_}))["createTicket"]["ticket"]["id"])
    at = now()
    change = "mutation ($input: UpdateTicketInput!) { updateTicket(input: $input) { errors { message } } }"
    await update(graph, change, id=tickets[0], contactId=None)
    await update(
        graph,
        "mutation ($input: DeleteContactInput!) { deleteContact(input: $input) { errors { message } } }",
        id=contact["id"],
    )
    await project(graph)
    where = 'where: {subject: {eq: "Of two times"}}'
    then = await graph.data(
        f"query ($at: DateTime!) {{ tickets(asOf: $at, {where}) {{ nodes {{ contact {{ id }} }} }}"
        f" ticketsAggregate(asOf: $at, {where}, groupBy: [{{field: CONTACT}}])"
        " { groups { key { contact { id } } count countDistinct { contact } } } }",
        {"at": at},
    )
    assert then["tickets"]["nodes"] == [{"contact": None}] * 2
    assert then["ticketsAggregate"]["groups"] == [
        {"key": {"contact": None}, "count": 2, "countDistinct": {"contact": 0}}
    ]


@pytest.mark.parametrize("executor", EXECUTORS)
async def test_lists_filters_orders_pages_and_measures(begun: Graph, executor: str) -> None:
    graph = begun
    graph.use(executor)
    source = (
        'query ($at: DateTime, $after: String) { customers(asOf: $at, where: {city: {eq: "Nowhere"}}, first: 1,'
        " after: $after, orderBy: [{field: NAME}]) { totalCount nodes { name } pageInfo { endCursor hasNextPage } }"
        ' customersAggregate(asOf: $at, where: {city: {eq: "Nowhere"}}, groupBy: [{field: OWNER}])'
        " { groups { key { owner { id } } count } } }"
    )
    ids = [
        row["id"]
        for row in await graph.rows(
            "SELECT id FROM customer WHERE workspace_id = (SELECT id FROM workspace WHERE slug = 'demo')"
            " ORDER BY id LIMIT 3"
        )
    ]
    for number, id_ in enumerate(ids):
        await update(graph, UPDATE, id=f"cus_{id_}", city="Nowhere", name=f"N{number}")
    at = now()
    for id_ in ids:
        await update(graph, UPDATE, id=f"cus_{id_}", city="Elsewhere")
    await update(graph, DELETE, id=(await made(graph)))
    await project(graph)
    assert (await graph.data(source))["customers"]["totalCount"] == 0
    names, after = [], None
    for _ in ids:
        page = (await graph.data(source, {"at": at, "after": after}))["customers"]
        names += [node["name"] for node in page["nodes"]]
        after = page["pageInfo"]["endCursor"]
        assert page["totalCount"] == 3
    assert names == ["N0", "N1", "N2"]
    groups = (await graph.data(source, {"at": at}))["customersAggregate"]["groups"]
    assert sum(group["count"] for group in groups) == 3
    error = await graph.error(source.replace("$at: DateTime, ", "").replace("asOf: $at, ", ""), {"after": after})
    assert error["path"][-1] == "customers", "a cursor of then is none of now"


async def made(graph: Graph) -> str:
    made = await graph.data(CREATE, {"input": {"name": "Made"}})
    id_: str = made["createCustomer"]["customer"]["id"]
    return id_


@pytest.mark.parametrize("executor", EXECUTORS)
async def test_what_is_deleted_is_there_before(begun: Graph, executor: str) -> None:
    graph = begun
    graph.use(executor)
    nobody = now()
    id_ = await made(graph)
    there = now()
    await update(graph, DELETE, id=id_)
    gone = now()
    await project(graph)
    source = (
        "query ($id: ID!, $at: DateTime) { customer(id: $id, asOf: $at) { name } nodes(ids: [$id], asOf: $at) { id } }"
    )
    for at, found in ((nobody, False), (there, True), (gone, False), (None, False)):
        data = await graph.data(source, {"id": id_, "at": at})
        assert data == (
            {"customer": {"name": "Made"}, "nodes": [{"id": id_}]} if found else {"customer": None, "nodes": [None]}
        )


async def test_a_request_waits_for_what_is_not_projected(graph: Graph) -> None:
    begun = Graph(graph.schema, graph.database, Settings(history_wait_ms=0))
    await begin(begun)
    source = "query ($at: DateTime) { customers(asOf: $at) { totalCount } }"
    await made(begun)
    error = await begun.error(source, {"at": now()})
    assert (error["extensions"]["code"], error["message"]) == (
        "TIMEOUT",
        "The kept history does not have all that happened before `asOf` yet. Ask again in a moment.",
    )
    await project(begun)
    assert (await begun.data(source, {"at": now()}))["customers"]["totalCount"]


async def test_bad_moments(graph: Graph) -> None:
    source = "query ($at: DateTime, $deleted: Boolean) { customers(asOf: $at, deleted: $deleted) { totalCount } }"
    graph = Graph(graph.schema, graph.database, Settings(history_wait_ms=0))
    error = await graph.error(source, {"at": now()})
    assert error["message"] == "The kept history is still being made. Ask again in a moment."
    early = now()
    await begin(graph)
    for at, deleted, message in (
        (early, None, "History began at"),
        ((datetime.now(UTC) + timedelta(minutes=1)).isoformat(), None, "`asOf` is in the future"),
        (now(), True, "`deleted` is of the recycle bin as it is"),
    ):
        error = await graph.error(source, {"at": at, "deleted": deleted})
        assert error["extensions"]["code"] == "BAD_USER_INPUT"
        assert error["message"].startswith(message)
    error = await graph.error(source, {"at": "2026-12-01T10:00:00"})
    assert "DateTime must be RFC 3339 with an offset" in error["message"]


@pytest.mark.parametrize("executor", EXECUTORS)
async def test_the_rights_of_today_on_the_row_as_it_was(begun: Graph, executor: str) -> None:
    graph = begun
    graph.use(executor)
    rep = await graph.claims("sales_rep")
    other = await graph.value(
        "SELECT id FROM member WHERE workspace_id = $1 AND id <> ALL ("
        " SELECT member_id FROM member_role WHERE workspace_id = $1 AND role = 'sales_rep') ORDER BY id LIMIT 1",
        rep.workspace_id,
    )
    made = await graph.data(CREATE, {"input": {"name": "Mine", "ownerId": f"mem_{rep.member_id}"}})
    id_ = made["createCustomer"]["customer"]["id"]
    mine = now()
    await update(graph, UPDATE, id=id_, ownerId=f"mem_{other}")
    await project(graph)
    source = "query ($id: ID!, $at: DateTime) { customer(id: $id, asOf: $at) { name viewerCan { update } } }"
    assert await graph.data(source, {"id": id_, "at": now()}, claims=rep) == {"customer": None}
    assert await graph.data(source, {"id": id_}, claims=rep) == {"customer": None}
    data = await graph.data(source, {"id": id_, "at": mine}, claims=rep)
    assert data == {"customer": {"name": "Mine", "viewerCan": {"update": True}}}


async def test_an_edge_has_a_moment_of_its_own(begun: Graph) -> None:
    deal = await begun.id_of(Opportunity, "customer_id IS NOT NULL")
    at = now()
    await update(begun, UPDATE_DEAL, id=deal, name="Later")
    await project(begun)
    customer = await begun.value("SELECT customer_id FROM opportunity WHERE id = $1", deal[4:])
    source = (
        'query ($id: ID!, $at: DateTime) { customer(id: $id) { now: opportunities(where: {name: {eq: "Later"}})'
        ' { totalCount } then: opportunities(asOf: $at, where: {name: {eq: "Later"}}) { totalCount } } }'
    )
    data = await begun.data(source, {"id": f"cus_{customer}", "at": at})
    assert data["customer"] == {"now": {"totalCount": 1}, "then": {"totalCount": 0}}


async def test_plans_are_the_same_at_any_moment(begun: Graph) -> None:
    await made(begun)
    await project(begun)
    source = "query ($at: DateTime) { customers(asOf: $at) { nodes { name owner { name } } } }"
    await begun.data(source, {"at": now()})
    executor = begun.engine.execution.executor
    assert isinstance(executor, PlannedExecutor)
    misses = executor.cache.misses
    await begun.data(source, {"at": now()})
    assert executor.cache.misses == misses
    assert begun.statements == 2, "whether history has come so far, and the page"
    assert await begun.id_of(Customer)
