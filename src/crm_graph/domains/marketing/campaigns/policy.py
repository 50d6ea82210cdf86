"""Who may see and change campaigns: marketers run them, everybody sees what the customers are told."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.domains.marketing.campaigns.model import Campaign, CampaignMember
from crm_graph.permissions.grants import ALL, HIDDEN, OWN, TEAM, Level, grant, read_only
from crm_graph.permissions.policy import Policy, mask_amount, of_viewer_or_teams, owned_by
from crm_graph.permissions.roles import (
    ANALYST,
    FINANCE,
    INTEGRATION,
    MARKETER,
    SALES_MANAGER,
    SALES_REP,
    SERVICE_MANAGER,
    SUPPORT_AGENT,
)

CAMPAIGN_TEAM = "CAMPAIGN_TEAM"
"""The row scope of the campaigns that one runs oneself, or that a team of one's own subtree runs."""
_SEE_WITHOUT_MONEY = grant(read=ALL, default=Level.READ, fields={"budget": HIDDEN, "cost": HIDDEN})

CAMPAIGN = Policy(
    "Campaign",
    table_of(Campaign),
    scopes={**owned_by("owner_id"), CAMPAIGN_TEAM: lambda rows: of_viewer_or_teams(rows, "owner_id", "team_id")},
    around_own=frozenset({TEAM, CAMPAIGN_TEAM}),
    masks={"budget": mask_amount, "cost": mask_amount},
    following=("pause", "resume", "complete"),
    by_name=("launch", "cancel"),
    defaults={
        MARKETER: grant(
            read=ALL,
            create=ALL,
            update=ALL,
            delete=OWN,
            launch=OWN,
            pause=OWN,
            resume=OWN,
            complete=OWN,
            cancel=OWN,
        ),
        SALES_MANAGER: grant(read=ALL, export=TEAM, default=Level.READ),
        FINANCE: grant(read=ALL, default=Level.READ),
        ANALYST: read_only(),
        **dict.fromkeys((SALES_REP, SUPPORT_AGENT, SERVICE_MANAGER), _SEE_WITHOUT_MONEY),
        INTEGRATION: grant(read=ALL, create=ALL, update=ALL, export=ALL),
    },
)
CAMPAIGN_MEMBER = Policy(
    "CampaignMember",
    table_of(CampaignMember),
    parent=(CAMPAIGN, "campaign_id"),
    in_version=False,  # thousands, whom imports and forms add and mails move, while somebody edits the plan
)
