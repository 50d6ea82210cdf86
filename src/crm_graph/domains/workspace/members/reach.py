"""Whose rows members reach by where they stand in the organisation, and the rules by which that is written.

The scope TEAM, and every scope that asks for the viewer's teams, reaches what the members of a team and of the teams
below it own: for whoever belongs to the team and for whoever manages it. So a member's team, a team's parent and its
manager are rights. Who changes one is held to this: nobody gains or loses what the writer does not reach themselves, or
holds a role that the writer does not hold.

Decided in D-domains-05 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from crm_graph.db.statements import Statement
from crm_graph.kernel.errors import Refused
from crm_graph.permissions.policy import Writer
from crm_graph.permissions.rights import Image, changed_roles, refuse_beyond

_TEAMS = Statement("SELECT id, parent_id, manager_id FROM team WHERE workspace_id = $1", ("workspace_id",), {})
_MEMBERS = Statement(
    "SELECT id, team_id, ARRAY(SELECT role FROM member_role WHERE workspace_id = $1 AND member_id = member.id) AS roles"
    " FROM member WHERE workspace_id = $1",
    ("workspace_id",),
    {},
)
_ROLES = Statement(
    "SELECT role FROM member_role WHERE workspace_id = $1 AND member_id = $2 ORDER BY role",
    ("workspace_id", "member_id"),
    {},
)
_ORGANISATION, _OWN = "organisation", "own reach"
P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Reach:
    """The teams of a member's subtrees, and who belongs to these: what a viewer's `teams` and `circle` hold."""

    teams: frozenset[str] = frozenset()
    members: frozenset[str] = frozenset()

    def __or__(self, other: Reach) -> Reach:
        return Reach(self.teams | other.teams, self.members | other.members)

    def __xor__(self, other: Reach) -> Reach:
        return Reach(self.teams ^ other.teams, self.members ^ other.members)

    def __le__(self, other: Reach) -> bool:
        return self.teams <= other.teams and self.members <= other.members


@dataclass(frozen=True)
class Organisation:
    """The tree of teams and who stands where. `teams` maps a team to its parent and manager, `members` a member to
    their team."""

    teams: Mapping[str, tuple[str | None, str | None]]
    members: Mapping[str, str | None]
    roles: Mapping[str, frozenset[str]]

    @cached_property
    def reaches(self) -> Mapping[str, Reach]:
        """The reach of every member."""
        reaches = {member: Reach(members=frozenset({member})) for member in self.members}
        subtrees = self._subtrees()
        for member, team in self.members.items():
            if team is not None and team in subtrees:
                reaches[member] |= subtrees[team]
        for team, (_, manager) in self.teams.items():
            if manager in reaches:
                reaches[manager] |= subtrees[team]
        return reaches

    def _subtrees(self) -> Mapping[str, Reach]:
        """Return what each team reaches. Rows that are written past us may be in a circle: that ends too."""
        below: dict[str | None, list[str]] = {}
        people: dict[str | None, list[str]] = {}
        for team, (parent, _) in self.teams.items():
            below.setdefault(parent, []).append(team)
        for member, team_of_member in self.members.items():
            people.setdefault(team_of_member, []).append(member)
        subtrees = {}
        for team in self.teams:
            found: set[str] = set()
            waiting = [team]
            while waiting:
                one = waiting.pop()
                if one not in found:
                    found.add(one)
                    waiting += below.get(one, ())
            subtrees[team] = Reach(frozenset(found), frozenset(who for one in found for who in people.get(one, ())))
        return subtrees


async def read_organisation(work: Writer) -> Organisation:
    """Return the organisation of the workspace as of now, with what this unit of work has been allowed to change."""
    known: Organisation | None = work.facts.get(_ORGANISATION)
    if known is not None:
        return known
    binds = {"workspace_id": work.viewer.workspace_id}
    teams = await work.session.fetch(_TEAMS, binds)
    members = await work.session.fetch(_MEMBERS, binds)
    found = Organisation(
        {row["id"]: (row["parent_id"], row["manager_id"]) for row in teams},
        {row["id"]: row["team_id"] for row in members},
        {row["id"]: frozenset(row["roles"]) for row in members},
    )
    work.facts[_ORGANISATION] = found
    work.facts[_OWN] = found.reaches.get(work.viewer.member_id, Reach())  # nobody's own changes widen it
    return found


async def hold_team_of_member(work: Writer, before: Image | None, after: Image | None) -> None:
    """The rule of a member's team. Raises Refused FORBIDDEN."""
    organisation = await read_organisation(work)
    members = _placed(organisation.members, before, after, None if after is None else after["team_id"])
    _allow(work, organisation, replace(organisation, members=members), _new(before, after), "teamId")


