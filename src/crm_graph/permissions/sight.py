"""Sights: what a member could see when a file was made for them, kept as data, and compared with what is seen now.

What is made for a member under their rights, a file, is for those alone who see as much when they ask for it. A role
that is taken, a field that is hidden, a team that is left, a credential that is bound to fewer roles: the file is for
them no more. What happened to rows since is not asked: the file says how they were.

Decided in D-permissions-06 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from crm_graph.identity.viewer import Viewer
from crm_graph.permissions.access import Access, TypeAccess
from crm_graph.permissions.definitions import format_role, parse_role
from crm_graph.permissions.grants import Role, reading

TYPES, GRANTS, FIELDS = "types", "grants", "fields"


def sight_of(access: Access, viewer: Viewer, reads: Mapping[str, Iterable[str]]) -> dict[str, Any]:
    """Return what a viewer may see of the fields that are read, by type, and who they are."""
    return {
        "member": viewer.member_id,
        "circle": sorted(viewer.circle),
        "teams": sorted(viewer.teams),
        TYPES: {
            type_: {
                GRANTS: [format_role(Role("", {type_: reading(grant)}))[type_] for grant in access.of(type_).grants],
                FIELDS: sorted(fields),
            }
            for type_, fields in reads.items()
        },
    }


def sees_all(access: Access, viewer: Viewer, sight: Mapping[str, Any]) -> bool:
    """Return whether a viewer sees now all that a sight was of: on all rows, or on the same as whoever it was."""
    is_the_same = (
        viewer.member_id == sight["member"]
        and frozenset(sight["circle"]) <= frozenset(viewer.circle)
        and frozenset(sight["teams"]) <= frozenset(viewer.teams)
    )
    return all(
        type_ in access.types and _covers(access.of(type_), type_, seen, of_the_same=is_the_same)
        for type_, seen in sight[TYPES].items()
    )


def audited(access: Access, sight: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield type and field of what a sight was of and whose reading is to be written down: by the roles of then, or by
    those that somebody has now."""
    for type_, seen in sight[TYPES].items():
        now = access.of(type_)
        then = _then(now, type_, seen)
        yield from ((type_, field) for field in seen[FIELDS] if now.audited(field) or then.audited(field))


def _covers(now: TypeAccess, type_: str, seen: Mapping[str, Any], *, of_the_same: bool) -> bool:
    return now.covers(_then(now, type_, seen), seen[FIELDS], of_the_same=of_the_same)


def _then(now: TypeAccess, type_: str, seen: Mapping[str, Any]) -> TypeAccess:
    """Return the access to a type that a sight keeps."""
    grants = tuple(parse_role("", {type_: grant}).grants[type_] for grant in seen[GRANTS])
    return TypeAccess(now.policy, grants, now.inherent)
