"""The only writers of members."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import delete, insert, select

from crm_graph.db.base import table_of
from crm_graph.domains.workspace.members.addresses import move_addresses
from crm_graph.domains.workspace.members.events import MemberCreated, MemberRolesChanged, MemberUpdated
from crm_graph.domains.workspace.members.model import Member, MemberKind, MemberRole, Team
from crm_graph.domains.workspace.members.policy import MEMBER, TEAM
from crm_graph.domains.workspace.members.reach import roles_of
from crm_graph.domains.workspace.members.roles import role_names
from crm_graph.identity import endings
from crm_graph.kernel.errors import Refused
from crm_graph.permissions.grants import SET_ROLES
from crm_graph.permissions.policy import workspace
from crm_graph.permissions.rights import hold_to_rights, refuse_beyond
from crm_graph.permissions.roles import ADMIN, BUILT_IN
from crm_graph.work import CREATE, UPDATE, Work

SUSPEND, REACTIVATE = "suspend", "reactivate"
_ROLES = table_of(MemberRole)


async def create_member(
    work: Work, values: Mapping[str, Any], roles: Iterable[str], given: tuple[str, ...] = ()
) -> str:
    """Add a member with roles and return their id. Raises Refused INVALID for an unknown role, TAKEN for an e-mail in
    use, FORBIDDEN for roles that the viewer may not give."""
    work.may(MEMBER, CREATE, given)
    await work.alone()
    roles = await known_roles(work, roles)
    await _hold_roles(work, None, (), roles)
    await _check_references(work, values)
    member: Member = Member.make(**{"status": "ACTIVE", "kind": MemberKind.PERSON.value, **values})
    await work.create(member, MEMBER, MemberCreated(roles), given)
    await move_addresses(work.session, work.viewer.workspace_id, (), [member.email])
    await _write_roles(work, member.id, roles)
    return member.id


async def update_member(
    work: Work, id_: str, values: Mapping[str, Any], given: tuple[str, ...], if_version: int | None
) -> str:
    """Change a member's name, e-mail, team or manager. Raises Refused INVALID for a manager who reports to them
    in the end, FORBIDDEN for the e-mail of whoever has a role that the viewer has not, since who reads their mail
    resets their password, and for a place in the organisation by which somebody would reach what the viewer does not
    (`reach.py`)."""
    member = await work.get(Member, MEMBER, id_, UPDATE, if_version, given=given)
    await _check_references(work, values)
    before = member.email
    for name, value in values.items():
        setattr(member, name, value)
    await work.save(member, MEMBER, MemberUpdated())
    if member.email != before:
        await move_addresses(work.session, work.viewer.workspace_id, [before], [member.email])
    return member.id


async def set_member_roles(work: Work, id_: str, roles: Iterable[str]) -> str:
    """Replace a member's roles. Raises Refused INVALID when that would leave the workspace without an administrator,
    FORBIDDEN for a role that the viewer may not give or take."""
    member = await work.get(Member, MEMBER, id_, SET_ROLES)
    before, roles = await roles_of(work, id_), await known_roles(work, roles)
    if roles == before:
        return id_
    await _hold_roles(work, id_, before, roles)
    if ADMIN in before and ADMIN not in roles:
        await _refuse_last_admin(work, id_, "roles")
    await work.session.run(
        delete(_ROLES).where(_ROLES.c.workspace_id == workspace(), _ROLES.c.member_id == id_),
        [{"workspace_id": work.viewer.workspace_id}],
    )
    await _write_roles(work, id_, roles)
    event = MemberRolesChanged(before, roles)
    await work.save(member, MEMBER, event, beside={"roles": (list(before), list(roles))})
    return id_


async def suspend_member(work: Work, id_: str, if_version: int | None) -> str:
    """Keep a member from signing in, and end for good what lets them in now. Raises Refused INVALID for the last
    administrator, FORBIDDEN for whoever has a role that the viewer has not."""
    member = await member_to_act_on(work, id_, SUSPEND, if_version)
    if ADMIN in await roles_of(work, id_):
        await _refuse_last_admin(work, id_, "id")
    await work.save(member, MEMBER, member.suspend())
    await endings.of_suspended(work.session, work.viewer.workspace_id, [id_], work.now)
    return id_


async def reactivate_member(work: Work, id_: str, if_version: int | None) -> str:
    """Let a suspended member sign in again: with what they know and have, not with what was given out before. Raises
    Refused FORBIDDEN for whoever has a role that the viewer has not: nobody brings an administrator back but another
    one."""
    member = await member_to_act_on(work, id_, REACTIVATE, if_version)
    await work.save(member, MEMBER, member.reactivate())
    return id_


async def member_to_act_on(
    work: Work, id_: str, verb: str = UPDATE, if_version: int | None = None, path: str = "id"
) -> Member:
    """Return a member, locked, whose access the viewer acts on: how they get in, whether they do, for how long.

    For whoever may do `verb` with them and holds all of their roles: what gives or takes access gives or takes what it
    opens. Raises Forbidden and Refused as `Work.get` does, and Refused FORBIDDEN at `path`.
    """
    member = await work.get(Member, MEMBER, id_, verb, if_version, path)
    refuse_beyond(work, await roles_of(work, member.id), path)
    return member


async def _check_references(work: Work, values: Mapping[str, Any]) -> None:
    if values.get("team_id") is not None:
        await work.refer(Team, TEAM, values["team_id"], "teamId")
    if values.get("manager_id") is not None:
        await work.refer(Member, MEMBER, values["manager_id"], "managerId")


async def known_roles(work: Work, roles: Iterable[str], path: str = "roles") -> tuple[str, ...]:
    """Return roles in order, each once. Raises Refused INVALID at `path` for one that there is not."""
    roles = tuple(sorted(set(roles)))
    known = {*BUILT_IN, *await role_names(work)}
    for role in roles:
        if role not in known:
            raise Refused("INVALID", f"There is no role {role!r}; there are: {', '.join(sorted(known))}.", (path,))
    return roles


async def roles_by_member(work: Work) -> Mapping[str, tuple[str, ...]]:
    """Return the roles of the workspace's members, by id: for an import, which has read the members already."""
    query = select(_ROLES.c.member_id, _ROLES.c.role).where(_ROLES.c.workspace_id == workspace())
    found: dict[str, tuple[str, ...]] = {}
    for row in await work.session.query(query.order_by(_ROLES.c.role), **work.viewer.binds):
        found[row["member_id"]] = (*found.get(row["member_id"], ()), row["role"])
    return found


