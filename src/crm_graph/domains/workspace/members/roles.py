"""The only writers of roles: those that a workspace defines, and the built-in ones that it redefines.

A built-in role lives in the code, so that a new version can bring it grants on new types; what a workspace stores under
its name takes its place, and deleting that brings it back. `admin` cannot be redefined: somebody must be able to mend
the others.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm_graph.db.session import ReadSession, Record
from crm_graph.db.statements import Statement
from crm_graph.domains.workspace.members.events import RoleCreated, RoleDeleted, RoleUpdated
from crm_graph.domains.workspace.members.model import RoleRow
from crm_graph.domains.workspace.members.policy import ROLE
from crm_graph.kernel.errors import Refused
from crm_graph.permissions.definitions import BadDefinition, Vocabulary, format_role, parse_role
from crm_graph.permissions.grants import CREATE, DELETE, UPDATE, Role
from crm_graph.permissions.rights import hold_to_rights
from crm_graph.permissions.roles import ADMIN, BUILT_IN, built_in_roles
from crm_graph.work import Work

MAX_ROLES = 200
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
_STORED = Statement(
    "SELECT id, name, description, grants, version FROM role WHERE workspace_id = $1 ORDER BY name",
    ("workspace_id",),
    {},
)
_HOLDERS = Statement(
    "SELECT 1 FROM member_role WHERE workspace_id = $1 AND role = $2 LIMIT 1", ("workspace_id", "role"), {}
)
_LOCK = Statement("SELECT id FROM role WHERE workspace_id = $1 AND name = $2 FOR UPDATE", ("workspace_id", "name"), {})


@dataclass(frozen=True, slots=True)
class DefinedRole:
    """A role of a workspace, as people edit it. `version` is 0 for a built-in one that is as it came."""

    name: str
    description: str | None
    built_in: bool
    version: int
    role: Role


async def list_roles(session: ReadSession, workspace_id: str, vocabulary: Vocabulary) -> list[DefinedRole]:
    """Return the roles of a workspace: the built-in ones, then its own, by name."""
    rows = {row["name"]: row for row in await session.fetch(_STORED, {"workspace_id": workspace_id})}
    found = []
    for role in built_in_roles(vocabulary.policies.values()).values():
        row = rows.pop(role.name, None)
        found.append(DefinedRole(role.name, None, True, 0, role) if row is None else _defined(row, vocabulary))
    return [*found, *(_defined(row, vocabulary) for row in rows.values())]


def _defined(row: Record, vocabulary: Vocabulary) -> DefinedRole:
    """Return a stored role, its types in the vocabulary's order: `jsonb` keeps none. What an older version stored of a
    type that is gone comes last."""
    role = parse_role(row["name"], row["grants"])
    order = {type_: place for place, type_ in enumerate(vocabulary.policies)}
    grants = dict(sorted(role.grants.items(), key=lambda item: order.get(item[0], len(order))))
    name = row["name"]
    return DefinedRole(name, row["description"], name in BUILT_IN, row["version"], Role(name, grants))


async def role_names(work: Work) -> list[str]:
    """Return the names of the roles that the workspace stores."""
    return [row["name"] for row in await work.session.fetch(_STORED, work.viewer.binds)]


async def define_role(
    work: Work,
    name: str,
    description: str | None,
    definition: Mapping[str, Any] | None,
    vocabulary: Vocabulary,
    if_version: int | None = None,
) -> str:
    """Change a role, a built-in one too; returns its name. What is None stays as it is.

    Raises Refused: NOT_FOUND for a name that is no role, INVALID for grants that cannot be meant, CONFLICT for another
    version.
    """
    await _check_admin(work, UPDATE)
    await work.alone()
    row = await _locked(work, name)
    if row is None and name not in BUILT_IN:
        raise Refused("NOT_FOUND", f"There is no role {name!r}.", ("name",))
    _check_version(name, 0 if row is None else row.version, if_version)
    if name == ADMIN:
        raise Refused(
            "INVALID", "The role admin cannot be changed: somebody must be able to mend the others.", ("name",)
        )
    grants = None if definition is None else _checked(name, definition, vocabulary)
    if row is None:
        if grants is None:
            grants = format_role(built_in_roles(vocabulary.policies.values())[name])
        return await _insert(work, name, description, grants)
    if description is not None:
        row.description = description or None
    if grants is not None:
        row.grants = grants
    await work.save(row, ROLE, RoleUpdated(name))
    return name


async def create_role(
    work: Work, name: str, description: str | None, definition: Mapping[str, Any], vocabulary: Vocabulary
) -> str:
    """Define a role of the workspace; returns its name. Raises Refused: INVALID for a name or grants that cannot be,
    TAKEN for a name in use."""
    await _check_admin(work, CREATE)
    await work.alone()
    if not _NAME.match(name):
        raise Refused("INVALID", "A role's name is small letters, digits and `_`, at most 63 of them.", ("name",))
    stored = await role_names(work)
    if name in BUILT_IN or name in stored:
        raise Refused("TAKEN", f"There is a role {name!r} already.", ("name",))
    if len(stored) >= MAX_ROLES:
        raise Refused("INVALID", f"A workspace may define at most {MAX_ROLES} roles.", ("name",))
    return await _insert(work, name, description, _checked(name, definition, vocabulary))


async def delete_role(work: Work, name: str, if_version: int | None = None) -> None:
    """Delete a role that nobody has; a redefined built-in one is as it came again. Raises Refused: NOT_FOUND, CONFLICT,
    IN_USE while a member has the role."""
    await _check_admin(work, DELETE)
    await work.alone()
    row = await _locked(work, name)
    if row is None:
        what = "is as it came" if name in BUILT_IN else "is not there"
        raise Refused("NOT_FOUND", f"The role {name!r} {what}: there is nothing to delete.", ("name",))
    _check_version(name, row.version, if_version)
    if name not in BUILT_IN and await work.session.fetch(_HOLDERS, {**work.viewer.binds, "role": name}):
        raise Refused("IN_USE", f"Members have the role {name!r}: take it from them first.", ("name",))
    await work.delete(row, ROLE, RoleDeleted(name))


async def _check_admin(work: Work, verb: str) -> None:
    """Raise Forbidden for anybody but an administrator, before anything is said of what they ask for."""
    work.may(ROLE, verb)
    await hold_to_rights(work, ROLE, None, None)


async def _locked(work: Work, name: str) -> RoleRow | None:
    rows = await work.session.fetch(_LOCK, {**work.viewer.binds, "name": name})
    return await work.get(RoleRow, ROLE, rows[0]["id"], UPDATE, path="name") if rows else None


async def _insert(work: Work, name: str, description: str | None, grants: dict[str, Any]) -> str:
    row: RoleRow = RoleRow.make(name=name, description=description or None, grants=grants)
    await work.create(row, ROLE, RoleCreated(name))
    return name


def _check_version(name: str, version: int, if_version: int | None) -> None:
    if if_version is not None and if_version != version:
        raise Refused("CONFLICT", f"The role {name!r} is at version {version}, not {if_version}.", ("ifVersion",))


def _checked(name: str, definition: Mapping[str, Any], vocabulary: Vocabulary) -> dict[str, Any]:
    """Return a definition in its one form. Raises Refused INVALID at the grant that cannot be meant."""
    try:
        return format_role(parse_role(name, definition, vocabulary))
    except BadDefinition as error:
        raise Refused("INVALID", f"{'.'.join(error.path)}: {error.message}.", ("grants", *error.path)) from error


def differences(before: Role, after: Role) -> Sequence[str]:
    """Return what changes from one definition to another, a line each: `- Customer: read TEAM`."""
    old, new = set(_lines(before)), set(_lines(after))
    return [f"- {line}" for line in sorted(old - new)] + [f"+ {line}" for line in sorted(new - old)]


def _lines(role: Role) -> list[str]:
    found = []
    for type_, given in format_role(role).items():
        for key, value in given.items():
            if isinstance(value, Mapping):
                found += [f"{type_}.{name}: {', '.join(grants)}" for name, grants in value.items()]
            else:
                found.append(f"{type_}: {key} {value if isinstance(value, str) else ', '.join(value)}")
    return found
