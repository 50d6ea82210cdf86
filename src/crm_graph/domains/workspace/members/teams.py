"""The only writers of teams."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm_graph.domains.workspace.members.events import TeamCreated, TeamDeleted, TeamUpdated
from crm_graph.domains.workspace.members.model import Member, Team
from crm_graph.domains.workspace.members.policy import MEMBER, TEAM
from crm_graph.work import CREATE, DELETE, UPDATE, Work


async def create_team(work: Work, values: Mapping[str, Any], given: tuple[str, ...]) -> str:
    """Set up a team. Raises Refused FORBIDDEN for a place in the tree by which somebody would reach what the viewer
    does not (`reach.py`)."""
    work.may(TEAM, CREATE, given)
    await work.alone()
    await _check_references(work, values)
    team: Team = Team.make(**values)
    await work.create(team, TEAM, TeamCreated(), given)
    return team.id


async def update_team(
    work: Work, id_: str, values: Mapping[str, Any], given: tuple[str, ...], if_version: int | None
) -> str:
    """Rename a team, move it in the tree, or give it another manager. Raises Refused INVALID for a circle, FORBIDDEN
    as `create_team` does. The workspace is held: nobody else moves a team meanwhile."""
    team = await work.get(Team, TEAM, id_, UPDATE, if_version, given=given)
    await _check_references(work, values)
    for name, value in values.items():
        setattr(team, name, value)
    await work.save(team, TEAM, TeamUpdated())
    return team.id


async def delete_team(work: Work, id_: str, if_version: int | None) -> None:
    """Dissolve a team. Raises Refused IN_USE while it has members or teams below it."""
    team = await work.get(Team, TEAM, id_, DELETE, if_version)
    await work.delete(team, TEAM, TeamDeleted())


async def _check_references(work: Work, values: Mapping[str, Any]) -> None:
    if values.get("parent_id") is not None:
        await work.refer(Team, TEAM, values["parent_id"], "parentId")
    if values.get("manager_id") is not None:
        await work.refer(Member, MEMBER, values["manager_id"], "managerId")
