"""What happens to teams."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TeamCreated:
    """A team was set up."""


@dataclass(frozen=True, slots=True)
class TeamUpdated:
    """A team was renamed, moved in the tree, or given another manager."""


@dataclass(frozen=True, slots=True)
class TeamDeleted:
    """A team was dissolved."""


EVENTS = (TeamCreated, TeamUpdated, TeamDeleted)
