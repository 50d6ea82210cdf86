"""Who may see and change teams: everybody sees the organisation, administrators change it."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.domains.workspace.teams.model import Team
from crm_graph.permissions.grants import ALL, Level, grant
from crm_graph.permissions.policy import Policy
from crm_graph.permissions.roles import ANALYST, INTEGRATION, MARKETER, SALES_MANAGER, SALES_REP, SUPPORT_AGENT

_SEE = grant(read=ALL, default=Level.READ)

TEAM = Policy(
    "Team",
    table_of(Team),
    defaults=dict.fromkeys((SALES_MANAGER, SALES_REP, MARKETER, SUPPORT_AGENT, ANALYST, INTEGRATION), _SEE),
)
