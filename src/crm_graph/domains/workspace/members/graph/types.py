"""Members and teams in the schema, and the viewer.

One file for both types: a member belongs to a team and a team has a manager, so each names the other.
"""

from __future__ import annotations

from datetime import datetime

import strawberry

from crm_graph.domains.workspace.members import model, policy
from crm_graph.domains.workspace.members.graph.permissions import RecordPermission, type_permissions
from crm_graph.domains.workspace.workspaces.graph import Storage, Workspace, storage_of
from crm_graph.graph.context import Info
from crm_graph.graph.records import roots
from crm_graph.graph.records.enums import describe
from crm_graph.graph.records.record import Node, by_key, column, record, to_many, to_one
from crm_graph.graph.records.types import Connection

describe(
    model.MemberStatus,
    "Whether a member may sign in.",
    {
        "ACTIVE": "May sign in.",
        "SUSPENDED": "May not sign in; what they own stays theirs.",
    },
)


@record("mem", model.Member, policy.MEMBER, views=True)
class Member(Node):
    """A person who works in the workspace."""

    name: str = column("The member's name.")
    email: str | None = column("The member's e-mail address, unique in the workspace.")
    status: model.MemberStatus = column("Whether the member may sign in.")
    external_id: str | None = column("The member's id in the system they were imported from.")
    team: Team | None = to_one("team_id", "The team the member belongs to.")
    manager: Member | None = to_one("manager_id", "Who the member reports to.")
    reports: Connection[Member] = to_many("manager_id", "The members who report to this one.")
    version: int = column("Counts the changes of this record; send it as `ifVersion` to refuse a lost update.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


@record("tea", model.Team, policy.TEAM)
class Team(Node):
    """A team; teams form a tree, and a manager sees what the subtree owns."""

    name: str = column("The team's name, unique in the workspace.")
    parent: Team | None = to_one("parent_id", "The team above this one.")
    manager: Member | None = to_one("manager_id", "Who leads the team.")
    teams: Connection[Team] = to_many("parent_id", "The teams directly below this one.")
    members: Connection[Member] = to_many("team_id", "The members of this team itself.")
    version: int = column("Counts the changes of this record; send it as `ifVersion` to refuse a lost update.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


class Written:
    """Who wrote a row, of every record that keeps it."""

    created_by: Member | None = to_one(
        "created_by_id", "The member who made the record; null where the installation did, or that was not kept."
    )
    updated_by: Member | None = to_one(
        "updated_by_id",
        "The member who last changed the record; null where the installation did, or that was not kept.",
    )


class ByMember:
    """Who made a change, of the history of every record."""

    actor: Member | None = by_key(
        "actor_key", "The member who made the change; null where you may not see that member, or nobody did."
    )


@strawberry.type(description="Who is asking.")
class Viewer:
    """A plain object: the ids come from the token, the records through their sources."""

    member_id: strawberry.Private[str]
    workspace_id: strawberry.Private[str]
    roles: list[str] = strawberry.field(description="The names of the member's roles; their grants add up.")
    member: Member | None = by_key("member_id", "The member.")
    workspace: Workspace | None = by_key("workspace_id", "The workspace the token is for.")

    @strawberry.field(description="What you may do, by type: the union of your roles.")
    def permissions(self, info: Info) -> list[RecordPermission]:
        return type_permissions(info.context)

    @strawberry.field(
        description="How much your workspace stores, and how much it may store; null for all but administrators."
    )
    async def storage(self, info: Info) -> Storage | None:
        return await storage_of(info.context)


class Queries:
    """Fields of Query."""

    member: Member | None = roots.one("A member by id.")
    members: Connection[Member] = roots.many("The members of the workspace.")
    team: Team | None = roots.one("A team by id.")
    teams: Connection[Team] = roots.many("The teams of the workspace.")

    @strawberry.field(description="Who is asking: the member and workspace of the token.")
    def viewer(self, info: Info) -> Viewer:
        of = info.context.viewer
        return Viewer(member_id=of.member_id, workspace_id=of.workspace_id, roles=list(of.roles))
