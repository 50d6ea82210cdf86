"""The pure transitions of campaigns and their members, over the full matrix of statuses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from crm_graph.domains.marketing.campaigns.events import (
    CampaignCancelled,
    CampaignCompleted,
    CampaignLaunched,
    CampaignMemberStatusChanged,
    CampaignPaused,
    CampaignResumed,
)
from crm_graph.domains.marketing.campaigns.model import (
    Campaign,
    CampaignMember,
    CampaignMemberStatus,
    CampaignStatus,
)
from crm_graph.kernel.errors import Refused

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
EARLIER = datetime(2026, 11, 1, tzinfo=UTC)

TRANSITIONS: dict[str, Callable[[Campaign], object]] = {
    "launch": Campaign.launch,
    "pause": Campaign.pause,
    "resume": Campaign.resume,
    "complete": Campaign.complete,
    "cancel": Campaign.cancel,
}
LEGAL: dict[tuple[str, str], tuple[str, object]] = {
    ("launch", "PLANNED"): ("ACTIVE", CampaignLaunched()),
    ("pause", "ACTIVE"): ("PAUSED", CampaignPaused()),
    ("resume", "PAUSED"): ("ACTIVE", CampaignResumed()),
    ("complete", "ACTIVE"): ("COMPLETED", CampaignCompleted("ACTIVE")),
    ("complete", "PAUSED"): ("COMPLETED", CampaignCompleted("PAUSED")),
    ("cancel", "PLANNED"): ("CANCELLED", CampaignCancelled("PLANNED")),
    ("cancel", "ACTIVE"): ("CANCELLED", CampaignCancelled("ACTIVE")),
    ("cancel", "PAUSED"): ("CANCELLED", CampaignCancelled("PAUSED")),
}
STEPS = ("TARGETED", "SENT", "OPENED", "RESPONDED", "CONVERTED", "UNSUBSCRIBED")
FORWARD = {
    "TARGETED": {"SENT", "OPENED", "RESPONDED", "CONVERTED", "UNSUBSCRIBED"},
    "SENT": {"OPENED", "RESPONDED", "CONVERTED", "UNSUBSCRIBED"},
    "OPENED": {"RESPONDED", "CONVERTED", "UNSUBSCRIBED"},
    "RESPONDED": {"CONVERTED", "UNSUBSCRIBED"},
    "CONVERTED": {"UNSUBSCRIBED"},
    "UNSUBSCRIBED": set[str](),
}


@pytest.mark.parametrize("before", [status.value for status in CampaignStatus])
@pytest.mark.parametrize("name", TRANSITIONS)
def test_campaign_status(name: str, before: str) -> None:
    campaign = Campaign(name="Spring mailing", status=before)
    if (name, before) in LEGAL:
        after, event = LEGAL[name, before]
        assert TRANSITIONS[name](campaign) == event
        assert campaign.status == after
        return
    with pytest.raises(Refused) as refused:
        TRANSITIONS[name](campaign)
    assert (refused.value.code, refused.value.field) == ("ILLEGAL_TRANSITION", ("id",))
    assert refused.value.message.endswith(f"this one is {before}.")
    assert campaign.status == before


def test_every_status_is_in_the_matrix() -> None:
    assert {before for _, before in LEGAL} | {"COMPLETED", "CANCELLED"} == {status.value for status in CampaignStatus}
    assert set(STEPS) == {status.value for status in CampaignMemberStatus}


@pytest.mark.parametrize("after", STEPS)
@pytest.mark.parametrize("before", STEPS)
def test_member_status(before: str, after: str) -> None:
    member = CampaignMember(campaign_id="c" * 32, customer_id="a" * 32, status=before)
    if after in FORWARD[before]:
        event = member.set_status(CampaignMemberStatus(after), AT)
        assert event == CampaignMemberStatusChanged("c" * 32, before, after)
        assert member.status == after
        assert member.responded_at == (AT if after in {"RESPONDED", "CONVERTED"} else None)
        return
    with pytest.raises(Refused) as refused:
        member.set_status(CampaignMemberStatus(after), AT)
    assert (refused.value.code, refused.value.field) == ("ILLEGAL_TRANSITION", ("status",))
    assert (member.status, member.responded_at) == (before, None)


def test_the_first_response_is_kept() -> None:
    member = CampaignMember(campaign_id="c" * 32, status="RESPONDED", responded_at=EARLIER)
    member.set_status(CampaignMemberStatus.CONVERTED, AT)
    assert member.responded_at == EARLIER
    member.set_status(CampaignMemberStatus.UNSUBSCRIBED, AT)
    assert member.responded_at == EARLIER


@pytest.mark.parametrize(
    ("customer", "contact"),
    [("a" * 32, None), (None, "b" * 32), ("a" * 32, "b" * 32)],
    ids=["customer", "contact", "both"],
)
def test_a_member_is_somebody(customer: str | None, contact: str | None) -> None:
    CampaignMember(customer_id=customer, contact_id=contact).check()


def test_a_member_that_is_nobody_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        CampaignMember().check()
    assert (refused.value.code, refused.value.field) == ("REQUIRED", ("customerId",))
