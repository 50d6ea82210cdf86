"""Customers in the schema."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import strawberry

from crm_graph.domains.customers.customers import account_team, events, model, operations, policy
from crm_graph.domains.workspace.members.graph import AS_IT_IS, THAT_MATCH, Member, MemberChange
from crm_graph.events.log import Event
from crm_graph.graph.changes.live import Watch
from crm_graph.graph.context import GraphContext, Info
from crm_graph.graph.payloads import (
    DeletePayload,
    MoneyInput,
    Payload,
    field_names,
    given,
    key_of,
    new_key,
    perform,
    perform_delete,
    refer,
    spread_money,
)
from crm_graph.graph.reading.sizes import sized
from crm_graph.graph.records import roots
from crm_graph.graph.records.enums import describe
from crm_graph.graph.records.record import Node, by_key, column, extend, money, record, timeline, to_many, to_one, watch
from crm_graph.graph.records.types import AggregateOf, Connection, Money
from crm_graph.graph.schema.build import Slice
from crm_graph.work import Work

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
        "POTENTIAL": "潜在: may become a customer, and does not know it yet.",
        "INTERESTED": "意向: has shown interest.",
        "ACTIVE": "成交: buys.",
        "CHURNED": "流失: has left.",
    },
    name="CustomerLifecycle",
)


@record("cus", model.Customer, policy.CUSTOMER)
class Customer(Node):
    """A company or person that buys, may buy, or bought."""

    kind: model.CustomerKind = column("Whether it is a company or a person.")
    name: str = column("The customer's name.")
    lifecycle: model.Lifecycle = column("Where the customer stands.")
    lifecycle_since: datetime = column("When the customer reached this point of its lifecycle.")
    industry: str | None = column("The line of business.")
    email: str | None = column("The main e-mail address.")
    phone: str | None = column("The main phone number.")
    website: str | None = column("The web address.")
    city: str | None = column("The city of the main office or home.")
    country: str | None = column("The country of the main office or home.")
    employees: int | None = column("How many people work there.")
    founded_year: int | None = column("The year in which it was founded.")
    annual_revenue: Money | None = money("annual_revenue", "currency", "What it turns over in a year.")
    source: str | None = column("Where the customer came from.")
    owner: Member | None = to_one("owner_id", "The member who looks after the customer.")
    parent: Customer | None = to_one("parent_id", "The company that owns this one.")
    subsidiaries: Connection[Customer] = to_many("parent_id", "The companies that this one owns.")
    account_team: Connection[AccountTeamMember] = to_many(
        "customer_id", "Who looks after the customer together with its owner: the row scope ACCOUNT_TEAM."
    )
    external_id: str | None = column("The customer's id in the system it came from, unique in the workspace.")
    version: int = column("Counts the changes; give it as `ifVersion`.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


@record("act", model.AccountTeamMember, policy.ACCOUNT_TEAM_MEMBER)
class AccountTeamMember(Node):
    """A member who looks after a customer together with its owner; part of the customer."""

    customer: Customer | None = to_one("customer_id", "The customer.")
    member: Member | None = to_one("member_id", "The member.")
    duty: str | None = column("What the member does for the customer.")
    version: int = column("Counts the changes; give it as `ifVersion`.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


class Queries:
    """Fields of Query."""

    customer: Customer | None = roots.one("A customer by id.")
    customers: Connection[Customer] = roots.many("The customers that you may see.")
    customers_aggregate: AggregateOf[Customer] = roots.aggregate("Measures over customers.")


@sized(model.Customer)
@strawberry.input(description="A new customer.")
class CreateCustomerInput:
    """See `operations.create_customer`."""

    id: strawberry.ID | None = strawberry.field(
        description="An id made by the client, `cus_` and a UUIDv7.", default=None
    )
    name: str = strawberry.field(description="The customer's name.")
    kind: model.CustomerKind = strawberry.field(
        description="Whether it is a company or a person.", default=model.CustomerKind.COMPANY
    )
    lifecycle: model.Lifecycle = strawberry.field(
        description="Where the customer stands.", default=model.Lifecycle.POTENTIAL
    )
    industry: str | None = strawberry.field(description="The line of business.", default=None)
    email: str | None = strawberry.field(description="The main e-mail address.", default=None)
    phone: str | None = strawberry.field(description="The main phone number.", default=None)
    website: str | None = strawberry.field(description="The web address.", default=None)
    city: str | None = strawberry.field(description="The city.", default=None)
    country: str | None = strawberry.field(description="The country.", default=None)
    employees: int | None = strawberry.field(description="How many people work there.", default=None)
    founded_year: int | None = strawberry.field(description="The year in which it was founded.", default=None)
    annual_revenue: MoneyInput | None = strawberry.field(description="What it turns over in a year.", default=None)
    source: str | None = strawberry.field(description="Where the customer came from.", default=None)
    owner_id: strawberry.ID | None = strawberry.field(description="Who looks after it; you unless given.", default=None)
    parent_id: strawberry.ID | None = strawberry.field(description="The company that owns it.", default=None)
    external_id: str | None = strawberry.field(description="The customer's id in another system.", default=None)


@sized(model.Customer)
@strawberry.input(description="Changes to a customer; what is left out stays, null clears.")
class UpdateCustomerInput:
    """See `operations.update_customer`."""

    id: strawberry.ID = strawberry.field(description="The customer.")
    if_version: int | None = strawberry.field(description="Refuse if the customer is at another version.", default=None)
    name: strawberry.Maybe[str] = strawberry.field(description="The customer's name.")
    kind: strawberry.Maybe[model.CustomerKind] = strawberry.field(description="Whether it is a company or a person.")
    industry: strawberry.Maybe[str | None] = strawberry.field(description="The line of business.")
    email: strawberry.Maybe[str | None] = strawberry.field(description="The main e-mail address.")
    phone: strawberry.Maybe[str | None] = strawberry.field(description="The main phone number.")
    website: strawberry.Maybe[str | None] = strawberry.field(description="The web address.")
    city: strawberry.Maybe[str | None] = strawberry.field(description="The city.")
    country: strawberry.Maybe[str | None] = strawberry.field(description="The country.")
    employees: strawberry.Maybe[int | None] = strawberry.field(description="How many people work there.")
    founded_year: strawberry.Maybe[int | None] = strawberry.field(description="The year in which it was founded.")
    annual_revenue: strawberry.Maybe[MoneyInput | None] = strawberry.field(description="What it turns over in a year.")
    source: strawberry.Maybe[str | None] = strawberry.field(description="Where the customer came from.")
    owner_id: strawberry.Maybe[strawberry.ID | None] = strawberry.field(description="Who looks after it.")
    parent_id: strawberry.Maybe[strawberry.ID | None] = strawberry.field(description="The company that owns it.")
    external_id: strawberry.Maybe[str | None] = strawberry.field(description="The customer's id in another system.")


@strawberry.input(description="A step of a customer's lifecycle.")
class ChangeCustomerLifecycleInput:
    """See `operations.change_lifecycle`."""

    id: strawberry.ID = strawberry.field(description="The customer.")
    if_version: int | None = strawberry.field(description="Refuse if the customer is at another version.", default=None)
    to: model.Lifecycle = strawberry.field(description="Where the customer now stands.")


@strawberry.input(description="A customer to delete.")
class DeleteCustomerInput:
    """See `operations.delete_customer`."""

    id: strawberry.ID = strawberry.field(description="The customer.")
    if_version: int | None = strawberry.field(description="Refuse if the customer is at another version.", default=None)


@sized(model.AccountTeamMember)
@strawberry.input(description="A member to add to a customer's account team.")
class AddAccountTeamMemberInput:
    """See `account_team.add_account_team_member`."""

    customer_id: strawberry.ID = strawberry.field(description="The customer.")
    member_id: strawberry.ID = strawberry.field(description="The member who is to look after it too.")
    duty: str | None = strawberry.field(description="What the member does for the customer.", default=None)


@strawberry.input(description="A member to take off a customer's account team.")
class RemoveAccountTeamMemberInput:
    """See `account_team.remove_account_team_member`."""

    id: strawberry.ID = strawberry.field(description="The entry of the account team.")
    if_version: int | None = strawberry.field(description="Refuse if the entry is at another version.", default=None)


@strawberry.type(description="An entry of an account team, or why not.")
class AccountTeamMemberPayload(Payload):
    """What mutations of account teams return."""

    account_team_member: AccountTeamMember | None = by_key("record_id", "The entry; null when refused.")


@strawberry.type(description="A customer, or why not.")
class CustomerPayload(Payload):
    """What mutations of customers return."""

    customer: Customer | None = by_key("record_id", "The customer; null when refused.")


class Mutations:
    """Fields of Mutation."""

    @strawberry.mutation(description="Adds a customer.")
    async def create_customer(self, info: Info, input: CreateCustomerInput) -> CustomerPayload:
        return await perform(info, CustomerPayload, lambda work: _create(work, input))

    @strawberry.mutation(description="Changes a customer's data.")
    async def update_customer(self, info: Info, input: UpdateCustomerInput) -> CustomerPayload:
        return await perform(info, CustomerPayload, lambda work: _update(work, input))

    @strawberry.mutation(description="Moves a customer along its lifecycle.")
    async def change_customer_lifecycle(self, info: Info, input: ChangeCustomerLifecycleInput) -> CustomerPayload:
        return await perform(
            info,
            CustomerPayload,
            lambda work: operations.change_lifecycle(work, key_of(Customer, input.id), input.to, input.if_version),
        )

    @strawberry.mutation(description="Deletes a customer that nothing points to.")
    async def delete_customer(self, info: Info, input: DeleteCustomerInput) -> DeletePayload:
        return await perform_delete(
            info, input.id, lambda work: operations.delete_customer(work, key_of(Customer, input.id), input.if_version)
        )


class AccountTeamMutations:
    """Fields of Mutation."""

    @strawberry.mutation(description="Adds a member to a customer's account team.")
    async def add_account_team_member(self, info: Info, input: AddAccountTeamMemberInput) -> AccountTeamMemberPayload:
        return await perform(
            info,
            AccountTeamMemberPayload,
            lambda work: account_team.add_account_team_member(
                work,
                key_of(Customer, input.customer_id, "customerId"),
                key_of(Member, input.member_id, "memberId"),
                input.duty,
            ),
        )

    @strawberry.mutation(description="Takes a member off a customer's account team.")
    async def remove_account_team_member(self, info: Info, input: RemoveAccountTeamMemberInput) -> DeletePayload:
        return await perform_delete(
            info,
            input.id,
            lambda work: account_team.remove_account_team_member(
                work, key_of(AccountTeamMember, input.id), input.if_version
            ),
        )


async def _create(work: Work, input_: CreateCustomerInput) -> str:
    values = _values(given(input_, "id"))
    return await operations.create_customer(
        work, {"id": new_key(Customer, input_.id), **values}, field_names(input_, "id")
    )


async def _update(work: Work, input_: UpdateCustomerInput) -> str:
    values = _values(given(input_, "id", "if_version"))
    names = field_names(input_, "id", "if_version")
    return await operations.update_customer(work, key_of(Customer, input_.id), values, names, input_.if_version)


def _values(values: dict[str, Any]) -> dict[str, Any]:
    refer(values, "owner_id", Member)
    refer(values, "parent_id", Customer)
    return spread_money(values, "annual_revenue", "currency")


class MemberCustomers:
    """Fields that customers add to members."""

    customers: Connection[Customer] = to_many("owner_id", "The customers that the member looks after.")


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
        "Every change of a customer and of all that belongs to it: its contacts, deals, orders, tickets, campaign "
        "memberships, and their parts (lines, replies), each where you may see it and may filter by its customer. In "
        "the order of the log: none lost, none twice. Resume with `after`.",
    )

    customer_changed: CustomerChange = watch(Customer, f"Every change of the customers {THAT_MATCH}")


SLICE = Slice(
    "customers",
    records=(Customer, AccountTeamMember),
    queries=(Queries,),
    mutations=(Mutations, AccountTeamMutations),
    subscriptions=(Subscriptions,),
    extensions=(extend(Member, MemberCustomers),),
    events=events.EVENTS,
)
