"""Who may see and change members and teams: everybody sees the organisation, administrators change it."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.domains.workspace.members.model import Member, Team
from crm_graph.permissions.grants import ALL, MASKED, Level, grant
from crm_graph.permissions.policy import Policy, mask_email, owned_by
from crm_graph.permissions.roles import ANALYST, INTEGRATION, MARKETER, SALES_MANAGER, SALES_REP, SUPPORT_AGENT

_SEE = grant(read=ALL, default=Level.READ)

MEMBER = Policy(
    "Member",
    table_of(Member),
    scopes=owned_by("id"),
    masks={"email": mask_email},
    directory=True,
    defaults={
        **dict.fromkeys((SALES_MANAGER, SALES_REP, MARKETER, SUPPORT_AGENT, INTEGRATION), _SEE),
        ANALYST: grant(read=ALL, default=Level.READ, fields={"email": MASKED}),
    },
)
TEAM = Policy(
    "Team",
    table_of(Team),
    directory=True,
    defaults=dict.fromkeys((SALES_MANAGER, SALES_REP, MARKETER, SUPPORT_AGENT, ANALYST, INTEGRATION), _SEE),
)
