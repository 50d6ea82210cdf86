"""What happens to workspaces."""

from __future__ import annotations

from crm_graph.events.effects import Creates


class WorkspaceCreated(Creates):
    """A workspace was set up."""


EVENTS = (WorkspaceCreated,)
