"""The only writers of campaigns and their members."""

from __future__ import annotations

from crm_graph.db.statements import Statement
from crm_graph.domains.marketing.campaigns.events import (
    CampaignCreated,
    CampaignMemberAdded,
    CampaignMemberRemoved,
    CampaignUpdated,
)
from crm_graph.domains.marketing.campaigns.model import Campaign, CampaignMember, CampaignMemberStatus
from crm_graph.domains.marketing.campaigns.policy import CAMPAIGN, CAMPAIGN_MEMBER
from crm_graph.work import DELETE, UPDATE, Sent, Work

LAUNCH, PAUSE, RESUME, COMPLETE, CANCEL = "launch", "pause", "resume", "complete", "cancel"

_UNSUBSCRIBED = Statement(
    "SELECT since FROM unsubscription WHERE workspace_id = $1 AND party_id = $2", ("workspace_id", "party_id"), {}
)
_UNSUBSCRIBE = Statement(
    "INSERT INTO unsubscription (workspace_id, party_id, since) VALUES ($1, $2, $3)"
    " ON CONFLICT (workspace_id, party_id) DO NOTHING",
    ("workspace_id", "party_id", "since"),
    {},
)
_HOLDING = "SELECT id FROM {} WHERE workspace_id = $1 AND id = $2 FOR UPDATE"
_HOLD_CONTACT, _HOLD_CUSTOMER = (
    Statement(_HOLDING.format(table), ("workspace_id", "id"), {}) for table in ("contact", "customer")
)
"""Hold whom a member addresses, the person or the customer, so that nobody refers to them meanwhile."""


async def create_campaign(work: Work, sent: Sent) -> str:
    """Plan a campaign, owned by its creator unless said otherwise."""
    campaign = await work.draft(Campaign, CAMPAIGN, sent, owner_id=work.viewer.member_id)
    await work.create(campaign, CAMPAIGN, CampaignCreated(), sent.fields)
    return campaign.id


async def update_campaign(work: Work, id_: str, sent: Sent, if_version: int | None) -> str:
    """Change a campaign's data; its status is changed by its transitions."""
    campaign = await work.revise(Campaign, CAMPAIGN, id_, sent, if_version)
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
    """Put a planned campaign into the recycle bin, with its members."""
    campaign = await work.get(Campaign, CAMPAIGN, id_, DELETE, if_version)
    await work.delete(campaign, CAMPAIGN, campaign.delete())


async def add_member(work: Work, sent: Sent) -> str:
    """Add a customer or contact that the viewer may see to a campaign: as UNSUBSCRIBED where they want to hear no more.
    Raises Refused TAKEN for one that is in it."""
    work.may(CAMPAIGN_MEMBER, UPDATE, sent.fields)
    await work.get(Campaign, CAMPAIGN, sent.values["campaign_id"], UPDATE, path="campaignId", in_turn=False)
    member = await work.draft(CampaignMember, CAMPAIGN_MEMBER, sent)
    member.check()
    if await work.session.fetch(_UNSUBSCRIBED, {**work.viewer.binds, "party_id": member.party}):
        member.status = CampaignMemberStatus.UNSUBSCRIBED.value
    await work.create(member, CAMPAIGN_MEMBER, CampaignMemberAdded(member.campaign_id), sent.fields)
    return member.id


async def set_member_status(work: Work, id_: str, sent: Sent, if_version: int | None) -> str:
    """Note how far a campaign got with one of its members."""
    member = await work.get(CampaignMember, CAMPAIGN_MEMBER, id_, UPDATE, if_version, given=sent.fields)
    event = member.set_status(CampaignMemberStatus(sent.values["status"]), work.now)
    if member.status == CampaignMemberStatus.UNSUBSCRIBED.value:
        # Whoever puts them on a list now has looked them up, and holds their row; or waits until this is known.
        holding = _HOLD_CUSTOMER if member.contact_id is None else _HOLD_CONTACT
        await work.session.fetch(holding, {**work.viewer.binds, "id": member.party})
        bound = {**work.viewer.binds, "party_id": member.party, "since": work.now}
        await work.session.later(_UNSUBSCRIBE, bound, member.party)
    await work.save(member, CAMPAIGN_MEMBER, event)
    return member.id


async def remove_member(work: Work, id_: str, if_version: int | None) -> None:
    """Take a customer or contact out of a campaign."""
    member = await work.get(CampaignMember, CAMPAIGN_MEMBER, id_, UPDATE, if_version)
    await work.delete(member, CAMPAIGN_MEMBER, CampaignMemberRemoved(member.campaign_id))
