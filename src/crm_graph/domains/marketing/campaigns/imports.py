"""Campaigns from files, in any status: an import brings in what happened elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from crm_graph.domains.marketing.campaigns.events import (
    CampaignCancelled,
    CampaignCompleted,
    CampaignCreated,
    CampaignLaunched,
    CampaignPaused,
    CampaignResumed,
    CampaignUpdated,
)
from crm_graph.domains.marketing.campaigns.model import Campaign, CampaignChannel, CampaignStatus
from crm_graph.domains.marketing.campaigns.operations import CANCEL, COMPLETE, LAUNCH, PAUSE
from crm_graph.domains.marketing.campaigns.policy import CAMPAIGN
from crm_graph.domains.workspace.members.imports import MEMBER_TARGET, TEAM_TARGET
from crm_graph.domains.workspace.workspaces.operations import base_currency
from crm_graph.kernel.errors import Refused
from crm_graph.transfer.spec import Changes, Draft, ImportSpec, choice, currency, day, decimal, refer, string
from crm_graph.work import DomainEvent, Work


async def _currency(work: Work, _: Sequence[Draft]) -> str:
    return await base_currency(work)


def _complete(work: Work, draft: Draft, base: str) -> None:
    starts, ends = draft.get("starts_on"), draft.get("ends_on")
    if starts is not None and ends is not None and ends < starts:
        raise Refused("INVALID", "is before the campaign starts", ("ends_on",))
    if draft.values.keys() & {"budget", "cost", "currency"}:
        if draft.get("budget") is None and draft.get("cost") is None:
            draft.values["currency"] = None
        elif draft.get("currency") is None:
            draft.values["currency"] = base
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
        columns=(
            string("external_id"),
            string("name", required=True),
            choice("channel", CampaignChannel, required=True),
            choice(
                "status",
                CampaignStatus,
                default=CampaignStatus.PLANNED.value,
                verbs={"ACTIVE": LAUNCH, "PAUSED": PAUSE, "COMPLETED": COMPLETE, "CANCELLED": CANCEL},
            ),
            day("starts_on"),
            day("ends_on"),
            decimal("budget"),
            decimal("cost"),
            currency("budget"),
            string("goal"),
            refer("owner", MEMBER_TARGET),
            refer("team", TEAM_TARGET),
        ),
        matches=(("external_id",), ("name",)),
        unique=(("external_id",),),
        created=lambda _: CampaignCreated(),
        updated=_updated,
        gather=_currency,
        complete=_complete,
    ),
)
