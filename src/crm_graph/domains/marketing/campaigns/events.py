"""What happens to campaigns and their members."""

from __future__ import annotations

from crm_graph.events.effects import Changes, Creates, Removes


class CampaignCreated(Creates):
    """A campaign was planned."""


class CampaignUpdated(Changes):
    """A campaign's data changed, its status did not."""


class CampaignLaunched(Changes):
    """A planned campaign started."""


class CampaignPaused(Changes):
    """An active campaign was put on hold."""


class CampaignResumed(Changes):
    """A paused campaign went on."""


class CampaignCompleted(Changes):
    """A campaign that had been launched came to its end."""

    before: str


class CampaignCancelled(Changes):
    """A campaign was called off."""

    before: str


class CampaignDeleted(Removes):
    """A campaign was removed with its members."""


class CampaignMemberAdded(Creates):
    """A customer or contact was added to the audience of a campaign."""

    campaign_id: str


class CampaignMemberStatusChanged(Changes):
    """A member of a campaign went a step further, or unsubscribed."""

    campaign_id: str
    before: str
    after: str


class CampaignMemberRemoved(Removes):
    """A customer or contact was taken out of the audience of a campaign."""

    campaign_id: str


EVENTS = (
    CampaignCreated,
    CampaignUpdated,
    CampaignLaunched,
    CampaignPaused,
    CampaignResumed,
    CampaignCompleted,
    CampaignCancelled,
    CampaignDeleted,
    CampaignMemberAdded,
    CampaignMemberStatusChanged,
    CampaignMemberRemoved,
)
