"""A field whose grant asks for it cannot be read without an event, by whichever door."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson
import pytest

from crm_graph.api.body import GraphQLRequest
from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.identity.origin import Origin
from crm_graph.kernel.settings import Settings
from tests.support.graph import Graph

ROLE = "sales_manager"
GRANTS: dict[str, dict[str, Any]] = {
    "Customer": {
        "read": "ALL",
        "create": "ALL",
        "update": "ALL",
        "fields": {"phone": ["WRITE ALL audited"], "annualRevenue": ["WRITE ALL audited"]},
    },
    "Opportunity": {"read": "ALL", "create": "ALL", "update": "ALL"},
    "Member": {"read": "ALL", "default": "READ", "fields": {"email": ["READ ALL audited"]}},
    "Order": {"read": "ALL"},
}
ORIGIN = Origin("203.0.113.7", "test")
EXECUTORS = pytest.mark.parametrize("executor", ["planned", "reference"])
PHONE, EMAIL, REVENUE = "Customer.phone", "Member.email", "Customer.annualRevenue"


@pytest.fixture
async def asking(graph: Graph) -> Asking:
    """The graph, with a role that asks for audited fields."""
    made = Asking(graph)
    await made.grant(GRANTS)
    return made


class Asking:
    """Operations of a member with the role, and the events that came of them."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    async def grant(self, grants: Mapping[str, Any]) -> None:
        """Redefine the role in the workspace `demo`."""
        await self.graph.database.one.connection.execute(
            "WITH demo AS (UPDATE workspace_directory SET directory_version = directory_version + 1"
            " WHERE workspace_id = (SELECT id FROM workspace WHERE slug = 'demo') RETURNING workspace_id AS id)"
            " INSERT INTO role (workspace_id, id, name, grants, version, created_at, updated_at)"
            " SELECT id, gen_random_uuid(), $1, $2, 1, now(), now() FROM demo"
            " ON CONFLICT (workspace_id, name) DO UPDATE SET grants = excluded.grants",
            ROLE,
            grants,
        )

    async def ask(self, source: str, variables: dict[str, Any] | None = None, **settings: Any) -> dict[str, Any]:
        """Execute an operation as the member, from an address, and return the response."""
        graph = self.graph
        claims = await graph.claims(ROLE)
        request = GraphQLRequest(source, None, variables or {})
        operation = await graph.engine.admission.operation(request, claims)
        graph.database.one.sent.clear()
        return (await graph.engine.execute(request, operation, claims, origin=ORIGIN)).body

    async def events(self) -> list[dict[str, Any]]:
        """Return the events about sensitive reads, whole."""
        rows = await self.graph.rows("SELECT * FROM event WHERE type = 'SensitiveFieldsRead' ORDER BY seq")
        return [dict(row) for row in rows]

    async def read(self, source: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
        """Execute an operation that must succeed and be written down in one event, and return the event's data."""
        before = len(await self.events())
        body = await self.ask(source, variables)
        assert "errors" not in body, body
        found = await self.events()
        assert len(found) == before + 1
        data: dict[str, Any] = found[-1]["data"]
        return data


QUERIES: dict[str, tuple[str, list[str]]] = {
    "leaf": ("query Ask($id: ID!) { customer(id: $id) { phone } }", [PHONE]),
    "money": ("query Ask($id: ID!) { customer(id: $id) { annualRevenue { amount } } }", [REVENUE]),
    "node": ("query Ask($id: ID!) { node(id: $id) { ... on Customer { phone } } }", [PHONE]),
    "fragment": ("query Ask($id: ID!) { customer(id: $id) { ...f } } fragment f on Customer { phone }", [PHONE]),
    "list": ("query Ask { customers(first: 3) { nodes { phone } } }", [PHONE]),
    "edges": ("query Ask { customers(first: 3) { edges { node { phone } } } }", [PHONE]),
    "to one": (
        "query Ask { opportunities(first: 3) { nodes { customer { phone } owner { email } } } }",
        [PHONE, EMAIL],
    ),
    "to many": (
        "query Ask { members(first: 5) { nodes { reports(first: 2) { nodes { email } } } } }",
        [EMAIL],
    ),
    "filter": ('query Ask { customers(where: {phone: {startsWith: "1"}}) { nodes { id } } }', [PHONE]),
    "count": ("query Ask { customers(where: {phone: {isNull: false}}) { totalCount } }", [PHONE]),
    "filter below not": ('query Ask { customers(where: {not: {phone: {eq: "1"}}}) { totalCount } }', [PHONE]),
    "filter across an edge": (
        'query Ask { opportunities(where: {owner: {email: {contains: "a"}}}) { totalCount } }',
        [EMAIL],
    ),
    "filter across a list": (
        'query Ask { members(where: {reports: {some: {email: {contains: "a"}}}}) { totalCount } }',
        [EMAIL],
    ),
    "order": ("query Ask { customers(orderBy: [{field: PHONE}], first: 2) { nodes { id } } }", [PHONE]),
    "order across an edge": (
        "query Ask { opportunities(orderBy: [{field: OWNER_EMAIL}], first: 2) { nodes { id } } }",
        [EMAIL],
    ),
    "order and joins": (
        "query Ask { opportunities(orderBy: [{field: OWNER_EMAIL}], first: 2) { nodes { owner { name } } } }",
        [EMAIL],
    ),
    "nested filter": (
        'query Ask { members(first: 2) { nodes { reports(where: {email: {contains: "a"}}) { totalCount } } } }',
        [EMAIL],
    ),
    "measure": ("query Ask { customersAggregate { groups { sum { annualRevenue } } } }", [REVENUE]),
    "group": ("query Ask { customersAggregate(groupBy: [{field: PHONE}]) { groups { count } } }", [PHONE]),
    "having": (
        'query Ask { customersAggregate(having: {sum: {annualRevenue: {gt: "1"}}}) { groups { count } } }',
        [REVENUE],
    ),
    "filter of an aggregate": (
        'query Ask { customersAggregate(where: {phone: {startsWith: "1"}}) { groups { count } } }',
        [PHONE],
    ),
    "several": ("query Ask($id: ID!) { customer(id: $id) { phone annualRevenue { amount } } }", [REVENUE, PHONE]),
}


@EXECUTORS
@pytest.mark.parametrize("door", QUERIES)
async def test_every_door_is_written_down_once(asking: Asking, executor: str, door: str) -> None:
    source, fields = QUERIES[door]
    graph = asking.graph
    graph.use(executor)
    variables = {"id": await graph.id_of(Customer)} if "$id" in source else {}
    event = await asking.read(source, variables)
    assert sorted(event["fields"]) == sorted(fields)
    again = await asking.read(source, variables)  # from a cached plan
    assert again == event
    assert (event["operation"], len(event["document"])) == ("Ask", 64)


@EXECUTORS
async def test_the_event_says_who_from_where_and_which(asking: Asking, executor: str) -> None:
    graph = asking.graph
    graph.use(executor)
    claims = await graph.claims(ROLE)
    id_ = await graph.id_of(Customer)
    await asking.read("query Ask($id: ID!) { customer(id: $id) { phone } }", {"id": id_})
    (event,) = await asking.events()
    assert (event["workspace_id"], event["actor"]) == (claims.workspace_id, claims.member_id)
    assert (event["address"], event["client_id"]) == ("203.0.113.7", None)
    assert event["request_id"] is not None
    assert (event["entity"], event["entity_id"], event["changes"]) == ("Workspace", claims.workspace_id, {})
    assert (event["data"]["records"], event["data"]["record_count"]) == ([id_], 1)


@EXECUTORS
async def test_the_records_of_each_level_are_named(asking: Asking, executor: str) -> None:
    graph = asking.graph
    graph.use(executor)
    source = "{ opportunities(first: 4) { nodes { id customer { id phone } owner { id email } } } }"
    body = await asking.ask(source)
    nodes = body["data"]["opportunities"]["nodes"]
    (event,) = await asking.events()
    expected = {node[edge]["id"] for node in nodes for edge in ("customer", "owner") if node[edge] is not None}
    assert set(event["data"]["records"]) == expected
    assert event["data"]["record_count"] == len(expected)


@EXECUTORS
async def test_a_page_names_what_it_answers_and_no_more(asking: Asking, executor: str) -> None:
    asking.graph.use(executor)
    for arguments in ("first: 3", "last: 3"):
        body = await asking.ask(f"{{ customers({arguments}) {{ nodes {{ phone id }} }} }}")
        (*_, event) = await asking.events()
        assert event["data"]["records"] == [node["id"] for node in body["data"]["customers"]["nodes"]][::1] or (
            sorted(event["data"]["records"]) == sorted(node["id"] for node in body["data"]["customers"]["nodes"])
        )
        assert event["data"]["record_count"] == 3


async def test_many_records_are_counted(asking: Asking) -> None:
    graph = asking.graph
    settings = replace(Settings(), audit_max_ids=5)
    graph.engine.execution.services = replace(graph.engine.services, settings=settings)
    event = await asking.read("{ customers(first: 20) { nodes { phone } } }")
    assert (len(event["records"]), event["record_count"]) == (5, 20)


@EXECUTORS
async def test_it_costs_one_statement(asking: Asking, executor: str) -> None:
    graph = asking.graph
    graph.use(executor)
    source = "{ customers(first: 3, orderBy: [{field: PHONE}]) { nodes { phone owner { email } } } }"
    sent = []
    for grants in (GRANTS, orjson.loads(orjson.dumps(GRANTS).replace(b" audited", b""))):
        await asking.grant(grants)
        await asking.ask(source)  # the viewer is read anew
        await asking.ask(source)
        sent.append(graph.statements)
    assert sent[0] == sent[1] + 1
    assert len(await asking.events()) == 2


@EXECUTORS
@pytest.mark.parametrize(
    "source",
    [
        "{ customers(first: 3) { nodes { name owner { name } } totalCount } }",
        "{ customers(first: 3) { nodes { name phone @skip(if: true) } } }",
        "{ customersAggregate { groups { count } } }",
        "{ __typename viewer { roles } }",
    ],
)
async def test_what_is_not_audited_is_not_written_down(asking: Asking, executor: str, source: str) -> None:
    asking.graph.use(executor)
    body = await asking.ask(source)
    assert "errors" not in body
    assert await asking.events() == []


async def test_no_built_in_role_asks_for_it(graph: Graph) -> None:
    for role in graph.engine.access.built_in:
        await graph.execute("{ customers { nodes { phone email owner { email } } } }", role=role)
    assert await graph.value("SELECT count(*) FROM event WHERE type = 'SensitiveFieldsRead'") == 0


@EXECUTORS
async def test_a_refused_operation_reads_nothing(asking: Asking, executor: str) -> None:
    asking.graph.use(executor)
    grants = orjson.loads(orjson.dumps(GRANTS))
    grants["Customer"]["fields"]["email"] = ["NONE ALL"]
    await asking.grant(grants)
    body = await asking.ask('{ customers(where: {email: {contains: "a"}}) { nodes { phone } } }')
    assert body["data"] is None or body["data"]["customers"] is None
    assert body["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert all(event["data"]["records"] == [] for event in await asking.events())


@EXECUTORS
async def test_a_mutation_is_written_down_for_its_payload(asking: Asking, executor: str) -> None:
    graph = asking.graph
    graph.use(executor)
    id_ = await graph.id_of(Customer)
    payload = "updateCustomer(input: $input) { customer { %s } errors { code } }"
    source = f"mutation Ask($input: UpdateCustomerInput!) {{ {payload} }}"
    body = await asking.ask(source % "name", {"input": {"id": id_, "name": "New"}})
    assert body["data"]["updateCustomer"]["errors"] == []
    assert await asking.events() == []
    event = await asking.read(source % "name phone", {"input": {"id": id_, "name": "Newer"}})
    assert (event["fields"], event["records"]) == ([PHONE], [id_])


NOT_WRITTEN = "ALTER TABLE event ADD CONSTRAINT no_reads CHECK (type <> 'SensitiveFieldsRead') NOT VALID"


@EXECUTORS
async def test_what_cannot_be_written_down_is_not_answered(asking: Asking, executor: str) -> None:
    graph = asking.graph
    graph.use(executor)
    phone = await graph.value("SELECT phone FROM customer WHERE phone IS NOT NULL LIMIT 1")
    await graph.database.one.connection.execute(NOT_WRITTEN)
    for source in (
        "{ customers { nodes { phone } } }",
        "{ customers(where: {phone: {isNull: false}}) { totalCount } }",
    ):
        body = await asking.ask(source)
        assert set(body) == {"errors"}
        assert [error["extensions"]["code"] for error in body["errors"]] == ["INTERNAL"]
        assert phone not in str(body)
        assert "no_reads" not in str(body)
    assert "data" in await asking.ask("{ customers { nodes { name } } }")


async def test_a_viewer_that_was_not_confirmed_leaves_no_event_of_its_own(asking: Asking) -> None:
    """The answer of a remembered viewer who is another one by now is thrown away, and so are its reads."""
    source = "{ customers(first: 2) { nodes { phone } } }"
    await asking.read(source)
    await asking.grant({**GRANTS, "Customer": {"read": "ALL", "default": "READ"}})
    body = await asking.ask(source)
    assert len(body["data"]["customers"]["nodes"]) == 2
    assert len(await asking.events()) == 1


async def test_nested_keys_of_groups(asking: Asking) -> None:
    source = "{ opportunitiesAggregate(groupBy: [{field: OWNER}]) { groups { key { owner { email } } count } } }"
    event = await asking.read(source)
    assert event["fields"] == [EMAIL]
    assert event["record_count"] > 0