async def _hold_roles(work: Work, id_: str | None, before: Iterable[str], after: Iterable[str]) -> None:
    images = [{"id": id_, "roles": tuple(roles)} for roles in (before, after)]
    await hold_to_rights(work, MEMBER, *images)


async def _write_roles(work: Work, member_id: str, roles: tuple[str, ...]) -> None:
    for role in roles:
        values = {"workspace_id": work.viewer.workspace_id, "member_id": member_id, "role": role}
        await work.session.run(insert(_ROLES).values(values))


async def _refuse_last_admin(work: Work, member_id: str, path: str) -> None:
    """Raise Refused when no other active person is an administrator. The workspace is held: nobody else is suspended,
    or loses a role, meanwhile."""
    members = table_of(Member)
    query = (
        select(members.c.id)
        .join(_ROLES, (_ROLES.c.workspace_id == members.c.workspace_id) & (_ROLES.c.member_id == members.c.id))
        .where(
            members.c.workspace_id == workspace(),
            members.c.status == "ACTIVE",
            members.c.kind == MemberKind.PERSON.value,
            _ROLES.c.role == ADMIN,
        )
        .order_by(members.c.id)
    )
    rows = await work.session.query(query, workspace_id=work.viewer.workspace_id)
    if all(row["id"] == member_id for row in rows):
        raise Refused("INVALID", "This is the last administrator: give the role to another member first.", (path,))
