"""The mutations of teams."""

from __future__ import annotations

import strawberry

from crm_graph.domains.workspace.members import model, teams
from crm_graph.domains.workspace.members.graph.types import Member, Team
from crm_graph.domains.workspace.members.policy import TEAM
from crm_graph.graph.context import Info
from crm_graph.graph.payloads import (
    DeletePayload,
    Payload,
    field_names,
    given,
    key_of,
    new_key,
    perform,
    perform_delete,
    refer,
)
from crm_graph.graph.reading.sizes import sized
from crm_graph.graph.records.record import by_key
from crm_graph.graph.writes import does
from crm_graph.permissions.grants import CREATE, DELETE, UPDATE
from crm_graph.work import Work


@sized(model.Team)
@strawberry.input(description="A new team.")
class CreateTeamInput:
    """See `teams.create_team`."""

    id: strawberry.ID | None = strawberry.field(
        description="An id made by the client, `tea_` and a UUIDv7.", default=None
    )
    name: str = strawberry.field(description="The team's name, unique in the workspace.")
    parent_id: strawberry.ID | None = strawberry.field(description="The team above it.", default=None)
    manager_id: strawberry.ID | None = strawberry.field(description="Who leads the team.", default=None)


@sized(model.Team)
@strawberry.input(description="Changes to a team; what is left out stays, null clears.")
class UpdateTeamInput:
    """See `teams.update_team`."""

    id: strawberry.ID = strawberry.field(description="The team.")
    if_version: int | None = strawberry.field(description="Refuse if the team is at another version.", default=None)
    name: strawberry.Maybe[str] = strawberry.field(description="The team's name.")
    parent_id: strawberry.Maybe[strawberry.ID | None] = strawberry.field(description="The team above it.")
    manager_id: strawberry.Maybe[strawberry.ID | None] = strawberry.field(description="Who leads the team.")


@strawberry.input(description="A team to dissolve.")
class DeleteTeamInput:
    """See `teams.delete_team`."""

    id: strawberry.ID = strawberry.field(description="The team.")
    if_version: int | None = strawberry.field(description="Refuse if the team is at another version.", default=None)


@strawberry.type(description="A team, or why not.")
class TeamPayload(Payload):
    """What mutations of teams return."""

    team: Team | None = by_key("record_id", "The team; null when refused.")


class TeamMutations:
    """Fields of Mutation."""

    @strawberry.mutation(description="Sets up a team.", metadata=does(TEAM, CREATE))
    async def create_team(self, info: Info, input: CreateTeamInput) -> TeamPayload:
        return await perform(info, TeamPayload, lambda work: _create(work, input))

    @strawberry.mutation(
        description="Renames a team, moves it in the tree, or gives it another manager.", metadata=does(TEAM, UPDATE)
    )
    async def update_team(self, info: Info, input: UpdateTeamInput) -> TeamPayload:
        return await perform(info, TeamPayload, lambda work: _update(work, input))

    @strawberry.mutation(
        description="Dissolves a team without members and without teams below it.", metadata=does(TEAM, DELETE)
    )
    async def delete_team(self, info: Info, input: DeleteTeamInput) -> DeletePayload:
        return await perform_delete(
            info, input.id, lambda work: teams.delete_team(work, key_of(Team, input.id), input.if_version)
        )


async def _create(work: Work, input_: CreateTeamInput) -> str:
    values = given(input_, "id")
    refer(values, "parent_id", Team)
    refer(values, "manager_id", Member)
    return await teams.create_team(work, {**values, "id": new_key(Team, input_.id)}, field_names(input_, "id"))


async def _update(work: Work, input_: UpdateTeamInput) -> str:
    values = given(input_, "id", "if_version")
    refer(values, "parent_id", Team)
    refer(values, "manager_id", Member)
    names = field_names(input_, "id", "if_version")
    return await teams.update_team(work, key_of(Team, input_.id), values, names, input_.if_version)
