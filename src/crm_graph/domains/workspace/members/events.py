"""What happens to members and teams."""

from __future__ import annotations

from crm_graph.events.effects import Changes, Creates, Removes


class MemberCreated(Creates):
    """A member joined the workspace, with these roles."""

    roles: tuple[str, ...]


class MemberUpdated(Changes):
    """A member's name, address or team changed."""


class MemberRolesChanged(Changes):
    """A member's roles changed."""

    before: tuple[str, ...]
    after: tuple[str, ...]


class MemberSuspended(Changes):
    """A member may not sign in any more; their tokens stop working with the next request."""


class MemberReactivated(Changes):
    """A suspended member may sign in again."""


class RoleCreated(Creates):
    """A role was defined, or a built-in one redefined."""

    name: str


class RoleUpdated(Changes):
    """A role's grants or description changed."""

    name: str


class RoleDeleted(Removes):
    """A role is gone, or a built-in one as it came again."""

    name: str


class TeamCreated(Creates):
    """A team was set up."""


class TeamUpdated(Changes):
    """A team was renamed, moved in the tree, or given another manager."""


class TeamDeleted(Removes):
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
