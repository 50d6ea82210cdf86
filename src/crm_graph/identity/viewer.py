"""The viewer: who a request acts for, frozen for its duration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, TypeAlias

NOBODY = "0" * 32
"""The id of whoever has shown nothing, and of the workspace that they are in."""
Standing: TypeAlias = tuple[str, tuple[str, ...], str | None, str | None, str | None, datetime | None]
"""Member, roles held, session, key, identity and age: what must be as it was for a viewer to be."""


class ActorKind(Enum):
    """Who did something."""

    MEMBER = "MEMBER"
    CLIENT = "CLIENT"
    RULE = "RULE"
    CONTACT = "CONTACT"
    SYSTEM = "SYSTEM"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did something: the member, and the API client by which it was done, where there is one."""

    kind: ActorKind
    member_id: str | None = None
    client_id: str | None = None

    @classmethod
    def system(cls) -> Actor:
        """Return who does what nobody asked for: the installation itself."""
        return cls(ActorKind.SYSTEM)


@dataclass(frozen=True, slots=True)
class Viewer:
    """A member of a workspace with what permissions need to know about them.

    `circle` holds the ids of the members of the team subtree that the viewer manages or belongs to, the viewer
    included; `teams` those of the teams of that subtree.
    """

    workspace_id: str
    member_id: str
    roles: tuple[str, ...]
    """The roles that count now: those held, cut to the roles of the API client where it has some of its own."""
    circle: tuple[str, ...]
    time_zone: str = "UTC"
    version: int = 0
    """Of the workspace's directory when this was read."""
    teams: tuple[str, ...] = ()
    held_roles: tuple[str, ...] = ()
    definitions: tuple[tuple[str, str], ...] = ()
    """The grants, as canonical JSON, of those of the roles that the workspace defines or redefines."""
    client_id: str | None = None
    session_id: str | None = None
    key_id: str | None = None
    identity_id: str | None = None
    unbound_since: datetime | None = None
    """When a token without a session was made: a suspension since then has ended it."""
    read_only: bool = False
    """Whether the credential's scope is to read: then nothing is granted beyond that."""
    fiscal_year_start: int = 1
    """The month in which the workspace's fiscal year begins."""
    base_currency: str = ""
    """In which the workspace adds up."""
    is_service: bool = False
    """Whether it is no person: an API client that acts by itself."""

    @classmethod
    def anonymous(cls) -> Viewer:
        """Return the viewer of a request that shows nothing: no role, in no workspace."""
        return cls(NOBODY, NOBODY, (), ())

    @classmethod
    def system(
        cls, workspace_id: str, time_zone: str = "UTC", fiscal_year_start: int = 1, base_currency: str = ""
    ) -> Viewer:
        """Return whom the installation acts as in a workspace by itself: no member of it."""
        start, currency = fiscal_year_start, base_currency
        return cls(workspace_id, NOBODY, (), (), time_zone, fiscal_year_start=start, base_currency=currency)

    @property
    def is_anonymous(self) -> bool:
        """Whether nobody has shown anything."""
        return self.workspace_id == NOBODY

    @property
    def actor(self) -> Actor:
        """Who does what is done as this viewer."""
        if self.member_id == NOBODY:
            return Actor.system()
        return Actor(ActorKind.CLIENT if self.is_service else ActorKind.MEMBER, self.member_id, self.client_id)

    @property
    def standing(self) -> Standing:
        """What must be as it was, beside the directory's version, for this viewer to be."""
        return self.member_id, self.held_roles, self.session_id, self.key_id, self.identity_id, self.unbound_since

    @property
    def binds(self) -> Mapping[str, Any]:
        """The values of the binds that every compiled read carries."""
        return {
            "workspace_id": self.workspace_id,
            "viewer_id": self.member_id,
            "viewer_circle": self.circle,
            "viewer_teams": self.teams,
            "time_zone": self.time_zone,
        }
