"""The only writers of campaigns and their members."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm_graph.domains.customers.contacts.model import Contact
from crm_graph.domains.customers.contacts.policy import CONTACT
from crm_graph.domains.customers.customers.model import Customer
from crm_graph.domains.customers.customers.policy import CUSTOMER
from crm_graph.domains.marketing.campaigns.events import (
    CampaignCreated,
    CampaignDeleted,
    CampaignMemberAdded,
    CampaignMemberRemoved,
    CampaignUpdated,
)
from crm_graph.domains.marketing.campaigns.model import Campaign, CampaignMember, CampaignMemberStatus, CampaignStatus
from crm_graph.domains.marketing.campaigns.policy import CAMPAIGN, CAMPAIGN_MEMBER
from crm_graph.domains.workspace.members.model import Member, Team
from crm_graph.domains.workspace.members.policy import MEMBER, TEAM
from crm_graph.work import CREATE, DELETE, UPDATE, Work

LAUNCH, PAUSE, RESUME, COMPLETE, CANCEL = "launch", "pause", "resume", "complete", "cancel"


async def create_campaign(work: Work, id_: str | None, values: Mapping[str, Any], given: tuple[str, ...]) -> str:
    """Plan a campaign, owned by its creator unless said otherwise."""
    work.may(CAMPAIGN, CREATE, given)
    await _check_references(work, values)
    campaign: Campaign = Campaign.make(id=id_, status=CampaignStatus.PLANNED.value)
    campaign.take({"owner_id": work.viewer.member_id, **values})
    await work.create(campaign, CAMPAIGN, CampaignCreated(), given)
    return campaign.id


async def update_campaign(
    work: Work, id_: str, values: Mapping[str, Any], given: tuple[str, ...], if_version: int | None
) -> str:
    """Change a campaign's data; its status is changed by its transitions."""
    campaign = await work.get(Campaign, CAMPAIGN, id_, UPDATE, if_version, given=given)
    await _check_references(work, values)
    campaign.take(values)
    await work.save(campaign, CAMPAIGN, CampaignUpdated())
    return campaign.id


async def launch_campaign(work: Work, id_: str, if_version: int | None) -> str:
    """Start a planned campaign."""
    campaign = await work.get(Campaign, CAMPAIGN, id_, LAUNCH, if_version)
    await work.save(campaign, CAMPAIGN, campaign.launch())
    return campaign.id


async def pause_campaign(work: Work, id_: str, if_version: int | None) -> str:
    """Put an active campaign on hold."""
    campaign = await work.get(Campaign, CAMPAIGN, id_, PAUSE, if_version)
    await work.save(campaign, CAMPAIGN, campaign.pause())
    return campaign.id


async def resume_campaign(work: Work, id_: str, if_version: int | None) -> str:
    """Go on with a paused campaign."""
    campaign = await work.get(Campaign, CAMPAIGN, id_, RESUME, if_version)
    await work.save(campaign, CAMPAIGN, campaign.resume())
    return campaign.id


async def complete_campaign(work: Work, id_: str, if_version: int | None) -> str:
    """End an active or paused campaign."""
    campaign = await work.get(Campaign, CAMPAIGN, id_, COMPLETE, if_version)
    await work.save(campaign, CAMPAIGN, campaign.complete())
    return campaign.id


async def cancel_campaign(work: Work, id_: str, if_version: int | None) -> str:
    """Call off a campaign that is not over."""
    campaign = await work.get(Campaign, CAMPAIGN, id_, CANCEL, if_version)
    await work.save(campaign, CAMPAIGN, campaign.cancel())
    return campaign.id


async def delete_campaign(work: Work, id_: str, if_version: int | None) -> None:
    """Remove a campaign with its members."""
    campaign = await work.get(Campaign, CAMPAIGN, id_, DELETE, if_version)
    await work.delete(campaign, CAMPAIGN, CampaignDeleted())


async def add_member(work: Work, values: Mapping[str, Any], given: tuple[str, ...]) -> str:
    """Add a customer or contact that the viewer may see to a campaign. Raises Refused TAKEN for one that is in it."""
    work.may(CAMPAIGN_MEMBER, UPDATE, given)
    await work.get(Campaign, CAMPAIGN, values["campaign_id"], UPDATE, path="campaignId")
    member: CampaignMember = CampaignMember.make(**{"status": CampaignMemberStatus.TARGETED.value, **values})
    member.check()
    if member.customer_id is not None:
        await work.refer(Customer, CUSTOMER, member.customer_id, "customerId")
    if member.contact_id is not None:
        await work.refer(Contact, CONTACT, member.contact_id, "contactId")
    await work.create(member, CAMPAIGN_MEMBER, CampaignMemberAdded(member.campaign_id), given)
    return member.id


async def set_member_status(work: Work, id_: str, to: CampaignMemberStatus, if_version: int | None) -> str:
    """Note how far a campaign got with one of its members."""
    member = await work.get(CampaignMember, CAMPAIGN_MEMBER, id_, UPDATE, if_version, given=("status",))
    await work.save(member, CAMPAIGN_MEMBER, member.set_status(to, work.now))
    return member.id


async def remove_member(work: Work, id_: str, if_version: int | None) -> None:
    """Take a customer or contact out of a campaign."""
    member = await work.get(CampaignMember, CAMPAIGN_MEMBER, id_, UPDATE, if_version)
    await work.delete(member, CAMPAIGN_MEMBER, CampaignMemberRemoved(member.campaign_id))


async def _check_references(work: Work, values: Mapping[str, Any]) -> None:
    if values.get("owner_id") is not None:
        await work.refer(Member, MEMBER, values["owner_id"], "ownerId")
    if values.get("team_id") is not None:
        await work.refer(Team, TEAM, values["team_id"], "teamId")
