"""Where the roles of a world get into the engine: the one place that knows where the product keeps them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

from crm_graph.permissions.definitions import parse_role
from tests.permissions.oracle.grants import RoleText
from tests.support.graph import Graph

_INSERT = """
INSERT INTO role (workspace_id, id, version, created_at, updated_at, name, description, grants)
VALUES ($1, $2, 1, now(), now(), $3, 'random', $4)
"""


async def install_roles(graph: Graph, workspace: str, roles: Mapping[str, RoleText]) -> None:
    """Let these be the roles of a workspace. Raises BadDefinition for one that the API would not take."""
    for name, grants in roles.items():
        parse_role(name, grants, graph.schema.vocabulary)
        key = uuid.uuid5(uuid.UUID(workspace), name).hex
        await graph.rows(_INSERT, workspace, key, name, grants)
