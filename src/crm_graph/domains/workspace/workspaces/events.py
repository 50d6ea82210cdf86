"""What happens to workspaces."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WorkspaceCreated:
    """A workspace was set up."""


EVENTS = (WorkspaceCreated,)
