"""The first workspace of an installation: with demo data, or empty with one administrator."""

from __future__ import annotations

from crm_graph.cli.acting import operator_work
from crm_graph.cli.console import console
from crm_graph.cli.opening import opened
from crm_graph.cli.place import Place
from crm_graph.db.pool import Database
from crm_graph.domains.sales.pipelines.operations import create_pipeline
from crm_graph.domains.sales.pipelines.policy import PIPELINE, STAGE
from crm_graph.domains.workspace.members.operations import create_member
from crm_graph.domains.workspace.members.policy import MEMBER
from crm_graph.domains.workspace.workspaces.directory import LIST
from crm_graph.domains.workspace.workspaces.operations import create_workspace
from crm_graph.domains.workspace.workspaces.policy import WORKSPACE
from crm_graph.kernel.ids import new_id
from crm_graph.permissions.roles import ADMIN
from crm_graph.work import Sent

DEMO_CUSTOMERS = 200


async def make_workspace(
    database: Database, name: str, slug: str, admin_name: str, admin_email: str, currency: str, time_zone: str
) -> str:
    """Set up a workspace with an administrator and a pipeline; returns its id."""
    workspace_id, admin_id = new_id(), new_id()
    async with operator_work(database, workspace_id, admin_id, WORKSPACE, MEMBER, PIPELINE, STAGE) as work:
        await create_workspace(work, name, slug, currency, time_zone)
        await create_member(work, {"id": admin_id, "name": admin_name, "email": admin_email}, (ADMIN,))
        await create_pipeline(work, Sent({"name": "Sales"}))
    return workspace_id


async def create_first_user(place: Place, email: str, name: str, slug: str, currency: str, time_zone: str) -> None:
    """Make a workspace of a short name with its administrator. Raises OperatorError and Refused."""
    async with opened(place) as database:
        await make_workspace(database, slug, slug, name, email, currency, time_zone)


async def ensure_workspace(database: Database, *, demo: bool) -> str:
    """Return the first workspace of a database, made if there is none."""
    rows = await database.primary_reader().fetch(LIST, {})
    if rows:
        return str(rows[0]["id"])
    if not demo:
        return await make_workspace(database, "Main", "main", "Admin", "admin@example.com", "USD", "UTC")
    from crm_graph.demo.seed import seed

    console.print("loading demo data", style="dim")
    return await seed(database, DEMO_CUSTOMERS, slug="demo", name="星河贸易 Galaxy Trading")
