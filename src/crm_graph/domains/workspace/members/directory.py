"""The directory: from a token's member to the viewer of a request, as of now.

A suspended member, a changed role or a moved team is in force on the next request in every process: a viewer that a
process remembers is confirmed by a guard on the first statement of each request (`db/session.py`).
"""

from __future__ import annotations

from crm_graph.db.session import Guard, ReadSession
from crm_graph.db.statements import Statement
from crm_graph.identity.viewer import Viewer

_ROLES = "ARRAY(SELECT role FROM member_role WHERE workspace_id = {0} AND member_id = {1} ORDER BY role)"
_CIRCLE = """ARRAY(
    WITH RECURSIVE subtree AS (
        SELECT team.id FROM team JOIN member ON member.workspace_id = team.workspace_id AND member.id = {1}
        WHERE team.workspace_id = {0} AND (team.manager_id = {1} OR team.id = member.team_id)
        UNION
        SELECT team.id FROM team JOIN subtree ON team.parent_id = subtree.id WHERE team.workspace_id = {0}
    )
    SELECT {1}::uuid AS id UNION
    SELECT id FROM member WHERE workspace_id = {0} AND team_id IN (SELECT id FROM subtree)
    ORDER BY id
)"""
VIEWER = Statement(
    f"""
    SELECT workspace.time_zone, workspace.directory_version, {_ROLES} AS roles, {_CIRCLE} AS circle
    FROM member JOIN workspace ON workspace.workspace_id = member.workspace_id AND workspace.id = member.workspace_id
    WHERE member.workspace_id = {{0}} AND member.id = {{1}} AND member.status = 'ACTIVE'
    """.format("$1", "$2"),  # noqa: S608 - constants
    ("workspace_id", "member_id"),
    {},
)
_SAME_VIEWER = f"""
EXISTS (SELECT 1 FROM member WHERE workspace_id = {{0}} AND id = {{1}} AND status = 'ACTIVE')
AND {_ROLES} = {{2}}::text[]
AND EXISTS (SELECT 1 FROM workspace
            WHERE workspace_id = {{0}} AND id = {{0}} AND time_zone = {{3}} AND directory_version = {{4}})"""  # noqa: S608 - constants


async def find_viewer(session: ReadSession, workspace_id: str, member_id: str) -> Viewer | None:
    """Return the viewer for a member, or None when there is no such member or they are suspended."""
    row = await session.fetch_row(VIEWER, {"workspace_id": workspace_id, "member_id": member_id})
    if row is None:
        return None
    roles, circle = tuple(row["roles"]), tuple(row["circle"])
    return Viewer(workspace_id, member_id, roles, circle, row["time_zone"], row["directory_version"])


def viewer_guard(viewer: Viewer) -> Guard:
    """Return the condition that a viewer is what it was.

    Status and roles are compared as they are, so that they hold whoever changed them; the circle, which takes a walk
    through the teams, by the version that every operation on members and teams moves on.
    """
    return Guard(_SAME_VIEWER, (viewer.workspace_id, viewer.member_id, viewer.roles, viewer.time_zone, viewer.version))
