"""`crm-graph user create`: the operator makes a member, as the first administrator."""

from __future__ import annotations

from collections.abc import Sequence

from crm_graph.cli.access.accounts import find_account
from crm_graph.cli.acting import operator_work
from crm_graph.cli.opening import find_workspace, opened
from crm_graph.cli.place import Place
from crm_graph.domains.workspace.members.operations import create_member
from crm_graph.domains.workspace.members.policy import MEMBER
from crm_graph.permissions.roles import ADMIN


async def create_user(place: Place, email: str, name: str, roles: Sequence[str], workspace: str | None) -> None:
    """Make a member of a workspace. Raises OperatorError and Refused."""
    async with opened(place) as database:
        workspace_id = await find_workspace(database, workspace)
        actor = await find_account(database, workspace_id, None, ADMIN)
        async with operator_work(database, workspace_id, actor.member_id, MEMBER) as work:
            await create_member(work, {"name": name, "email": email}, roles)
