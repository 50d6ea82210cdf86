"""The version of a whole covers its parts: every operation on a part moves it once, and a stale `ifVersion` conflicts.

The parts are read off the policies; a part without a case here fails.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from pkgutil import walk_packages
from typing import Any

import pytest

from crm_graph import domains
from crm_graph.domains.catalog.products.graph import Product
from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.marketing.campaigns.graph import Campaign
from crm_graph.domains.service.tickets.graph import Ticket
from crm_graph.domains.workspace.members.graph.types import Member
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.kernel.ids import split_id
from crm_graph.permissions.policy import Policy
from crm_graph.wholes import PARTS
from tests.support.graph import Graph

Ids = dict[str, str]
Input = Callable[[Ids], Mapping[str, Any]]


@dataclass(frozen=True)
class Step:
    """A mutation of a part, and how many statements it sends: one more at most than if there were no whole."""

    field: str
    input: Input
    statements: int
    made: str = ""
    """The field of the payload that holds the part; its id is known as `part` from then on."""


@dataclass(frozen=True)
class Case:
    """A type of parts, how its whole is made, what is done to one, and an update of the whole that names a version."""

    part: str
    connection: str | None
    """The field of the whole that holds them; None for what no field shows."""
    set_up: Callable[[Graph], Awaitable[Ids]]
    steps: tuple[Step, ...]
    stale: tuple[str, Input]


async def mutate(graph: Graph, field: str, input_: Mapping[str, Any], selection: str = "") -> Any:
    """Return the payload of a mutation that must be done."""
    type_ = f"{field[0].upper()}{field[1:]}Input!"
    source = f"mutation ($input: {type_}) {{ {field}(input: $input) {{ {selection} errors {{ code message }} }} }}"
    payload = (await graph.data(source, {"input": input_}))[field]
    assert payload["errors"] == [], payload
    return payload


async def product_of(graph: Graph) -> str:
    made = await mutate(
        graph, "createProduct", {"name": "Lid", "price": {"amount": "12.00", "currency": "CNY"}}, "product { id }"
    )
    return str(made["product"]["id"])


async def order(graph: Graph) -> Ids:
    made = await mutate(
        graph, "createOrder", {"customerId": await graph.id_of(Customer), "currency": "CNY"}, "order { id }"
    )
    return {"whole": made["order"]["id"], "product": await product_of(graph)}


async def opportunity(graph: Graph) -> Ids:
    made = await mutate(graph, "createOpportunity", {"name": "Deal"}, "opportunity { id }")
    return {"whole": made["opportunity"]["id"], "product": await graph.id_of(Product, "price IS NOT NULL")}


async def pipeline(graph: Graph) -> Ids:
    return {"whole": (await mutate(graph, "createPipeline", {"name": "New"}, "pipeline { id }"))["pipeline"]["id"]}


async def api_client(graph: Graph) -> Ids:
    return {"whole": (await mutate(graph, "createApiClient", {"name": "web"}, "apiClient { id }"))["apiClient"]["id"]}


async def customer(graph: Graph) -> Ids:
    made = await mutate(graph, "createCustomer", {"name": "Ren"}, "customer { id }")
    return {"whole": made["customer"]["id"], "member": await graph.id_of(Member)}


async def endpoint(graph: Graph) -> Ids:
    given = {"url": "https://example.com/hook", "eventTypes": ["CustomerCreated"], "roles": ["admin"]}
    made = await mutate(graph, "createWebhookEndpoint", given, "webhookEndpoint { id }")
    return {"whole": made["webhookEndpoint"]["id"]}


async def provider(graph: Graph) -> Ids:
    given = {"name": "Firm", "issuer": "https://login.example.com", "clientId": "crm"}
    made = await mutate(graph, "createIdentityProvider", given, "identityProvider { id }")
    return {"whole": made["identityProvider"]["id"]}


def whole(**values: Any) -> Input:
    return lambda ids: {"id": ids["whole"], **values}


def part(**values: Any) -> Input:
    return lambda ids: {"id": ids["part"], **values}


CASES = (
    Case(
        "OrderLine",
        "lines",
        order,
        (
            Step("addOrderLine", lambda ids: {"orderId": ids["whole"], "productId": ids["product"]}, 6, "line"),
            Step("updateOrderLine", part(description="the same total"), 5),
            Step("updateOrderLine", part(quantity="3"), 5),
            Step("removeOrderLine", part(), 5),
        ),
        ("updateOrder", whole(notes="x")),
    ),
    Case(
        "OpportunityLine",
        "lines",
        opportunity,
        (
            Step(
                "addOpportunityLine",
                lambda ids: {"opportunityId": ids["whole"], "productId": ids["product"], "unitPrice": "7"},
                3,
                "line",
            ),
            Step("updateOpportunityLine", part(quantity="3"), 3),
            Step("removeOpportunityLine", part(), 3),
        ),
        ("updateOpportunity", whole(name="x")),
    ),
    Case(
        "Stage",
        "stages",
        pipeline,
        (
            Step(
                "createStage",
                lambda ids: {
                    "pipelineId": ids["whole"],
                    "name": "Late",
                    "position": 9,
                    "kind": "OPEN",
                    "probability": 5,
                },
                3,
                "stage",
            ),
            Step("updateStage", part(probability=6), 2),
            Step("moveStage", part(position=7), 6),
            Step("deleteStage", part(), 2),
        ),
        ("updatePipeline", whole(name="x")),
    ),
    Case(
        "AccountTeamMember",
        "accountTeam",
        customer,
        (
            Step(
                "addAccountTeamMember",
                lambda ids: {"customerId": ids["whole"], "memberId": ids["member"]},
                3,
                "accountTeamMember",
            ),
            Step("removeAccountTeamMember", part(), 2),
        ),
        ("updateCustomer", whole(name="x")),
    ),
    Case(
        "ApiKey",
        "keys",
        api_client,
        (
            Step("createApiKey", lambda ids: {"clientId": ids["whole"], "name": "k"}, 8, "apiKey"),
            Step("rotateApiKey", part(), 7),
            Step("revokeApiKey", part(), 5),
        ),
        ("updateApiClient", whole(name="x")),
    ),
    Case(
        "WebhookSecret",
        None,
        endpoint,
        (Step("rotateWebhookEndpointSecret", whole(), 4),),
        ("updateWebhookEndpoint", whole(description="x")),
    ),
    Case(
        "IdentityProviderSecret",
        None,
        provider,
        (
            Step("updateIdentityProvider", whole(clientSecret="new"), 9),
            Step("updateIdentityProvider", whole(clientSecret="newer", name="Both"), 8),
            Step("updateIdentityProvider", whole(clientSecret=None), 7),
        ),
        ("updateIdentityProvider", whole(name="x")),
    ),
)


def policies() -> Mapping[str, Policy]:
    """Return the policies of all slices, those of what is no type of the schema included."""
    names = (each.name for each in walk_packages(domains.__path__, f"{domains.__name__}."))
    modules = [import_module(name) for name in names if name.endswith(".policy")]
    found = (value for module in modules for value in vars(module).values() if isinstance(value, Policy))
    return {policy.type: policy for policy in found}


POLICIES = policies()


def test_every_part_says_whether_it_counts(schema: BuiltSchema) -> None:
    assert set(POLICIES) >= {policy.type for policy in schema.policies}
    assert {case.part for case in CASES} == {name for name, policy in POLICIES.items() if policy.in_version}
    apart = {name for name, policy in POLICIES.items() if policy.in_version is False}
    assert apart == {"StageMove", "OrderStatusChange", "TicketReply", "CampaignMember", "TrustedDocument"}


def test_a_policy_that_does_not_say_it_is_refused() -> None:
    line = POLICIES["OrderLine"]
    with pytest.raises(ValueError, match="OrderLine must say by `in_version` whether"):
        replace(line, in_version=None)
    with pytest.raises(ValueError, match="Order is no part and cannot say"):
        replace(POLICIES["Order"], in_version=False)
    with pytest.raises(ValueError, match="Box is a part of a part: only the version of OrderLine would move"):
        Policy("Box", line.table, parent=(line, "order_id"), in_version=line.in_version)


class World:
    """One whole, and what the log says of it."""

    def __init__(self, graph: Graph, policy: Policy, ids: Ids) -> None:
        assert policy.parent is not None
        self.graph, self.policy, self.ids = graph, policy, ids
        self.table, self.type = policy.parent[0].table.name, policy.parent[0].type

    @property
    def inner(self) -> str:
        found = split_id(self.ids["whole"])
        assert found is not None
        return found[1]

    async def version(self) -> int:
        return int(await self.graph.value(f"SELECT version FROM {self.table} WHERE id = $1", self.inner))

    async def last(self) -> int:
        return int(await self.graph.value("SELECT coalesce(max(seq), 0) FROM event"))

    async def events(self, after: int) -> list[Any]:
        return await self.graph.rows(
            "SELECT type, entity, replace(entity_id::text, '-', '') AS id, data, changes FROM event"
            " WHERE seq > $1 ORDER BY seq",
            after,
        )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.part)
async def test_each_operation_moves_the_version_once(graph: Graph, case: Case) -> None:
    policy = POLICIES[case.part]
    world = World(graph, policy, await case.set_up(graph))
    for step in case.steps:
        before, last = await world.version(), await world.last()
        selection = f"{step.made} {{ id }}" if step.made else ""
        payload = await mutate(graph, step.field, step.input(world.ids), selection)
        # The payload's own record is one statement more.
        assert graph.statements - bool(step.made) == step.statements, "\n".join([step.field, *graph.database.one.sent])
        if step.made:
            world.ids["part"] = payload[step.made]["id"]
        assert await world.version() == before + 1, step.field
        own = [
            event for event in await world.events(last) if event["id"] == world.inner and event["entity"] == world.type
        ]
        assert own, step.field
        if case.connection is not None:
            assert [event["data"].get(PARTS) for event in own] == [[case.part]], (step.field, own)
        field, input_ = case.stale
        type_ = f"{field[0].upper()}{field[1:]}Input!"
        source = f"mutation ($input: {type_}) {{ {field}(input: $input) {{ errors {{ code field }} }} }}"
        refused = await graph.data(source, {"input": {**input_(world.ids), "ifVersion": before}})
        assert refused[field]["errors"] == [{"code": "CONFLICT", "field": ["ifVersion"]}], step.field


async def test_an_order_whose_lines_changed_is_not_submitted(graph: Graph) -> None:
    """At the same total: what a colleague did is seen before it is approved."""
    ids = await order(graph)
    line = {"productId": ids["product"], "quantity": "2"}
    given = {"customerId": await graph.id_of(Customer), "currency": "CNY", "lines": [line]}
    made = (await mutate(graph, "createOrder", given, "order { id version lines { nodes { id } } }"))["order"]
    assert made["version"] == 1
    line_id = made["lines"]["nodes"][0]["id"]
    await mutate(graph, "updateOrderLine", {"id": line_id, "quantity": "1", "unitPrice": "24"})
    source = "mutation ($id: ID!) { submitOrder(input: {id: $id, ifVersion: 1}) { order { id } errors { code } } }"
    assert (await graph.data(source, {"id": made["id"]}))["submitOrder"] == {
        "order": {"id": made["id"]},
        "errors": [{"code": "CONFLICT"}],
    }
    assert await graph.value("SELECT status FROM sales_order WHERE id = $1", made["id"][4:]) == "DRAFT"


async def test_roles_are_a_members_own(graph: Graph) -> None:
    made = await mutate(
        graph, "createMember", {"name": "Ke", "email": "ke@example.com", "roles": ["sales_rep"]}, "member { id }"
    )
    id_ = made["member"]["id"]
    await mutate(graph, "setMemberRoles", {"id": id_, "roles": ["marketer"]})
    source = 'mutation ($id: ID!) { updateMember(input: {id: $id, name: "x", ifVersion: 1}) { errors { code } } }'
    assert (await graph.data(source, {"id": id_}))["updateMember"] == {"errors": [{"code": "CONFLICT"}]}


async def test_a_new_whole_is_at_version_1_with_all_its_parts(graph: Graph) -> None:
    made = await mutate(graph, "createPipeline", {"name": "New"}, "pipeline { version stages { totalCount } }")
    assert made["pipeline"]["version"] == 1
    assert made["pipeline"]["stages"]["totalCount"] > 1


async def test_what_others_add_leaves_the_version_alone(graph: Graph) -> None:
    ticket, campaign = await graph.id_of(Ticket), await graph.id_of(Campaign)
    version = "SELECT (SELECT version FROM ticket WHERE id = $1) + (SELECT version FROM campaign WHERE id = $2)"
    before = await graph.value(version, ticket[4:], campaign[4:])
    await mutate(graph, "addTicketReply", {"ticketId": ticket, "body": "a note", "public": False})
    one = (await mutate(graph, "createCustomer", {"name": "Ren"}, "customer { id }"))["customer"]["id"]
    added = await mutate(graph, "addCampaignMember", {"campaignId": campaign, "customerId": one}, "member { id }")
    await mutate(graph, "removeCampaignMember", {"id": added["member"]["id"]})
    assert await graph.value(version, ticket[4:], campaign[4:]) == before


async def test_nothing_moves_where_nothing_changed(graph: Graph) -> None:
    ids = await order(graph)
    made = await mutate(graph, "addOrderLine", {"orderId": ids["whole"], "productId": ids["product"]}, "line { id }")
    source = "SELECT version FROM sales_order WHERE id = $1"
    before = await graph.value(source, ids["whole"][4:])
    await mutate(graph, "updateOrderLine", {"id": made["line"]["id"], "quantity": "1"})
    assert await graph.value(source, ids["whole"][4:]) == before
