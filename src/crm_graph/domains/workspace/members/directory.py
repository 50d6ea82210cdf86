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
_TIME_ZONE = "(SELECT time_zone FROM workspace WHERE workspace_id = {0} AND id = {0})"

_VIEWER = Statement(
    f"""
    SELECT {_TIME_ZONE} AS time_zone, {_ROLES} AS roles, {_CIRCLE} AS circle
    FROM member WHERE workspace_id = {{0}} AND id = {{1}} AND status = 'ACTIVE'
    """.format("$1", "$2"),  # noqa: S608 - constants
    ("workspace_id", "member_id"),
    {},
)
_SAME_MEMBER = (
    "EXISTS (SELECT 1 FROM member WHERE workspace_id = {0} AND id = {1} AND status = 'ACTIVE')"
    f" AND {_ROLES} = {{2}}::text[] AND {_TIME_ZONE} = {{3}}"
)
_SAME_CIRCLE = f"{_SAME_MEMBER} AND {_CIRCLE} = {{4}}::uuid[]"


async def find_viewer(session: ReadSession, workspace_id: str, member_id: str) -> Viewer | None:
    """Return the viewer for a member, or None when there is no such member or they are suspended."""
    row = await session.fetch_row(_VIEWER, {"workspace_id": workspace_id, "member_id": member_id})
    if row is None:
        return None
    return Viewer(workspace_id, member_id, tuple(row["roles"]), tuple(row["circle"]), row["time_zone"])


def viewer_guard(viewer: Viewer, *, circle: bool) -> Guard:
    """Return the condition that a viewer is what it was; their circle of members is compared where it matters."""
    arguments = (viewer.workspace_id, viewer.member_id, viewer.roles, viewer.time_zone)
    if circle:
        return Guard(_SAME_CIRCLE, (*arguments, viewer.circle))
    return Guard(_SAME_MEMBER, arguments)
