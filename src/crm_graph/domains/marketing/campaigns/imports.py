"""Campaigns from files, in any status: an import brings in what happened elsewhere."""

from __future__ import annotations

from crm_graph.domains.marketing.campaigns.events import (
    CampaignCancelled,
    CampaignCompleted,
    CampaignCreated,
    CampaignLaunched,
    CampaignPaused,
    CampaignResumed,
    CampaignUpdated,
)
from crm_graph.domains.marketing.campaigns.model import Campaign, CampaignStatus
from crm_graph.domains.marketing.campaigns.operations import CANCEL, COMPLETE, LAUNCH, PAUSE
from crm_graph.domains.marketing.campaigns.policy import CAMPAIGN
from crm_graph.domains.workspace.members.imports import MEMBER_TARGET, TEAM_TARGET
from crm_graph.domains.workspace.workspaces.imports import gather_currency
from crm_graph.transfer.spec import Changes, Draft, ImportSpec, columns_of, settle_currencies
from crm_graph.work import DomainEvent, Work


def _complete(work: Work, draft: Draft, base: str) -> None:
    settle_currencies(Campaign, draft, base)
    if draft.is_new():
        draft.values.setdefault("owner_id", work.viewer.member_id)


def _updated(_: Draft, changes: Changes) -> DomainEvent:
    if "status" not in changes:
        return CampaignUpdated()
    before, after = changes["status"]
    match CampaignStatus(after):
        case CampaignStatus.ACTIVE:
            return CampaignResumed() if before == CampaignStatus.PAUSED.value else CampaignLaunched()
        case CampaignStatus.PAUSED:
            return CampaignPaused()
        case CampaignStatus.COMPLETED:
            return CampaignCompleted(before)
        case CampaignStatus.CANCELLED:
            return CampaignCancelled(before)
        case CampaignStatus.PLANNED:
            return CampaignUpdated()


IMPORTS = (
    ImportSpec(
        entity="campaign",
        model=Campaign,
        policy=CAMPAIGN,
        prefix="cmp",
        columns=columns_of(
            Campaign,
            *(MEMBER_TARGET, TEAM_TARGET),
            required=("name", "channel"),
            money={"currency": "budget"},
            verbs={"status": {"ACTIVE": LAUNCH, "PAUSED": PAUSE, "COMPLETED": COMPLETE, "CANCELLED": CANCEL}},
        ),
        matches=(("external_id",), ("name",)),
        unique=(("external_id",),),
        created=lambda _: CampaignCreated(),
        updated=_updated,
        gather=gather_currency,
        complete=_complete,
    ),
)
