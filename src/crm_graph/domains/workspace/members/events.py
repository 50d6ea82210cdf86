"""What happens to members."""

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


EVENTS = (MemberCreated, MemberUpdated, MemberRolesChanged, MemberSuspended, MemberReactivated)
