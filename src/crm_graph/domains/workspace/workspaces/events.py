"""What happens to workspaces."""

from __future__ import annotations

from crm_graph.events.effects import Changes, Creates


class WorkspaceCreated(Creates):
    """A workspace was set up."""


class WorkspaceUpdated(Changes):
    """A workspace was renamed, or counts by another calendar."""


EVENTS = (WorkspaceCreated, WorkspaceUpdated)
