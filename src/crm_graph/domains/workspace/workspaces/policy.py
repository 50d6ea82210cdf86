"""Who may see and change the workspace."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.domains.workspace.workspaces.model import Workspace
from crm_graph.permissions.grants import ALL, Level, grant
from crm_graph.permissions.policy import Policy
from crm_graph.permissions.roles import STAFF

_SEE = grant(read=ALL, default=Level.READ)

WORKSPACE = Policy(
    "Workspace",
    table_of(Workspace),
    directory=True,
    defaults=dict.fromkeys(STAFF, _SEE),
)
