"""Members and teams in the schema, and the viewer.

One file for both types: a member belongs to a team and a team has a manager, so each names the other.
"""

from __future__ import annotations

from datetime import datetime

import strawberry

from crm_graph.domains.workspace.members import events, model, operations, policy
from crm_graph.domains.workspace.teams import model as team_model
from crm_graph.domains.workspace.teams import policy as team_policy
from crm_graph.domains.workspace.workspaces.graph import Workspace
from crm_graph.graph import roots
from crm_graph.graph.build import Slice
from crm_graph.graph.context import Info
from crm_graph.graph.enums import describe
from crm_graph.graph.payloads import Payload, given, key_of, new_key, perform, refer
from crm_graph.graph.records import Node, by_key, column, record, to_many, to_one
from crm_graph.graph.types import Connection
from crm_graph.work import Work

describe(
    model.MemberStatus,
    "Whether a member may sign in.",
    {
        "ACTIVE": "May sign in.",
        "SUSPENDED": "May not sign in; what they own stays theirs.",
    },
)


@record("mem", model.Member, policy.MEMBER)
class Member(Node):
    """A person who works in the workspace."""

    name: str = column("The member's name.")
    email: str | None = column("The member's e-mail address, unique in the workspace.")
    status: model.MemberStatus = column("Whether the member may sign in.")
    external_id: str | None = column("The member's id in the system they were imported from.")
    team: Team | None = to_one("team_id", "The team the member belongs to.")
    manager: Member | None = to_one("manager_id", "Who the member reports to.")
    reports: Connection[Member] = to_many("manager_id", "The members who report to this one.")
    version: int = column("Counts the changes; give it as `ifVersion`.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


@record("tea", team_model.Team, team_policy.TEAM)
class Team(Node):
    """A team; teams form a tree, and a manager sees what the subtree owns."""

    name: str = column("The team's name, unique in the workspace.")
    parent: Team | None = to_one("parent_id", "The team above this one.")
    manager: Member | None = to_one("manager_id", "Who leads the team.")
    teams: Connection[Team] = to_many("parent_id", "The teams directly below this one.")
    members: Connection[Member] = to_many("team_id", "The members of this team itself.")
    version: int = column("Counts the changes; give it as `ifVersion`.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


@strawberry.type(description="Who is asking.")
class Viewer:
    """A plain object: the ids come from the token, the records through their sources."""

    member_id: strawberry.Private[str]
    workspace_id: strawberry.Private[str]
    roles: list[str] = strawberry.field(description="The names of the member's roles; their grants add up.")
    member: Member | None = by_key("member_id", "The member.")
    workspace: Workspace | None = by_key("workspace_id", "The workspace the token is for.")


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


@strawberry.input(description="A new member.")
class CreateMemberInput:
    """See `operations.create_member`."""

    id: strawberry.ID | None = strawberry.field(
        description="An id made by the client, `mem_` and a UUIDv7.", default=None
    )
    name: str = strawberry.field(description="The member's name.")
    email: str = strawberry.field(description="The member's e-mail address, unique in the workspace.")
    roles: list[str] = strawberry.field(description="The names of the member's roles.")
    team_id: strawberry.ID | None = strawberry.field(description="The team the member belongs to.", default=None)
    manager_id: strawberry.ID | None = strawberry.field(description="Who the member reports to.", default=None)
    external_id: str | None = strawberry.field(description="The member's id in another system.", default=None)


@strawberry.input(description="Changes to a member; what is left out stays.")
class UpdateMemberInput:
    """See `operations.update_member`."""

    id: strawberry.ID = strawberry.field(description="The member.")
    if_version: int | None = strawberry.field(description="Refuse if the member is at another version.", default=None)
    name: strawberry.Maybe[str] = strawberry.field(description="The member's name.")
    email: strawberry.Maybe[str] = strawberry.field(description="The member's e-mail address.")
    team_id: strawberry.Maybe[strawberry.ID | None] = strawberry.field(description="The member's team.")
    manager_id: strawberry.Maybe[strawberry.ID | None] = strawberry.field(description="Who the member reports to.")
    external_id: strawberry.Maybe[str | None] = strawberry.field(description="The member's id in another system.")


@strawberry.input(description="The roles of a member, all of them.")
class SetMemberRolesInput:
    """See `operations.set_member_roles`."""

    id: strawberry.ID = strawberry.field(description="The member.")
    roles: list[str] = strawberry.field(description="The names of all roles the member is to have.")


@strawberry.input(description="A member who is to be kept from signing in.")
class SuspendMemberInput:
    """See `operations.suspend_member`."""

    id: strawberry.ID = strawberry.field(description="The member.")
    if_version: int | None = strawberry.field(description="Refuse if the member is at another version.", default=None)


@strawberry.input(description="A member who may sign in again.")
class ReactivateMemberInput:
    """See `operations.reactivate_member`."""

    id: strawberry.ID = strawberry.field(description="The member.")
    if_version: int | None = strawberry.field(description="Refuse if the member is at another version.", default=None)


@strawberry.type(description="A member, or why not.")
class MemberPayload(Payload):
    """What mutations of members return."""

    member: Member | None = by_key("record_id", "The member; null when refused.")


class Mutations:
    """Fields of Mutation."""

    @strawberry.mutation(description="Adds a member to the workspace.")
    async def create_member(self, info: Info, input: CreateMemberInput) -> MemberPayload:
        return await perform(info, MemberPayload, lambda work: _create(work, input))

    @strawberry.mutation(description="Changes a member's name, e-mail address or team.")
    async def update_member(self, info: Info, input: UpdateMemberInput) -> MemberPayload:
        return await perform(info, MemberPayload, lambda work: _update(work, input))

    @strawberry.mutation(description="Replaces a member's roles.")
    async def set_member_roles(self, info: Info, input: SetMemberRolesInput) -> MemberPayload:
        return await perform(
            info, MemberPayload, lambda work: operations.set_member_roles(work, key_of(Member, input.id), input.roles)
        )

    @strawberry.mutation(description="Keeps a member from signing in; their tokens stop working at once.")
    async def suspend_member(self, info: Info, input: SuspendMemberInput) -> MemberPayload:
        return await perform(
            info,
            MemberPayload,
            lambda work: operations.suspend_member(work, key_of(Member, input.id), input.if_version),
        )

    @strawberry.mutation(description="Lets a suspended member sign in again.")
    async def reactivate_member(self, info: Info, input: ReactivateMemberInput) -> MemberPayload:
        return await perform(
            info,
            MemberPayload,
            lambda work: operations.reactivate_member(work, key_of(Member, input.id), input.if_version),
        )


async def _create(work: Work, input_: CreateMemberInput) -> str:
    values = given(input_, "id", "roles")
    refer(values, "team_id", Team)
    refer(values, "manager_id", Member)
    return await operations.create_member(work, {"id": new_key(Member, input_.id), **values}, input_.roles)


async def _update(work: Work, input_: UpdateMemberInput) -> str:
    values = given(input_, "id", "if_version")
    refer(values, "team_id", Team)
    refer(values, "manager_id", Member)
    return await operations.update_member(work, key_of(Member, input_.id), values, input_.if_version)


SLICE = Slice(
    "members",
    records=(Member, Team),
    queries=(Queries,),
    mutations=(Mutations,),
    events=events.EVENTS,
)
