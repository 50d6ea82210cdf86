"""Who may see and change members and teams: everybody sees the organisation, administrators change it."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.domains.workspace.members.model import Member, RoleRow, Team
from crm_graph.domains.workspace.members.reach import (
    hold_access_of_member,
    hold_manager_of_member,
    hold_place_of_team,
    hold_roles_of_member,
    hold_team_of_member,
)
from crm_graph.permissions.grants import ALL, MASKED, SET_ROLES, Level, grant, read_only
from crm_graph.permissions.policy import Policy, mask_email, owned_by
from crm_graph.permissions.rights import administrators_only
from crm_graph.permissions.roles import ANALYST, INTEGRATION, STAFF

_SEE = grant(read=ALL, default=Level.READ)

MEMBER = Policy(
    "Member",
    table_of(Member),
    scopes=owned_by("id"),
    masks={"email": mask_email},
    following=("suspend", "reactivate"),
    by_name=(SET_ROLES,),
    directory=True,
    decides={
        "roles": hold_roles_of_member,
        "team_id": hold_team_of_member,
        "manager_id": hold_manager_of_member,
        **dict.fromkeys(("email", "status", "kind"), hold_access_of_member),
    },
    defaults={
        **dict.fromkeys(STAFF, _SEE),
        INTEGRATION: read_only(),
        ANALYST: grant(read=ALL, export=ALL, default=Level.READ, fields={"email": MASKED}),
    },
)
TEAM = Policy(
    "Team",
    table_of(Team),
    directory=True,
    decides=dict.fromkeys(("parent_id", "manager_id"), hold_place_of_team),
    defaults=dict.fromkeys(STAFF, _SEE),
)
ROLE = Policy(
    "Role",
    table_of(RoleRow),
    directory=True,
    decides=dict.fromkeys(
        ("name", "grants", "description"),
        administrators_only("Only administrators change roles: who changes one may do everything."),
    ),
)
"""No record of the schema: built-in roles have no row. Administrators alone change roles (`roles.py`)."""
