"""The mutations of members."""

from __future__ import annotations

import strawberry

from crm_graph.domains.workspace.members import model, operations
from crm_graph.domains.workspace.members.graph.types import Member, Team
from crm_graph.domains.workspace.members.policy import MEMBER
from crm_graph.graph.context import Info
from crm_graph.graph.payloads import Payload, field_names, given, key_of, new_key, perform, refer
from crm_graph.graph.reading.sizes import ROLES, sized
from crm_graph.graph.records.record import by_key
from crm_graph.graph.writes import does
from crm_graph.permissions.grants import CREATE, UPDATE
from crm_graph.work import Work


@sized(model.Member, roles=ROLES)
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


@sized(model.Member)
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


@sized(roles=ROLES)
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

    @strawberry.mutation(description="Adds a member to the workspace.", metadata=does(MEMBER, CREATE))
    async def create_member(self, info: Info, input: CreateMemberInput) -> MemberPayload:
        return await perform(info, MemberPayload, lambda work: _create(work, input))

    @strawberry.mutation(
        description="Changes a member's name, e-mail address, team or manager.", metadata=does(MEMBER, UPDATE)
    )
    async def update_member(self, info: Info, input: UpdateMemberInput) -> MemberPayload:
        return await perform(info, MemberPayload, lambda work: _update(work, input))

    @strawberry.mutation(description="Replaces a member's roles.", metadata=does(MEMBER, "setRoles"))
    async def set_member_roles(self, info: Info, input: SetMemberRolesInput) -> MemberPayload:
        return await perform(
            info, MemberPayload, lambda work: operations.set_member_roles(work, key_of(Member, input.id), input.roles)
        )

    @strawberry.mutation(
        description="Keeps a member from signing in; their tokens stop working at once. You must hold all of their"
        " roles.",
        metadata=does(MEMBER, "suspend"),
    )
    async def suspend_member(self, info: Info, input: SuspendMemberInput) -> MemberPayload:
        return await perform(
            info,
            MemberPayload,
            lambda work: operations.suspend_member(work, key_of(Member, input.id), input.if_version),
        )

    @strawberry.mutation(
        description="Lets a suspended member sign in again. You must hold all of their roles.",
        metadata=does(MEMBER, "reactivate"),
    )
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
    names = field_names(input_, "id", "roles")
    return await operations.create_member(work, {"id": new_key(Member, input_.id), **values}, input_.roles, names)


async def _update(work: Work, input_: UpdateMemberInput) -> str:
    values = given(input_, "id", "if_version")
    refer(values, "team_id", Team)
    refer(values, "manager_id", Member)
    names = field_names(input_, "id", "if_version")
    return await operations.update_member(work, key_of(Member, input_.id), values, names, input_.if_version)
