"""The viewer: who a request acts for, frozen for its duration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Viewer:
    """A member of a workspace with what permissions need to know about them.

    `circle` holds the ids of the members of the team subtree that the viewer manages or belongs to, the viewer
    included.
    """

    workspace_id: str
    member_id: str
    roles: tuple[str, ...]
    circle: tuple[str, ...]
    time_zone: str = "UTC"
    version: int = 0
    """Of the workspace's directory when this was read."""

    @property
    def binds(self) -> Mapping[str, Any]:
        """The values of the binds that every compiled read carries."""
        return {
            "workspace_id": self.workspace_id,
            "viewer_id": self.member_id,
            "viewer_circle": self.circle,
            "time_zone": self.time_zone,
        }
