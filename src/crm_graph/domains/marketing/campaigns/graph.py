"""Campaigns and their members in the schema."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, datetime
from typing import Any

import strawberry

from crm_graph.domains.customers.contacts.graph import Contact
from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.marketing.campaigns import events, model, operations, policy
from crm_graph.domains.workspace.members.graph import AS_IT_IS, THAT_MATCH, Member, MemberChange, Team
from crm_graph.graph.context import Info
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
from crm_graph.graph.records.record import Node, by_key, column, extend, money, record, to_many, to_one, watch
from crm_graph.graph.records.types import AggregateOf, Connection, Money
from crm_graph.graph.schema.build import Slice
from crm_graph.work import Work

describe(
    model.CampaignChannel,
    "How a campaign reaches its members.",
    {
        "EMAIL": "By e-mail.",
        "SMS": "By text message.",
        "EVENT": "By inviting them to an event.",
        "ADVERTISEMENT": "By advertisements.",
        "SOCIAL": "Through social media.",
    },
)
describe(
    model.CampaignStatus,
    "How far a campaign is. Each step is a mutation of its own.",
    {
        "PLANNED": "Being prepared.",
        "ACTIVE": "Running.",
        "PAUSED": "On hold.",
        "COMPLETED": "Over.",
        "CANCELLED": "Called off.",
    },
)
describe(
    model.CampaignMemberStatus,
    "How far a campaign got with one of its members; it only goes forward.",
    {
        "TARGETED": "To be addressed.",
        "SENT": "Was addressed.",
        "OPENED": "Saw it.",
        "RESPONDED": "Reacted.",
        "CONVERTED": "Did what the campaign is for.",
        "UNSUBSCRIBED": "Wants to hear no more; final.",
    },
)


@record("cmp", model.Campaign, policy.CAMPAIGN)
class Campaign(Node):
    """An effort to win or keep customers: a mailing, an event, an advertisement, with a budget and an audience."""

    name: str = column("What the campaign is called.")
    channel: model.CampaignChannel = column("How it reaches its members.")
    status: model.CampaignStatus = column("How far it is.")
    starts_on: date | None = column("The day on which it is to start.")
    ends_on: date | None = column("The last day on which it is to run; not before its start.")
    budget: Money | None = money("budget", "currency", "What it may cost.")
    cost: Money | None = money("cost", "currency", "What it has cost so far; in the currency of the budget.")
    goal: str | None = column("What it is to achieve, in words.")
    owner: Member | None = to_one("owner_id", "The member who runs it.")
    team: Team | None = to_one("team_id", "The team that runs it together: the row scope CAMPAIGN_TEAM.")
    members: Connection[CampaignMember] = to_many("campaign_id", "The customers and contacts that it addresses.")
    external_id: str | None = column("The campaign's id in the system it came from, unique in the workspace.")
    version: int = column("Counts the changes; give it as `ifVersion`.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


@record("cmm", model.CampaignMember, policy.CAMPAIGN_MEMBER)
class CampaignMember(Node):
    """Somebody that a campaign addresses, a customer or a person at one, and how far the campaign got with them."""

    campaign: Campaign | None = to_one("campaign_id", "The campaign.")
    customer: Customer | None = to_one("customer_id", "The customer that is addressed.")
    contact: Contact | None = to_one("contact_id", "The person who is addressed.")
    status: model.CampaignMemberStatus = column("How far the campaign got with them.")
    responded_at: datetime | None = column("When they first responded or converted.")
    version: int = column("Counts the changes; give it as `ifVersion`.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


class Queries:
    """Fields of Query."""

    campaign: Campaign | None = roots.one("A campaign by id.")
    campaigns: Connection[Campaign] = roots.many("The campaigns that you may see.")
    campaigns_aggregate: AggregateOf[Campaign] = roots.aggregate("Measures over campaigns.")
    campaign_member: CampaignMember | None = roots.one("A member of a campaign by id.")


@sized(model.Campaign)
@strawberry.input(description="A new campaign; it starts as PLANNED.")
class CreateCampaignInput:
    """See `operations.create_campaign`."""

    id: strawberry.ID | None = strawberry.field(
        description="An id made by the client, `cmp_` and a UUIDv7.", default=None
    )
    name: str = strawberry.field(description="What the campaign is called.")
    channel: model.CampaignChannel = strawberry.field(description="How it reaches its members.")
    starts_on: date | None = strawberry.field(description="The day on which it is to start.", default=None)
    ends_on: date | None = strawberry.field(description="The last day on which it is to run.", default=None)
    budget: MoneyInput | None = strawberry.field(description="What it may cost.", default=None)
    cost: MoneyInput | None = strawberry.field(
        description="What it has cost so far, in the currency of the budget.", default=None
    )
    goal: str | None = strawberry.field(description="What it is to achieve, in words.", default=None)
    owner_id: strawberry.ID | None = strawberry.field(description="Who runs it; you unless given.", default=None)
    team_id: strawberry.ID | None = strawberry.field(description="The team that runs it together.", default=None)
    external_id: str | None = strawberry.field(description="The campaign's id in another system.", default=None)


@sized(model.Campaign)
@strawberry.input(description="Changes to a campaign; what is left out stays, null clears.")
class UpdateCampaignInput:
    """See `operations.update_campaign`."""

    id: strawberry.ID = strawberry.field(description="The campaign.")
    if_version: int | None = strawberry.field(description="Refuse if the campaign is at another version.", default=None)
    name: strawberry.Maybe[str] = strawberry.field(description="What the campaign is called.")
    channel: strawberry.Maybe[model.CampaignChannel] = strawberry.field(description="How it reaches its members.")
    starts_on: strawberry.Maybe[date | None] = strawberry.field(description="The day on which it is to start.")
    ends_on: strawberry.Maybe[date | None] = strawberry.field(description="The last day on which it is to run.")
    budget: strawberry.Maybe[MoneyInput | None] = strawberry.field(description="What it may cost.")
    cost: strawberry.Maybe[MoneyInput | None] = strawberry.field(
        description="What it has cost so far, in the currency of the budget."
    )
    goal: strawberry.Maybe[str | None] = strawberry.field(description="What it is to achieve, in words.")
    owner_id: strawberry.Maybe[strawberry.ID | None] = strawberry.field(description="Who runs it.")
    team_id: strawberry.Maybe[strawberry.ID | None] = strawberry.field(description="The team that runs it together.")
    external_id: strawberry.Maybe[str | None] = strawberry.field(description="The campaign's id in another system.")


@strawberry.input
class _OneCampaign:
    """What the inputs below have in common: which campaign, in which version."""

    id: strawberry.ID = strawberry.field(description="The campaign.")
    if_version: int | None = strawberry.field(description="Refuse if the campaign is at another version.", default=None)


@strawberry.input(description="A planned campaign to start.")
class LaunchCampaignInput(_OneCampaign):
    """See `operations.launch_campaign`."""


@strawberry.input(description="An active campaign to put on hold.")
class PauseCampaignInput(_OneCampaign):
    """See `operations.pause_campaign`."""


@strawberry.input(description="A paused campaign to go on with.")
class ResumeCampaignInput(_OneCampaign):
    """See `operations.resume_campaign`."""


@strawberry.input(description="An active or paused campaign to end.")
class CompleteCampaignInput(_OneCampaign):
    """See `operations.complete_campaign`."""


@strawberry.input(description="A campaign to call off.")
class CancelCampaignInput(_OneCampaign):
    """See `operations.cancel_campaign`."""


@strawberry.input(description="A campaign to delete.")
class DeleteCampaignInput(_OneCampaign):
    """See `operations.delete_campaign`."""


@strawberry.input(description="Somebody to address: a customer, a contact, or both.")
class AddCampaignMemberInput:
    """See `operations.add_member`."""

    id: strawberry.ID | None = strawberry.field(
        description="An id made by the client, `cmm_` and a UUIDv7.", default=None
    )
    campaign_id: strawberry.ID = strawberry.field(description="The campaign.")
    customer_id: strawberry.ID | None = strawberry.field(description="The customer to address.", default=None)
    contact_id: strawberry.ID | None = strawberry.field(
        description="The person to address; once in a campaign.", default=None
    )


@strawberry.input(description="How far a campaign got with one of its members.")
class SetCampaignMemberStatusInput:
    """See `operations.set_member_status`."""

    id: strawberry.ID = strawberry.field(description="The member of the campaign.")
    if_version: int | None = strawberry.field(description="Refuse if the member is at another version.", default=None)
    status: model.CampaignMemberStatus = strawberry.field(
        description="A later status than the member has; steps may be left out."
    )


@strawberry.input(description="A member to take out of its campaign.")
class RemoveCampaignMemberInput:
    """See `operations.remove_member`."""

    id: strawberry.ID = strawberry.field(description="The member of the campaign.")
    if_version: int | None = strawberry.field(description="Refuse if the member is at another version.", default=None)


@strawberry.type(description="A campaign, or why not.")
class CampaignPayload(Payload):
    """What mutations of campaigns return."""

    campaign: Campaign | None = by_key("record_id", "The campaign; null when refused.")


@strawberry.type(description="A member of a campaign, or why not.")
class CampaignMemberPayload(Payload):
    """What mutations of campaign members return."""

    member: CampaignMember | None = by_key("record_id", "The member of the campaign; null when refused.")


class Mutations:
    """Fields of Mutation."""

    @strawberry.mutation(description="Plans a campaign.")
    async def create_campaign(self, info: Info, input: CreateCampaignInput) -> CampaignPayload:
        return await perform(info, CampaignPayload, lambda work: _create(work, input))

    @strawberry.mutation(description="Changes a campaign's data; its status has mutations of its own.")
    async def update_campaign(self, info: Info, input: UpdateCampaignInput) -> CampaignPayload:
        return await perform(info, CampaignPayload, lambda work: _update(work, input))

    @strawberry.mutation(description="Starts a PLANNED campaign: it becomes ACTIVE.")
    async def launch_campaign(self, info: Info, input: LaunchCampaignInput) -> CampaignPayload:
        return await _transition(info, input, operations.launch_campaign)

    @strawberry.mutation(description="Puts an ACTIVE campaign on hold: it becomes PAUSED.")
    async def pause_campaign(self, info: Info, input: PauseCampaignInput) -> CampaignPayload:
        return await _transition(info, input, operations.pause_campaign)

    @strawberry.mutation(description="Goes on with a PAUSED campaign: it becomes ACTIVE.")
    async def resume_campaign(self, info: Info, input: ResumeCampaignInput) -> CampaignPayload:
        return await _transition(info, input, operations.resume_campaign)

    @strawberry.mutation(description="Ends an ACTIVE or PAUSED campaign: it becomes COMPLETED, for good.")
    async def complete_campaign(self, info: Info, input: CompleteCampaignInput) -> CampaignPayload:
        return await _transition(info, input, operations.complete_campaign)

    @strawberry.mutation(description="Calls off a campaign that is not over: it becomes CANCELLED, for good.")
    async def cancel_campaign(self, info: Info, input: CancelCampaignInput) -> CampaignPayload:
        return await _transition(info, input, operations.cancel_campaign)

    @strawberry.mutation(description="Deletes a campaign with its members.")
    async def delete_campaign(self, info: Info, input: DeleteCampaignInput) -> DeletePayload:
        return await perform_delete(
            info, input.id, lambda work: operations.delete_campaign(work, key_of(Campaign, input.id), input.if_version)
        )

    @strawberry.mutation(description="Adds a customer or contact to the audience of a campaign.")
    async def add_campaign_member(self, info: Info, input: AddCampaignMemberInput) -> CampaignMemberPayload:
        return await perform(info, CampaignMemberPayload, lambda work: _add_member(work, input))

    @strawberry.mutation(description="Notes how far a campaign got with one of its members; it only goes forward.")
    async def set_campaign_member_status(
        self, info: Info, input: SetCampaignMemberStatusInput
    ) -> CampaignMemberPayload:
        return await perform(
            info,
            CampaignMemberPayload,
            lambda work: operations.set_member_status(
                work, key_of(CampaignMember, input.id), input.status, input.if_version
            ),
        )

    @strawberry.mutation(description="Takes a customer or contact out of the audience of a campaign.")
    async def remove_campaign_member(self, info: Info, input: RemoveCampaignMemberInput) -> DeletePayload:
        return await perform_delete(
            info,
            input.id,
            lambda work: operations.remove_member(work, key_of(CampaignMember, input.id), input.if_version),
        )


async def _create(work: Work, input_: CreateCampaignInput) -> str:
    values = _values(given(input_, "id"))
    return await operations.create_campaign(work, new_key(Campaign, input_.id), values, field_names(input_, "id"))


async def _update(work: Work, input_: UpdateCampaignInput) -> str:
    values = _values(given(input_, "id", "if_version"))
    names = field_names(input_, "id", "if_version")
    return await operations.update_campaign(work, key_of(Campaign, input_.id), values, names, input_.if_version)


async def _transition(
    info: Info, input_: _OneCampaign, operation: Callable[[Work, str, int | None], Awaitable[str]]
) -> CampaignPayload:
    return await perform(
        info, CampaignPayload, lambda work: operation(work, key_of(Campaign, input_.id), input_.if_version)
    )


async def _add_member(work: Work, input_: AddCampaignMemberInput) -> str:
    values = given(input_, "id")
    refer(values, "campaign_id", Campaign)
    refer(values, "customer_id", Customer)
    refer(values, "contact_id", Contact)
    values["id"] = new_key(CampaignMember, input_.id)
    return await operations.add_member(work, values, field_names(input_, "id"))


def _values(values: dict[str, Any]) -> dict[str, Any]:
    refer(values, "owner_id", Member)
    refer(values, "team_id", Team)
    spread_money(values, "budget", "budget_currency")
    return spread_money(values, "cost", "cost_currency")


class CustomerMarketing:
    """Fields that campaigns add to customers."""

    campaign_memberships: Connection[CampaignMember] = to_many(
        "customer_id", "The customer's places in the audiences of campaigns."
    )


class ContactMarketing:
    """Fields that campaigns add to contacts."""

    campaign_memberships: Connection[CampaignMember] = to_many(
        "contact_id", "The person's places in the audiences of campaigns."
    )


class MemberMarketing:
    """Fields that campaigns add to members."""

    campaigns: Connection[Campaign] = to_many("owner_id", "The campaigns that the member runs.")


class TeamMarketing:
    """Fields that campaigns add to teams."""

    campaigns: Connection[Campaign] = to_many("team_id", "The campaigns that the team runs together.")


@strawberry.type(description="Something that happened to a campaign that you may see.")
class CampaignChange(MemberChange):
    """One event of the log with the current record."""

    campaign: Campaign | None = by_key("key", f"The campaign {AS_IT_IS}")


class Subscriptions:
    """Fields of Subscription."""

    campaign_changed: CampaignChange = watch(Campaign, f"Every change of the campaigns {THAT_MATCH}")


SLICE = Slice(
    "campaigns",
    records=(Campaign, CampaignMember),
    queries=(Queries,),
    mutations=(Mutations,),
    subscriptions=(Subscriptions,),
    extensions=(
        extend(Customer, CustomerMarketing),
        extend(Contact, ContactMarketing),
        extend(Member, MemberMarketing),
        extend(Team, TeamMarketing),
    ),
    events=events.EVENTS,
)
