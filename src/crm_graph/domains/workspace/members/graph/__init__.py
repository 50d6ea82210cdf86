"""Members and teams in the schema, and the viewer. One slice: a member has a team and a team has a manager."""

from __future__ import annotations

from crm_graph.domains.workspace.members import events
from crm_graph.domains.workspace.members.graph.changes import AS_IT_IS, THAT_MATCH, MemberChange
from crm_graph.domains.workspace.members.graph.explaining import PermissionQueries
from crm_graph.domains.workspace.members.graph.mutations import Mutations
from crm_graph.domains.workspace.members.graph.roles import RoleMutations, RoleQueries
from crm_graph.domains.workspace.members.graph.teams import TeamMutations
from crm_graph.domains.workspace.members.graph.types import ByMember, Member, Queries, Team, Viewer, Written
from crm_graph.domains.workspace.members.policy import ROLE
from crm_graph.graph.records.history import HistoryEntry
from crm_graph.graph.records.record import extend
from crm_graph.graph.schema.build import Slice

SLICE = Slice(
    "members",
    records=(Member, Team),
    queries=(Queries, RoleQueries, PermissionQueries),
    mutations=(Mutations, TeamMutations, RoleMutations),
    policies=(ROLE,),
    extensions=(extend(HistoryEntry, ByMember),),
    of_rows=Written,
    events=events.EVENTS,
)

__all__ = ["AS_IT_IS", "SLICE", "THAT_MATCH", "Member", "MemberChange", "Team", "Viewer"]
