"""What happens to campaigns and their members."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CampaignCreated:
    """A campaign was planned."""


@dataclass(frozen=True, slots=True)
class CampaignUpdated:
    """A campaign's data changed, its status did not."""


@dataclass(frozen=True, slots=True)
class CampaignLaunched:
    """A planned campaign started."""


@dataclass(frozen=True, slots=True)
class CampaignPaused:
    """An active campaign was put on hold."""


@dataclass(frozen=True, slots=True)
class CampaignResumed:
    """A paused campaign went on."""


@dataclass(frozen=True, slots=True)
class CampaignCompleted:
    """A campaign that had been launched came to its end."""

    before: str


@dataclass(frozen=True, slots=True)
class CampaignCancelled:
    """A campaign was called off."""

    before: str


@dataclass(frozen=True, slots=True)
class CampaignDeleted:
    """A campaign was removed with its members."""


@dataclass(frozen=True, slots=True)
class CampaignMemberAdded:
    """A customer or contact was added to the audience of a campaign."""

    campaign_id: str


@dataclass(frozen=True, slots=True)
class CampaignMemberStatusChanged:
    """A member of a campaign went a step further, or unsubscribed."""

    campaign_id: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class CampaignMemberRemoved:
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
