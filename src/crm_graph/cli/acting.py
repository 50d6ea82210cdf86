"""The operator at work: an administrator of the types that the command is about, acting as a member."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from crm_graph.db.pool import Database
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.clock import system_clock
from crm_graph.permissions.compiler import administrator
from crm_graph.permissions.policy import Policy
from crm_graph.permissions.roles import ADMIN
from crm_graph.work import Work


@asynccontextmanager
async def operator_work(
    database: Database, workspace_id: str, member_id: str, *policies: Policy
) -> AsyncIterator[Work]:
    """Lend a unit of work of the operator acting as a member, on the types of these policies; commits on exit."""
    async with database.transaction() as session:
        now = system_clock()
        viewer = Viewer(workspace_id, member_id, (ADMIN,), (member_id,))
        yield Work(session, viewer, administrator(*policies), lambda: now)
