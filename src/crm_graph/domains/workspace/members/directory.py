"""The directory: from a token's member to the viewer of a request, as of now, in one statement.

Read per request, never cached, so that a suspended member, a changed role or a moved team is in force on the next
request in every process.
"""

from __future__ import annotations

from crm_graph.db.session import ReadSession
from crm_graph.db.statements import Statement
from crm_graph.identity.viewer import Viewer

_VIEWER = Statement(
    """
    WITH RECURSIVE subtree AS (
        SELECT team.id FROM team JOIN member ON member.workspace_id = team.workspace_id AND member.id = $2
        WHERE team.workspace_id = $1 AND (team.manager_id = $2 OR team.id = member.team_id)
        UNION
        SELECT team.id FROM team JOIN subtree ON team.parent_id = subtree.id WHERE team.workspace_id = $1
    )
    SELECT workspace.time_zone,
           array(SELECT role FROM member_role WHERE workspace_id = $1 AND member_id = $2 ORDER BY role) AS roles,
           array(SELECT id FROM member WHERE workspace_id = $1 AND team_id IN (SELECT id FROM subtree)) AS circle
    FROM member JOIN workspace ON workspace.workspace_id = member.workspace_id AND workspace.id = member.workspace_id
    WHERE member.workspace_id = $1 AND member.id = $2 AND member.status = 'ACTIVE'
    """,
    ("workspace_id", "member_id"),
    {},
)


async def find_viewer(session: ReadSession, workspace_id: str, member_id: str) -> Viewer | None:
    """Return the viewer for a member, or None when there is no such member or they are suspended."""
    row = await session.fetch_row(_VIEWER, {"workspace_id": workspace_id, "member_id": member_id})
    if row is None:
        return None
    circle = tuple(dict.fromkeys((member_id, *row["circle"])))
    return Viewer(workspace_id, member_id, tuple(row["roles"]), circle, row["time_zone"])
