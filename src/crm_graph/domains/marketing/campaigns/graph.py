"""Campaigns and their members in the schema."""

from __future__ import annotations

from datetime import date, datetime

import strawberry

from crm_graph.domains.customers.contacts.graph import Contact
from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.marketing.campaigns import events, model, operations, policy
from crm_graph.domains.workspace.members.graph import AS_IT_IS, THAT_MATCH, Member, MemberChange, Team
from crm_graph.graph import writes
from crm_graph.graph.records import roots
from crm_graph.graph.records.enums import describe
from crm_graph.graph.records.measures import seconds_between
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
    to_many,
    to_one,
    watch,
)
from crm_graph.graph.records.types import AggregateOf, Connection, Money
from crm_graph.graph.schema.build import Slice
from crm_graph.graph.writes import Written
from crm_graph.work import UPDATE

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

    name: str = column("What the campaign is called.", SENT)
    channel: model.CampaignChannel = column("How it reaches its members.", SENT)
    status: model.CampaignStatus = column("How far the campaign is.")
    starts_on: date | None = column("The day on which the campaign is to start.", SENT)
    ends_on: date | None = column("The last day of the campaign; not before its start.", SENT)
    budget: Money | None = money("budget", "currency", "The budget of the campaign.", SENT)
    cost: Money | None = money(
        "cost", "currency", "What the campaign has cost so far, in the currency of the budget.", SENT
    )
    goal: str | None = column("What the campaign is to achieve, in words.", SENT)
    owner: Member | None = to_one("owner_id", "The member who runs the campaign.", sent(otherwise="you"))
    team: Team | None = to_one(
        "team_id", "The team that runs the campaign together: the row scope CAMPAIGN_TEAM.", SENT
    )
    members: Connection[CampaignMember] = to_many(
        "campaign_id", "The customers and contacts that the campaign addresses."
    )
    external_id: str | None = column("The campaign's id in the system it came from, unique in the workspace.", SENT)


@record(
    "cmm",
    model.CampaignMember,
    policy.CAMPAIGN_MEMBER,
    called="member",
    measures=(
        seconds_between(
            "responseSeconds", "createdAt", "respondedAt", "The seconds from being addressed to the first response."
        ),
    ),
)
class CampaignMember(Node):
    """Somebody that a campaign addresses, a customer or a person at one, and how far the campaign got with them."""

    campaign: Campaign | None = to_one("campaign_id", "The campaign.", SENT_ONCE)
    customer: Customer | None = to_one("customer_id", "The customer that is addressed.", SENT_ONCE)
    contact: Contact | None = to_one("contact_id", "The person who is addressed; once in a campaign.", SENT_ONCE)
    status: model.CampaignMemberStatus = column("How far the campaign got with them.")
    responded_at: datetime | None = column("When they first responded or converted.")


class Queries:
    """Fields of Query."""

    campaign: Campaign | None = roots.one("A campaign by id.")
    campaigns: Connection[Campaign] = roots.many("The campaigns that you may see.")
    campaigns_aggregate: AggregateOf[Campaign] = roots.aggregate("Measures over campaigns.")
    campaign_member: CampaignMember | None = roots.one("A member of a campaign by id.")


class Mutations:
    """Fields of Mutation."""

    create_campaign: Written[Campaign] = writes.create(
        "Plans a campaign.", operations.create_campaign, about="A new campaign; it starts as PLANNED."
    )
    update_campaign: Written[Campaign] = writes.update(
        "Changes a campaign's data; its status has mutations of its own.", operations.update_campaign
    )
    launch_campaign: Written[Campaign] = writes.transition(
        "Starts a PLANNED campaign: it becomes ACTIVE.", operations.LAUNCH, operations.launch_campaign
    )
    pause_campaign: Written[Campaign] = writes.transition(
        "Puts an ACTIVE campaign on hold: it becomes PAUSED.", operations.PAUSE, operations.pause_campaign
    )
    resume_campaign: Written[Campaign] = writes.transition(
        "Goes on with a PAUSED campaign: it becomes ACTIVE.", operations.RESUME, operations.resume_campaign
    )
    complete_campaign: Written[Campaign] = writes.transition(
        "Ends an ACTIVE or PAUSED campaign: it becomes COMPLETED, for good.",
        operations.COMPLETE,
        operations.complete_campaign,
    )
    cancel_campaign: Written[Campaign] = writes.transition(
        "Calls off a campaign that is not over: it becomes CANCELLED, for good.",
        operations.CANCEL,
        operations.cancel_campaign,
    )
    delete_campaign: Written[Campaign] = writes.delete(
        "Deletes a campaign with its members.", operations.delete_campaign
    )
    add_campaign_member: Written[CampaignMember] = writes.create(
        "Adds a customer or contact to the audience of a campaign.",
        operations.add_member,
        about="Somebody to address: a customer, a contact, or both.",
    )
    set_campaign_member_status: Written[CampaignMember] = writes.transition_with(
        "Notes how far a campaign got with one of its members; it only goes forward.",
        UPDATE,
        operations.set_member_status,
        needs=("status",),
        about="How far a campaign got with one of its members: a later status than the one before; steps may be left "
        "out.",
    )
    remove_campaign_member: Written[CampaignMember] = writes.delete(
        "Takes a customer or contact out of the audience of a campaign.", operations.remove_member
    )


@strawberry.type(description="Something that happened to a campaign that you may see.")
class CampaignChange(MemberChange):
    """One event of the log with the current record."""

    campaign: Campaign | None = by_key("key", f"The campaign {AS_IT_IS}")


class Subscriptions:
    """Fields of Subscription."""

    campaign_changed: CampaignChange = watch(Campaign, f"Every change of the campaigns {THAT_MATCH}")


_CAMPAIGNS, _PLACES = Connection[Campaign], Connection[CampaignMember]
SLICE = Slice(
    "campaigns",
    records=(Campaign, CampaignMember),
    queries=(Queries,),
    mutations=(Mutations,),
    subscriptions=(Subscriptions,),
    extensions=(
        reverse(
            Customer,
            "campaign_memberships",
            _PLACES,
            "customer_id",
            "The customer's places in the audiences of campaigns.",
        ),
        reverse(
            Contact, "campaign_memberships", _PLACES, "contact_id", "The person's places in the audiences of campaigns."
        ),
        reverse(Member, "campaigns", _CAMPAIGNS, "owner_id", "The campaigns that the member runs."),
        reverse(Team, "campaigns", _CAMPAIGNS, "team_id", "The campaigns that the team runs together."),
    ),
    events=events.EVENTS,
)
