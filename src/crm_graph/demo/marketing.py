"""Campaigns with their members: one for every fifty customers, addressed to some of them."""

from __future__ import annotations

from collections.abc import Sequence

from crm_graph.demo.catalogue import BASE_CURRENCY
from crm_graph.demo.copy import Sheets
from crm_graph.demo.customers import Buyer
from crm_graph.demo.dice import Dice
from crm_graph.demo.organisation import Organisation
from crm_graph.demo.times import DAY, END, day_of
from crm_graph.domains.marketing.campaigns.model import (
    Campaign,
    CampaignChannel,
    CampaignMember,
    CampaignMemberStatus,
    CampaignStatus,
    Unsubscription,
)

CUSTOMERS_PER_CAMPAIGN = 50
MEMBERS_PER_CAMPAIGN = 20

_STATUSES = tuple(
    status for status, often in zip(CampaignMemberStatus, (1, 6, 5, 3, 2, 1), strict=True) for _ in range(often)
)
_RESPONDED = frozenset({CampaignMemberStatus.RESPONDED, CampaignMemberStatus.CONVERTED})
_TARGETED = CampaignMemberStatus.TARGETED
_NAMES = (
    "新品发布会",
    "老客户回馈",
    "春季促销",
    "行业展会",
    "线上研讨会",
    "满意度调研",
    "渠道招商",
    "Webinar",
    "Newsletter",
)
_GOALS = ("获取新线索", "提升复购率", "品牌曝光", "激活沉默客户", "Book demos")
_PLANNED, _ACTIVE, _PAUSED = CampaignStatus.PLANNED, CampaignStatus.ACTIVE, CampaignStatus.PAUSED
_COMPLETED, _CANCELLED = CampaignStatus.COMPLETED, CampaignStatus.CANCELLED


class Campaigns:
    """Makes campaigns."""

    def __init__(self, sheets: Sheets, organisation: Organisation, dice: Dice) -> None:
        self._workspace = sheets.workspace_id
        self._marketers = organisation.marketers
        self._dice = dice
        self._campaigns = sheets.open(
            Campaign,
            *("id", "name", "channel", "status", "starts_on", "ends_on", "budget", "cost", "currency", "goal"),
            *("owner_id", "version", "created_at", "updated_at"),
        )
        self._members = sheets.open(
            CampaignMember,
            *("id", "campaign_id", "customer_id", "contact_id", "status", "responded_at"),
            *("version", "created_at", "updated_at"),
        )
        self._unsubscriptions = sheets.open(Unsubscription, "party_id", "since")
        self._unsubscribed: set[str] = set()

    def add(self, audience: Sequence[Buyer]) -> None:
        """Write a campaign for some of these customers, planned when the last of them had come."""
        dice = self._dice
        planned = max(buyer.created for buyer in audience) + dice.between(0, 10 * DAY)
        starts = planned + dice.between(30 * DAY, 60 * DAY)
        ends = starts + dice.between(20 * DAY, 60 * DAY)
        status, version = self._status(starts, ends)
        budget = dice.between(10, 400) * 500 * 100
        cost = None if status is _PLANNED else budget * dice.between(40, 105) // 100
        id_ = self._campaigns.new_id()
        updated = planned if status is _PLANNED else min(END, starts if status is _ACTIVE else ends)
        self._campaigns.rows.append(
            (
                self._workspace,
                id_,
                f"{dice.pick(_NAMES)} {self._campaigns.made:03d}",
                dice.pick(tuple(CampaignChannel)).value,
                status.value,
                day_of(starts),
                day_of(ends),
                budget,
                cost,
                BASE_CURRENCY,
                dice.pick(_GOALS),
                dice.pick(self._marketers),
                version,
                planned,
                updated,
            )
        )
        for buyer in dice.sample(audience, min(MEMBERS_PER_CAMPAIGN, len(audience))):
            self._address(buyer, id_, planned, None if status is _PLANNED else starts)

    def _status(self, starts: int, ends: int) -> tuple[CampaignStatus, int]:
        """Return where a campaign stands today, with its version: one more per transition."""
        if starts >= END:
            return _PLANNED, 1
        if ends < END:
            return (_CANCELLED, 2) if self._campaigns.made % 12 == 7 else (_COMPLETED, 3)
        return (_PAUSED, 3) if self._campaigns.made % 7 == 6 else (_ACTIVE, 2)

    def _address(self, buyer: Buyer, campaign_id: str, planned: int, launched: int | None) -> None:
        """Write one member: a person at a customer, or the customer itself."""
        dice, members = self._dice, self._members
        status = _TARGETED if launched is None else dice.pick(_STATUSES)
        updated, responded = planned, None
        if launched is not None and status is not _TARGETED:
            updated = min(END, launched + dice.between(0, 5 * DAY))
            responded = updated if status in _RESPONDED else None
        contact = buyer.contact_ids[0] if dice.chance(0.75) else None
        version = 1 if status is _TARGETED else 2
        row = (campaign_id, buyer.id, contact, status.value, responded, version, planned, updated)
        members.rows.append((self._workspace, members.new_id(), *row))
        party = contact or buyer.id
        if status is CampaignMemberStatus.UNSUBSCRIBED and party not in self._unsubscribed:
            self._unsubscribed.add(party)
            self._unsubscriptions.rows.append((self._workspace, party, updated))
