"""Campaigns and their members."""

from __future__ import annotations

from tests.permissions.tables.table import (
    NOBODY,
    OWN_WORKSPACE,
    ROW,
    Id,
    Table,
    Without,
    Write,
    no_such,
    no_verb,
    not_this,
)


def _without(verb: str, plural: str = "campaigns") -> list[Without]:
    return [Without(role, no_verb(verb, plural)) for role in (NOBODY, "sales_manager", "sales_rep", "analyst")]


def _transition(verb: str, before: str, event: str) -> Write:
    return Write(
        f"{verb}Campaign",
        verb,
        {"id": ROW},
        right="marketer",
        without=_without(verb),
        stranger=no_such("campaign"),
        events=[event],
        tables=["campaign"],
        given={"status": before},
    )


CAMPAIGNS = Table(
    "Campaign",
    reads=("campaign", "campaigns", "campaignsAggregate"),
    watches=("campaignChanged",),
    seen_by="sales_manager",
    unseen_by=[(NOBODY, "own")],
    writes=[
        Write(
            "createCampaign",
            "create",
            {"id": ROW, "name": "Zebra", "channel": "EMAIL"},
            right="marketer",
            without=_without("create"),
            stranger=OWN_WORKSPACE,
            events=["CampaignCreated"],
            tables=["campaign"],
        ),
        Write(
            "updateCampaign",
            "update",
            {"id": ROW, "name": "Zebra"},
            right="marketer",
            without=_without("update"),
            stranger=no_such("campaign"),
            events=["CampaignUpdated"],
            tables=["campaign"],
        ),
        _transition("launch", "PLANNED", "CampaignLaunched"),
        _transition("pause", "ACTIVE", "CampaignPaused"),
        _transition("resume", "PAUSED", "CampaignResumed"),
        _transition("complete", "ACTIVE", "CampaignCompleted"),
        _transition("cancel", "ACTIVE", "CampaignCancelled"),
        Write(
            "deleteCampaign",
            "delete",
            {"id": ROW},
            right="marketer",
            without=[
                *_without("delete"),
                Without("marketer", not_this("delete", "campaign"), place="team"),
            ],
            stranger=no_such("campaign"),
            events=["CampaignDeleted"],
            tables=["campaign"],
            fresh=True,
        ),
    ],
)

MEMBERS = Table(
    "CampaignMember",
    reads=("campaignMember", "campaignMembers", "campaignMembersAggregate"),
    seen_by="sales_rep",
    unseen_by=[(NOBODY, "own")],
    writes=[
        Write(
            "addCampaignMember",
            "update",
            {"campaignId": Id("Campaign"), "customerId": Id("Customer", "outside")},
            right="marketer",
            without=_without("update", "campaign members"),
            stranger=no_such("campaign", "campaignId"),
            events=["CampaignMemberAdded"],
            tables=["campaign_member"],
            samples={"contactId": Id("Contact", "outside")},
        ),
        Write(
            "setCampaignMemberStatus",
            "update",
            {"id": ROW, "status": "RESPONDED"},
            right="marketer",
            without=_without("update", "campaign members"),
            stranger=no_such("campaign member"),
            events=["CampaignMemberStatusChanged"],
            tables=["campaign_member"],
        ),
        Write(
            "removeCampaignMember",
            "update",
            {"id": ROW},
            right="marketer",
            without=_without("update", "campaign members"),
            stranger=no_such("campaign member"),
            events=["CampaignMemberRemoved"],
            tables=["campaign_member"],
        ),
    ],
)

TABLES = (CAMPAIGNS, MEMBERS)
