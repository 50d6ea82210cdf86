"""What a record says together with what it points to, one combination after another, at each door."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from crm_graph.kernel.ids import encode_id
from tests.support.graph import Graph


class World:
    """Records of the demo workspace to put together wrongly, by names."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.ids: dict[str, str] = {}

    async def build(self) -> None:
        """Make them; what the API does not do any more is done past it."""
        for name in ("a", "b"):
            await self.make(name, "customer", "createCustomer", {"name": f"Customer {name}"})
            await self.make(f"person_{name}", "contact", "createContact", {"name": name, "customerId": "@" + name})
            await self.make(
                f"deal_{name}", "opportunity", "createOpportunity", {"name": name, "customerId": "@" + name}
            )
            await self.make(f"order_{name}", "order", "createOrder", {"customerId": "@" + name, "currency": "USD"})
            await self.make(f"ticket_{name}", "ticket", "createTicket", {"subject": name, "customerId": "@" + name})
        await self.make("orphan", "opportunity", "createOpportunity", {"name": "of nobody"})
        for name, active in (("sold", True), ("dropped", False)):
            await self.make(name, "product", "createProduct", {"name": name, "active": active})
        await self.make("campaign", "campaign", "createCampaign", {"name": "Mails", "channel": "EMAIL"})
        for name, roles in (("gone", ["admin"]), ("blind", []), ("rep", ["sales_rep"]), ("books", ["finance"])):
            await self.make(
                name, "member", "createMember", {"name": name, "email": f"{name}@x.example", "roles": roles}
            )
        await self.graph.rows("UPDATE member SET status = 'SUSPENDED' WHERE id = $1", self.ids["gone"][4:])
        await self.make("lost", "opportunity", "createOpportunity", {"name": "lost", "customerId": "@a"})
        for kind in ("LOST", "WON", "OPEN"):
            stage = await self.graph.value(
                "SELECT stage.id FROM stage JOIN opportunity ON opportunity.pipeline_id = stage.pipeline_id"
                " WHERE opportunity.id = $1 AND kind = $2 ORDER BY position LIMIT 1",
                *(self.ids["lost"][4:], kind),
            )
            self.ids[f"to_{kind.lower()}"] = encode_id("stg", stage)
        refused = await self.refusals(
            "moveOpportunity", {"id": "@lost", "stageId": "@to_lost", "lostReason": "too dear"}
        )
        assert refused == []

    async def make(self, name: str, record: str, field: str, values: Mapping[str, Any]) -> None:
        """Make a record that is called by a name from now on."""
        type_ = f"{field[0].upper()}{field[1:]}Input"
        query = f"mutation ($input: {type_}!) {{ {field}(input: $input) {{ {record} {{ id }} errors {{ message }} }} }}"
        answer = (await self.graph.data(query, {"input": self.named(values)}))[field]
        assert answer["errors"] == [], answer
        self.ids[name] = answer[record]["id"]

    async def refusals(self, field: str, values: Any) -> list[tuple[str, str]]:
        """Return code and path of each refusal of a mutation."""
        many = isinstance(values, list)
        given, errors = ("inputs", "results { errors { code field } }") if many else ("input", "errors { code field }")
        assert self.graph.schema.core.mutation_type is not None
        type_ = self.graph.schema.core.mutation_type.fields[field].args[given].type
        query = f"mutation ($input: {type_}) {{ {field}({given}: $input) {{ {errors} }} }}"
        answer = (await self.graph.data(query, {"input": self.named(values)}))[field]
        found = [error for each in (answer["results"] if many else [answer]) for error in each["errors"]]
        return [(each["code"], ".".join(each["field"])) for each in found]

    def named(self, value: Any) -> Any:
        """Return a value with ids in the place of names."""
        if isinstance(value, dict):
            return {key: self.named(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.named(each) for each in value]
        return self.ids[value[1:]] if isinstance(value, str) and value.startswith("@") else value


@pytest.fixture
async def world(graph: Graph) -> World:
    """The records."""
    found = World(graph)
    await found.build()
    return found


LINE = {"productId": "@dropped", "unitPrice": "1"}
INCOHERENT: dict[str, tuple[str, Any, str]] = {
    "a ticket's contact": ("createTicket", {"subject": "x", "customerId": "@a", "contactId": "@person_b"}, "contactId"),
    "another contact of a ticket": ("updateTicket", {"id": "@ticket_a", "contactId": "@person_b"}, "contactId"),
    "an order of another deal": ("createOrder", {"customerId": "@a", "opportunityId": "@deal_b"}, "opportunityId"),
    "an order of a deal without customer": (
        "createOrder",
        {"customerId": "@a", "opportunityId": "@orphan"},
        "opportunityId",
    ),
    "another deal of an order": ("updateOrder", {"id": "@order_a", "opportunityId": "@deal_b"}, "opportunityId"),
    "an order of a lost deal": ("createOrder", {"customerId": "@a", "opportunityId": "@lost"}, "opportunityId"),
    "an order made from a lost deal": ("createOrderFromOpportunity", {"opportunityId": "@lost"}, "opportunityId"),
    "a campaign's contact": (
        "addCampaignMember",
        {"campaignId": "@campaign", "customerId": "@a", "contactId": "@person_b"},
        "contactId",
    ),
    "a suspended assignee": ("createTicket", {"subject": "x", "assigneeId": "@gone"}, "assigneeId"),
    "assigned to a suspended member": ("assignTicket", {"id": "@ticket_a", "assigneeId": "@gone"}, "assigneeId"),
    "a suspended owner": ("createCustomer", {"name": "x", "ownerId": "@gone"}, "ownerId"),
    "given to a suspended member": ("updateCustomer", {"id": "@a", "ownerId": "@gone"}, "ownerId"),
    "a suspended owner of a deal": ("updateOpportunity", {"id": "@deal_a", "ownerId": "@gone"}, "ownerId"),
    "a suspended owner of an order": ("updateOrder", {"id": "@order_a", "ownerId": "@gone"}, "ownerId"),
    "a suspended owner of a campaign": ("updateCampaign", {"id": "@campaign", "ownerId": "@gone"}, "ownerId"),
    "a suspended member of an account team": (
        "addAccountTeamMember",
        {"customerId": "@a", "memberId": "@gone"},
        "memberId",
    ),
    "an assignee who sees no tickets": ("assignTicket", {"id": "@ticket_a", "assigneeId": "@books"}, "assigneeId"),
    "an owner without any role": ("updateCustomer", {"id": "@a", "ownerId": "@blind"}, "ownerId"),
    "a product that is not sold, on a deal": ("addOpportunityLine", {"opportunityId": "@deal_a", **LINE}, "productId"),
    "a product that is not sold, on an order": ("addOrderLine", {"orderId": "@order_a", **LINE}, "productId"),
    "a product that is not sold, on a new order": (
        "createOrder",
        {"customerId": "@a", "lines": [{"productId": "@sold", "unitPrice": "1"}, LINE]},
        "lines.1.productId",
    ),
    "lost, and likely": (
        "moveOpportunity",
        {"id": "@deal_a", "stageId": "@to_lost", "lostReason": "x", "probability": 50},
        "probability",
    ),
    "won, and unlikely": (
        "moveOpportunity",
        {"id": "@deal_a", "stageId": "@to_won", "amount": {"amount": "1", "currency": "USD"}, "probability": 50},
        "probability",
    ),
}


@pytest.mark.parametrize("case", INCOHERENT)
async def test_an_incoherent_record_is_refused(world: World, case: str) -> None:
    field, values, path = INCOHERENT[case]
    code = "INVALID" if path == "probability" else "INCOHERENT"
    assert await world.refusals(field, values) == [(code, path)]
    many = next((name for name in (f"{field}s", f"{field[:-1]}ies") if name in mutations(world.graph)), None)
    if many is not None:
        assert await world.refusals(many, [values]) == [(code, path)]


def mutations(graph: Graph) -> Mapping[str, Any]:
    """Return the fields of Mutation."""
    assert graph.schema.core.mutation_type is not None
    fields: Mapping[str, Any] = graph.schema.core.mutation_type.fields
    return fields
