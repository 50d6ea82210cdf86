"""Customers in the schema."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import strawberry

from crm_graph.domains.customers.customers import account_team, events, model, operations, policy
from crm_graph.domains.workspace.members.graph import AS_IT_IS, THAT_MATCH, Member, MemberChange
from crm_graph.events.log import Event
from crm_graph.graph import writes
from crm_graph.graph.changes.live import Watch
from crm_graph.graph.context import GraphContext
from crm_graph.graph.records import roots
from crm_graph.graph.records.enums import describe
from crm_graph.graph.records.measures import Use
from crm_graph.graph.records.record import (
    SENT,
    SENT_ONCE,
    Node,
    by_key,
    column,
    money,
    record,
    reverse,
    sent,
    timeline,
    to_many,
    to_one,
    watch,
)
from crm_graph.graph.records.types import AggregateOf, Connection, Money
from crm_graph.graph.schema.build import Slice
from crm_graph.graph.writes import Written

describe(
    model.CustomerKind,
    "What a customer is.",
    {
        "COMPANY": "A company or another organisation.",
        "PERSON": "A person.",
    },
)
describe(
    model.Lifecycle,
    "Where a customer stands.",
    {
        "POTENTIAL": "潜在: could become a customer, and does not know it yet.",
        "INTERESTED": "意向: has shown interest.",
        "ACTIVE": "成交: buys.",
        "CHURNED": "流失: has left.",
    },
    name="CustomerLifecycle",
)


@record("cus", model.Customer, policy.CUSTOMER)
class Customer(Node):
    """A company or person that buys, bought, or could buy."""

    kind: model.CustomerKind = column("Whether it is a company or a person.", SENT)
    name: str = column("The customer's name.", SENT, use=Use.DIMENSION)
    lifecycle: model.Lifecycle = column("Where the customer stands.", SENT_ONCE)
    lifecycle_since: datetime = column("When the customer reached this point of its lifecycle.")
    industry: str | None = column("The line of business.", SENT)
    email: str | None = column("The main e-mail address.", SENT)
    phone: str | None = column("The main phone number.", SENT)
    website: str | None = column("The web address.", SENT, use=Use.NEITHER)
    city: str | None = column("The city of the main office or home.", SENT)
    country: str | None = column("The country of the main office or home.", SENT)
    employees: int | None = column("How many people work there.", SENT)
    founded_year: int | None = column(
        "The year in which the company was founded.", SENT, use=Use.DIMENSION | Use.MEASURE
    )
    annual_revenue: Money | None = money("annual_revenue", "currency", "The revenue of a year.", SENT)
    source: str | None = column("Where the customer came from.", SENT)
    owner: Member | None = to_one("owner_id", "The member who looks after the customer.", sent(otherwise="you"))
    parent: Customer | None = to_one("parent_id", "The company that owns this one.", SENT)
    subsidiaries: Connection[Customer] = to_many("parent_id", "The companies that this one owns.")
    account_team: Connection[AccountTeamMember] = to_many(
        "customer_id", "Who looks after the customer together with its owner: the row scope ACCOUNT_TEAM."
    )
    external_id: str | None = column("The customer's id in the system it came from, unique in the workspace.", SENT)


@record("act", model.AccountTeamMember, policy.ACCOUNT_TEAM_MEMBER)
class AccountTeamMember(Node):
    """A member who looks after a customer together with its owner; part of the customer."""

    customer: Customer | None = to_one("customer_id", "The customer.", SENT_ONCE)
    member: Member | None = to_one("member_id", "The member who looks after the customer too.", SENT_ONCE)
    duty: str | None = column("What the member does for the customer.", SENT_ONCE)


class Queries:
    """Fields of Query."""

    customer: Customer | None = roots.one("A customer by id.")
    customers: Connection[Customer] = roots.many("The customers that you may see.")
    customers_aggregate: AggregateOf[Customer] = roots.aggregate("Measures over customers.")


@strawberry.input(description="A step of a customer's lifecycle.")
class ChangeCustomerLifecycleInput(writes.OneOf):
    """See `operations.change_lifecycle`."""

    to: model.Lifecycle = strawberry.field(description="Where the customer now stands.")


class Mutations:
    """Fields of Mutation."""

    create_customer: Written[Customer] = writes.create("Adds a customer.", operations.create_customer)
    update_customer: Written[Customer] = writes.update("Changes a customer's data.", operations.update_customer)
    change_customer_lifecycle: Written[Customer] = writes.asked(
        "Moves a customer along its lifecycle.",
        operations.LIFECYCLE,
        ChangeCustomerLifecycleInput,
        lambda work, id_, input_: operations.change_lifecycle(work, id_, input_.to, input_.if_version),
    )
    delete_customer: Written[Customer] = writes.delete(
        "Deletes a customer that nothing points to.", operations.delete_customer
    )
    add_account_team_member: Written[AccountTeamMember] = writes.create(
        "Adds a member to a customer's account team.", account_team.add_account_team_member
    )
    remove_account_team_member: Written[AccountTeamMember] = writes.delete(
        "Takes a member off a customer's account team.", account_team.remove_account_team_member
    )


@strawberry.type(description="Something that happened to a customer that you may see.")
class CustomerChange(MemberChange):
    """One event of the log with the current record."""

    customer: Customer | None = by_key("key", f"The customer {AS_IT_IS}")


@strawberry.type(description="Something that happened to a customer, or to what belongs to it, that you may see.")
class TimelineChange(MemberChange):
    """One event of the log with the current record, of whatever type."""

    node_key: strawberry.Private[tuple[str, str] | None]
    type: str = strawberry.field(description="The type of the record: `Ticket`.")
    node: Node | None = by_key("node_key", f"The record {AS_IT_IS}")

    @classmethod
    def more(cls, watch: Watch, event: Event, context: GraphContext, *, gone: bool) -> Mapping[str, Any]:  # noqa: ARG003
        """Return the type of the record, and the record."""
        return {"type": event.entity, "node_key": None if gone else (event.entity, event.entity_id)}


class Subscriptions:
    """Fields of Subscription."""

    timeline_changed: TimelineChange = timeline(
        Customer,
        "Every change of a customer and of all that belongs to it, each where you may see it and may filter by its "
        "customer. In the order of the log: none lost, none twice. Resume with `after`.",
    )

    customer_changed: CustomerChange = watch(Customer, f"Every change of the customers {THAT_MATCH}")


SLICE = Slice(
    "customers",
    records=(Customer, AccountTeamMember),
    queries=(Queries,),
    mutations=(Mutations,),
    subscriptions=(Subscriptions,),
    extensions=(
        reverse(Member, "customers", Connection[Customer], "owner_id", "The customers that the member looks after."),
    ),
    events=events.EVENTS,
)