async def hold_place_of_team(work: Writer, before: Image | None, after: Image | None) -> None:
    """The rule of a team's parent and manager. Raises Refused FORBIDDEN."""
    organisation = await read_organisation(work)
    place = (None, None) if after is None else (after["parent_id"], after["manager_id"])
    teams = _placed(organisation.teams, before, after, place)
    moved = before is not None and after is not None and before["parent_id"] != after["parent_id"]
    path = "parentId" if moved else "managerId"
    _allow(work, organisation, replace(organisation, teams=teams), _new(before, after), path)


def _placed(rows: Mapping[str, P], before: Image | None, after: Image | None, place: P) -> dict[str, P]:
    """Return rows with one at another place, or without it."""
    changed = dict(rows)
    if after is not None:
        changed[after["id"]] = place
    elif before is not None:
        changed.pop(before["id"], None)
    return changed


def _allow(work: Writer, before: Organisation, after: Organisation, new: str | None, path: str) -> None:
    """Go on from a changed organisation. Raises Refused FORBIDDEN where somebody's reach changes by what the writer
    does not reach, or somebody's who holds more than the writer. A row that comes or goes with the change is nobody's
    yet, and nobody's any more."""
    itself = frozenset(() if new is None else (new,))
    mine = work.facts[_OWN] | Reach(itself, itself)
    for member, reach in after.reaches.items():
        changed = reach ^ before.reaches.get(member, Reach())
        if changed <= Reach(itself, itself):
            continue
        if not changed <= mine or not after.roles.get(member, frozenset()) <= frozenset(work.viewer.roles):
            raise Refused(
                "FORBIDDEN",
                "This would give somebody records, or take records from somebody, that you do not reach yourself:"
                " only an administrator may do it, or whoever leads the teams concerned.",
                (path,),
            )
    work.facts[_ORGANISATION] = after


async def hold_manager_of_member(work: Writer, before: Image | None, after: Image | None) -> None:
    """The rule of whom a member reports to, which no scope reads, and which is written as one that would: both, and
    whoever it was, are people that the writer reaches. Raises Refused FORBIDDEN."""
    concerned = {image["manager_id"] for image in (before, after) if image is not None} - {None}
    if not concerned:
        return
    organisation = await read_organisation(work)
    if before is not None:
        concerned.add(before["id"])
        refuse_beyond(work, organisation.roles.get(before["id"], frozenset()), "managerId")
    if not concerned <= work.facts[_OWN].members:
        raise Refused(
            "FORBIDDEN",
            "You can say who reports to whom only of members of the teams that you belong to or lead.",
            ("managerId",),
        )


async def hold_access_of_member(work: Writer, before: Image | None, after: Image | None) -> None:
    """The rule of what a member gets in by: their address, status and kind. Whoever acts on a member's access holds
    all of that member's roles, or they would get in as them. Raises Refused FORBIDDEN."""
    if before is not None:
        changes_email = after is not None and before["email"] != after["email"]
        refuse_beyond(work, await roles_of(work, before["id"]), "email" if changes_email else "id")


async def hold_roles_of_member(work: Writer, before: Image | None, after: Image | None) -> None:
    """The rule of a member's roles: none is given or taken that the writer does not hold, nor over more than the writer
    reaches. Raises Refused FORBIDDEN."""
    changed = changed_roles(before, after)
    refuse_beyond(work, changed)
    if not changed or before is None:
        return
    organisation = await read_organisation(work)
    reach = organisation.reaches.get(before["id"], Reach())
    if not reach <= work.facts[_OWN] | Reach(members=frozenset({before["id"]})):
        raise Refused(
            "FORBIDDEN",
            "This member reaches records of people whom you do not reach: only an administrator, or who leads the teams"
            " concerned, changes their roles.",
            ("roles",),
        )


async def roles_of(work: Writer, member_id: str) -> tuple[str, ...]:
    """Return the roles that a member holds, in order."""
    rows = await work.session.fetch(_ROLES, {"workspace_id": work.viewer.workspace_id, "member_id": member_id})
    return tuple(row["role"] for row in rows)


def _new(before: Image | None, after: Image | None) -> str | None:
    """Return the id of a row that comes or goes."""
    if before is not None and after is not None:
        return None
    row = after if before is None else before
    assert row is not None
    found: str = row["id"]
    return found
