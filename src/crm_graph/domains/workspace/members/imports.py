"""Members and teams from files; they stand together because each names the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crm_graph.domains.workspace.members.addresses import move_addresses
from crm_graph.domains.workspace.members.events import (
    MemberCreated,
    MemberReactivated,
    MemberRolesChanged,
    MemberSuspended,
    MemberUpdated,
    TeamCreated,
    TeamUpdated,
)
from crm_graph.domains.workspace.members.model import Member, MemberKind, MemberRole, MemberStatus, Team
from crm_graph.domains.workspace.members.operations import roles_by_member
from crm_graph.domains.workspace.members.policy import MEMBER, TEAM
from crm_graph.identity import endings
from crm_graph.kernel.errors import Refused
from crm_graph.permissions.roles import ADMIN, BUILT_IN
from crm_graph.transfer.spec import Changes, Draft, ImportSpec, Part, Target, columns_of, texts
from crm_graph.work import DomainEvent, Work

MEMBER_TARGET = Target(Member, MEMBER, "mem", ("external_id", "email", "name"))
TEAM_TARGET = Target(Team, TEAM, "tea", ("name",))

Roles = Mapping[str, tuple[str, ...]]


async def _roles(work: Work, drafts: Sequence[Draft]) -> Roles:
    """Return the roles of the workspace's members, by id."""
    if all(draft.is_new() for draft in drafts):
        return {}
    return await roles_by_member(work)


def _complete(_: Work, draft: Draft, before: Roles) -> None:
    roles, held = draft.extra.get("roles"), before.get(draft.id, ())
    if draft.is_new():
        if not roles:
            raise Refused("REQUIRED", "is needed for a new member", ("roles",))
        draft.values["kind"] = MemberKind.PERSON.value
        return
    was_admin = ADMIN in held
    if was_admin and roles is not None and ADMIN not in roles:
        raise Refused(
            "INVALID", "takes the role admin away, which an import does not do: use setMemberRoles", ("roles",)
        )
    if was_admin and draft.changes_to("status") and draft.get("status") == MemberStatus.SUSPENDED.value:
        raise Refused(
            "INVALID", "suspends an administrator, which an import does not do: use suspendMember", ("status",)
        )


def _beside(draft: Draft, before: Roles) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    held = before.get(draft.id, ())
    return {"roles": held}, {"roles": tuple(sorted(draft.extra.get("roles") or held))}


def _parts(_: Work, draft: Draft, before: Roles) -> Sequence[Part]:
    roles = tuple(sorted(draft.extra.get("roles") or ()))
    old = before.get(draft.id, ())
    if not roles or roles == old:
        return ()
    rows = [{"member_id": draft.id, "role": role} for role in roles]
    if draft.is_new():
        return (Part(MemberRole, rows),)
    changes: dict[str, tuple[Any, Any]] = {"roles": (list(old), list(roles))}
    event = MemberRolesChanged(old, roles)
    return (Part(MemberRole, rows, {"member_id": draft.id}, MEMBER, draft.id, event, changes),)


async def _follow(work: Work, drafts: Sequence[Draft]) -> None:
    """Take note of addresses, and end what lets in those who are suspended by this, as the operations do."""
    new = [draft for draft in drafts if draft.is_new() or draft.changes_to("email")]
    gone = [draft.before["email"] for draft in new if draft.before is not None]
    await move_addresses(work.session, work.viewer.workspace_id, gone, [draft.get("email") for draft in new])
    moved = [draft for draft in drafts if draft.changes_to("status")]
    suspended = [draft.id for draft in moved if draft.get("status") == MemberStatus.SUSPENDED.value]
    await endings.of_suspended(work.session, work.viewer.workspace_id, suspended, work.now)


def _updated(draft: Draft, changes: Changes) -> DomainEvent:
    if "status" not in changes:
        return MemberUpdated()
    return MemberSuspended() if draft.get("status") == MemberStatus.SUSPENDED.value else MemberReactivated()


IMPORTS = (
    ImportSpec(
        entity="team",
        model=Team,
        policy=TEAM,
        prefix="tea",
        columns=columns_of(Team, TEAM_TARGET, MEMBER_TARGET, required=("name",)),
        matches=(("name",),),
        unique=(("name",),),
        created=lambda _: TeamCreated(),
        updated=lambda _draft, _changes: TeamUpdated(),
    ),
    ImportSpec(
        entity="member",
        model=Member,
        policy=MEMBER,
        prefix="mem",
        columns=(
            *columns_of(
                Member,
                *(TEAM_TARGET, MEMBER_TARGET),
                required=("name", "email"),
                verbs={"status": {"SUSPENDED": "suspend", "ACTIVE": "reactivate"}},
                but=("kind", "not_before"),
            ),
            texts("roles", choices=BUILT_IN),
        ),
        matches=(("external_id",), ("email",)),
        unique=(("external_id",), ("email",)),
        created=lambda draft: MemberCreated(tuple(sorted(draft.extra["roles"]))),
        updated=_updated,
        gather=_roles,
        complete=_complete,
        parts=_parts,
        afterwards=_follow,
        beside=_beside,
    ),
)
