"""What happens to members and teams."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MemberCreated:
    """A member joined the workspace, with these roles."""

    roles: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MemberUpdated:
    """A member's name, address or team changed."""


@dataclass(frozen=True, slots=True)
class MemberRolesChanged:
    """A member's roles changed."""

    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MemberSuspended:
    """A member may not sign in any more; their tokens stop working with the next request."""


@dataclass(frozen=True, slots=True)
class MemberReactivated:
    """A suspended member may sign in again."""


@dataclass(frozen=True, slots=True)
class RoleCreated:
    """A role was defined, or a built-in one redefined."""

    name: str


@dataclass(frozen=True, slots=True)
class RoleUpdated:
    """A role's grants or description changed."""

    name: str


@dataclass(frozen=True, slots=True)
class RoleDeleted:
    """A role is gone, or a built-in one as it came again."""

    name: str


@dataclass(frozen=True, slots=True)
class TeamCreated:
    """A team was set up."""


@dataclass(frozen=True, slots=True)
class TeamUpdated:
    """A team was renamed, moved in the tree, or given another manager."""


@dataclass(frozen=True, slots=True)
class TeamDeleted:
    """A team was dissolved."""


EVENTS = (
    MemberCreated,
    MemberUpdated,
    MemberRolesChanged,
    MemberSuspended,
    MemberReactivated,
    RoleCreated,
    RoleUpdated,
    RoleDeleted,
    TeamCreated,
    TeamUpdated,
    TeamDeleted,
)
