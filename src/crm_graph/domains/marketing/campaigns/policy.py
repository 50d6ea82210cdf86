"""Who may see and change campaigns: marketers run them, everybody sees what the customers are told."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.domains.marketing.campaigns.model import Campaign, CampaignMember
from crm_graph.permissions.grants import ALL, HIDDEN, OWN, TEAM, Level, grant
from crm_graph.permissions.policy import Policy, mask_amount, of_viewer_or_teams, owned_by
from crm_graph.permissions.roles import ANALYST, INTEGRATION, MARKETER, SALES_MANAGER, SALES_REP, SUPPORT_AGENT

CAMPAIGN_TEAM = "CAMPAIGN_TEAM"
"""The row scope of the campaigns that one runs oneself, or that a team of one's own subtree runs."""
_SEE = grant(read=ALL, default=Level.READ)
_SEE_WITHOUT_MONEY = grant(read=ALL, default=Level.READ, fields={"budget": HIDDEN, "cost": HIDDEN})

CAMPAIGN = Policy(
    "Campaign",
    table_of(Campaign),
    scopes={**owned_by("owner_id"), CAMPAIGN_TEAM: lambda rows: of_viewer_or_teams(rows, "owner_id", "team_id")},
    around_own=frozenset({TEAM, CAMPAIGN_TEAM}),
    masks={"budget": mask_amount, "cost": mask_amount},
    transitions=("launch", "pause", "resume", "complete", "cancel"),
    defaults={
        MARKETER: grant(read=ALL, create=ALL, update=ALL, delete=OWN),
        **dict.fromkeys((SALES_MANAGER, ANALYST), _SEE),
        **dict.fromkeys((SALES_REP, SUPPORT_AGENT), _SEE_WITHOUT_MONEY),
        INTEGRATION: grant(read=ALL, create=ALL, update=ALL),
    },
)
CAMPAIGN_MEMBER = Policy(
    "CampaignMember",
    table_of(CampaignMember),
    parent=(CAMPAIGN, "campaign_id"),
    in_version=False,  # thousands, whom imports and forms add and mails move, while somebody edits the plan
)
