"""What a record says together with what it points to, one combination after another, at each door."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import and_, select

from crm_graph.api.schema import make_schema
from crm_graph.coherence import fault
from crm_graph.db.base import Base, table_of
from crm_graph.db.coherence import Agrees, Sees
from crm_graph.db.rules import targets_of
from crm_graph.db.statements import compile_statement
from crm_graph.kernel.ids import encode_id
from crm_graph.kernel.naming import camel
from crm_graph.permissions.policy import workspace
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

    async def refusals(self, field: str, values: Any, **options: Any) -> list[tuple[str, str]]:
        """Return code and path of each refusal of a mutation."""
        many = isinstance(values, list)
        given, errors = ("inputs", "results { errors { code field } }") if many else ("input", "errors { code field }")
        assert self.graph.schema.core.mutation_type is not None
        type_ = self.graph.schema.core.mutation_type.fields[field].args[given].type
        query = f"mutation ($input: {type_}) {{ {field}({given}: $input) {{ {errors} }} }}"
        answer = (await self.graph.data(query, {"input": self.named(values)}, **options))[field]
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


COHERENT: dict[str, tuple[str, Any]] = {
    "a ticket of a person alone": ("createTicket", {"subject": "x", "contactId": "@person_b"}),
    "a ticket and its contact move along": (
        "updateTicket",
        {"id": "@ticket_a", "customerId": "@b", "contactId": "@person_b"},
    ),
    "an order of its customer's deal": ("createOrder", {"customerId": "@a", "opportunityId": "@deal_a"}),
    "a line of what is sold": ("addOrderLine", {"orderId": "@order_a", "productId": "@sold", "unitPrice": "1"}),
    "an assignee who sees what is theirs": ("assignTicket", {"id": "@ticket_a", "assigneeId": "@rep"}),
}


@pytest.mark.parametrize("case", COHERENT)
async def test_a_coherent_one_is_not(world: World, case: str) -> None:
    assert await world.refusals(*COHERENT[case]) == []


async def test_the_column_that_was_written_is_at_fault(world: World) -> None:
    assert await world.refusals("updateTicket", {"id": "@ticket_a", "contactId": "@person_a"}) == []
    assert await world.refusals("updateTicket", {"id": "@ticket_a", "customerId": "@b"}) == [
        ("INCOHERENT", "customerId")
    ]
    assert await world.refusals("updateTicket", {"id": "@ticket_a", "customerId": None}) == []


async def test_what_is_stored_and_stays_is_not_judged(world: World) -> None:
    """A person changes employers, and tickets of before tell of before."""
    assert await world.refusals("updateTicket", {"id": "@ticket_a", "contactId": "@person_a"}) == []
    assert await world.refusals("updateContact", {"id": "@person_a", "customerId": "@b"}) == []
    same = {"id": "@ticket_a", "subject": "y", "customerId": "@a", "contactId": "@person_a"}
    assert await world.refusals("updateTicket", same) == []
    assert await world.refusals("createTicket", {**same, "id": None}) == [("INCOHERENT", "contactId")]


async def test_a_role_that_the_workspace_defines_says_who_sees(world: World) -> None:
    assign = "assignTicket", {"id": "@ticket_a", "assigneeId": "@books"}
    for name, scope in (("finance", "OWN"), ("support_agent", "NONE")):
        await world.graph.rows(
            "INSERT INTO role (workspace_id, id, name, grants, version, created_at, updated_at)"
            " SELECT id, gen_random_uuid(), $1, $2::jsonb, 1, now(), now() FROM workspace WHERE slug = 'demo'",
            *(name, {"Ticket": {"read": scope}}),
        )
    assert await world.refusals(*assign) == []
    await world.graph.rows("UPDATE member_role SET role = 'support_agent' WHERE member_id = $1", world.ids["books"][4:])
    assert await world.refusals("assignTicket", {"id": "@ticket_b", "assigneeId": "@books"}) == [
        ("INCOHERENT", "assigneeId")
    ]


async def test_many_are_judged_in_as_few_statements(world: World) -> None:
    """Each is judged where what it points to is looked up: no statement more, for one or for many."""
    one = {"subject": "x", "customerId": "@a", "contactId": "@person_a", "assigneeId": "@rep"}
    assert await world.refusals("createTickets", [one]) == []
    few = world.graph.statements
    wrong = {**one, "contactId": "@person_b"}
    assert await world.refusals("createTickets", [one, wrong] * 20) == [("INCOHERENT", "contactId")] * 20
    assert world.graph.statements <= few + 6, "some more to take back what was refused"


async def test_who_unsubscribed_stays_unsubscribed(world: World) -> None:
    """However often they are put on a list, of whichever campaign."""
    await world.make("other", "campaign", "createCampaign", {"name": "Letters", "channel": "EMAIL"})
    for party in ({"contactId": "@person_a"}, {"customerId": "@b"}):
        await world.make("place", "member", "addCampaignMember", {"campaignId": "@campaign", **party})
        assert await world.refusals("setCampaignMemberStatus", {"id": "@place", "status": "UNSUBSCRIBED"}) == []
        assert await world.refusals("removeCampaignMember", {"id": "@place"}) == []
        for campaign in ("@campaign", "@other"):
            await world.make("again", "member", "addCampaignMember", {"campaignId": campaign, **party})
            query = "SELECT status FROM campaign_member WHERE id = $1"
            assert await world.graph.value(query, world.ids["again"][4:]) == "UNSUBSCRIBED"
    await world.make("new", "member", "addCampaignMember", {"campaignId": "@other", "contactId": "@person_b"})
    query = "SELECT status FROM campaign_member WHERE id = $1"
    assert await world.graph.value(query, world.ids["new"][4:]) == "TARGETED", "the customer's word is its own"


POLICIES = {policy.table.name for policy in make_schema().policies}
MODELS: dict[str, Any] = {table_of(mapper.class_).name: mapper.class_ for mapper in Base.registry.mappers}
TRIANGLES = {
    (name, column, theirs, ours)
    for name, model in MODELS.items()
    if name in POLICIES
    for column, target in targets_of(model).items()
    for theirs, beyond in targets_of(MODELS[target.name]).items()
    for ours, own in targets_of(model).items()
    if own is beyond and ours != column and beyond.name != "workspace"
}
"""Columns that point to a row which points to what another column of the same row does: table, column, the column of
what it points to, the other column."""
MAY_DIFFER = {
    (
        "opportunity",
        "stage_id",
        "pipeline_id",
        "pipeline_id",
    ): "a deal takes its pipeline of the stage that it"
    " starts in, and the move that looks the stage up refuses another one's: tests/domains/sales",
    **dict.fromkeys(
        [
            ("ticket", "customer_id", "owner_id", "assignee_id"),
            ("customer", "parent_id", "owner_id", "owner_id"),
            ("opportunity", "customer_id", "owner_id", "owner_id"),
            ("sales_order", "customer_id", "owner_id", "owner_id"),
            ("sales_order", "opportunity_id", "owner_id", "owner_id"),
            ("account_team_member", "customer_id", "owner_id", "member_id"),
        ],
        "colleagues look after what belongs together",
    ),
    **dict.fromkeys(
        [
            ("ticket", "assignee_id", "team_id", "queue_id"),
            ("ticket", "queue_id", "manager_id", "assignee_id"),
            ("campaign", "owner_id", "team_id", "team_id"),
            ("campaign", "team_id", "manager_id", "owner_id"),
        ],
        "teams help each other out",
    ),
    **dict.fromkeys(
        [
            ("team", "parent_id", "manager_id", "manager_id"),
            ("team", "manager_id", "team_id", "parent_id"),
            ("member", "team_id", "manager_id", "manager_id"),
            ("member", "manager_id", "team_id", "team_id"),
        ],
        "who leads is not always who is reported to, nor of the same team",
    ),
    **dict.fromkeys(
        [
            ("sales_order", "customer_id", "owner_id", "approved_by_id"),
            ("sales_order", "opportunity_id", "owner_id", "approved_by_id"),
            ("sales_order", "owner_id", "manager_id", "approved_by_id"),
            ("sales_order", "approved_by_id", "manager_id", "owner_id"),
            ("ticket_reply", "ticket_id", "assignee_id", "author_id"),
            ("stage_move", "opportunity_id", "stage_id", "from_stage_id"),
            ("stage_move", "opportunity_id", "stage_id", "to_stage_id"),
            ("stage_move", "opportunity_id", "owner_id", "member_id"),
            ("order_status_change", "order_id", "owner_id", "member_id"),
            ("order_status_change", "order_id", "approved_by_id", "member_id"),
        ],
        "what happened, and by whom: operations write it, and no input",
    ),
}
NOT_HELD = {
    **dict.fromkeys([("team", "manager_id"), ("member", "manager_id")], "leads people, and has no record to see"),
    **dict.fromkeys(
        [
            ("sales_order", "approved_by_id"),
            ("stage_move", "member_id"),
            ("order_status_change", "member_id"),
            ("ticket_reply", "author_id"),
        ],
        "who did it: the viewer",
    ),
}
"""Columns that name a member who need not be active, nor see the record."""


def test_what_shares_a_target_agrees_or_may_differ() -> None:
    agreeing = {
        (name, rule.column, rule.theirs, rule.ours)
        for name, model in MODELS.items()
        for rule in model.__coherent__
        if isinstance(rule, Agrees)
    }
    assert len(agreeing) == 3
    assert agreeing | MAY_DIFFER.keys() == TRIANGLES
    assert not agreeing & MAY_DIFFER.keys()


def test_whoever_looks_after_a_record_can() -> None:
    writable = {record.table.name for record in make_schema().registry.records.values()}
    naming = {
        (name, column)
        for name, model in MODELS.items()
        if name in writable
        for column, target in targets_of(model).items()
        if target.name == "member" and not {"identity", "platform"} & set(model.__module__.split("."))
    }
    held = {
        (name, rule.column) for name, model in MODELS.items() for rule in model.__coherent__ if isinstance(rule, Sees)
    }
    assert naming - held == NOT_HELD.keys()
    assert held <= naming


def test_every_rule_is_tried() -> None:
    """What is declared is refused at the doors: a rule that nothing tries could be one that nothing asks."""
    names = sorted((record.name for record in make_schema().registry.records.values()), key=len, reverse=True)
    tried = set()
    for field, _, path in INCOHERENT.values():
        about = re.sub("^(create|update|assign|move|add)", "", field)
        name = next(name for name in names if about.startswith(name))
        tried.add((f"{name}Line" if path.startswith("lines.") else name, path.rpartition(".")[2]))
    types = {policy.table.name: policy.type for policy in make_schema().policies}
    declared = {(types[name], camel(rule.column)) for name, model in MODELS.items() for rule in model.__coherent__}
    assert declared <= tried


async def test_the_demo_is_coherent(graph: Graph) -> None:
    """All rules hold over all rows that a new workspace begins with, but for what is over."""
    compiler = graph.schema.compiler()
    access, asked = compiler.alone(compiler.built_in["admin"]), 0
    demo = await graph.value("SELECT id FROM workspace WHERE slug = 'demo'")
    for name, model in MODELS.items():
        for rule in model.__coherent__:
            rows, target = table_of(model), targets_of(model)[rule.column].alias("target")
            wrong = fault(rule, access.over(rows), target, rows.c.__getitem__)
            joined = and_(target.c.workspace_id == rows.c.workspace_id, target.c.id == rows.c[rule.column])
            conditions = [rows.c.workspace_id == workspace(), wrong]
            if isinstance(rule, Agrees):
                conditions.append(rows.c[rule.ours].is_not(None))
            statement = compile_statement(select(rows.c.id).join(target, joined).where(*conditions))
            assert await graph.rows(statement.text, *statement.arguments({"workspace_id": demo})) == [], (name, rule)
            asked += 1
    assert asked > 12
