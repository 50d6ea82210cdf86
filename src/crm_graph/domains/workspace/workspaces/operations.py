"""Setting up a workspace: done by the operator of an installation, not over the API."""

from __future__ import annotations

import re
from zoneinfo import available_timezones

from crm_graph.db.currencies import is_currency
from crm_graph.db.rows import changes
from crm_graph.db.rules import defaults_of
from crm_graph.db.session import ReadSession, Record
from crm_graph.db.statements import Statement
from crm_graph.domains.workspace.workspaces.directory import FIND
from crm_graph.domains.workspace.workspaces.events import WorkspaceCreated, WorkspaceUpdated
from crm_graph.domains.workspace.workspaces.model import Workspace
from crm_graph.domains.workspace.workspaces.policy import WORKSPACE
from crm_graph.kernel.errors import OperatorError, Refused
from crm_graph.referring import Copied, Withheld
from crm_graph.valuing import has_base_amounts
from crm_graph.work import READ, Sent, Work

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_CURRENCY = Statement("SELECT base_currency FROM workspace WHERE workspace_id = $1", ("workspace_id",), {})


async def base_currency(work: Work) -> str:
    """Return the workspace's base currency, for what shows it to nobody: that of a record without an amount."""
    rows = await work.session.fetch(_CURRENCY, work.viewer.binds)
    return str(rows[0]["base_currency"])


def tell_base_currency(work: Work, path: str) -> None:
    """Note that the viewer is told the base currency by what is written now: the currency of a deal that has no amount
    yet. Raises Refused FORBIDDEN at `path` where they may not read it."""
    access = work.access.of(WORKSPACE.type)
    if not access.allows(READ) or access.partial("baseCurrency"):
        raise Withheld(f"{WORKSPACE.type}.baseCurrency", "", path)
    if access.audited("baseCurrency"):
        work.note(WORKSPACE, work.viewer.workspace_id, "baseCurrency")


async def shown_base_currency(work: Work, give: str) -> str:
    """Return the workspace's base currency, to be copied to where the viewer sees it. Raises Refused REQUIRED at `give`
    where they may not read it: they say one."""
    reads = {"base_currency": Copied("baseCurrency", give)}
    try:
        workspace = await work.refer(Workspace, WORKSPACE, work.viewer.workspace_id, give, reads)
    except Refused:
        raise Withheld(f"{WORKSPACE.type}.baseCurrency", give, give) from None
    return workspace.base_currency


_USAGE = Statement("SELECT used_bytes, measured_at FROM workspace_usage WHERE workspace_id = $1", ("workspace_id",), {})


async def stored_usage(session: ReadSession, workspace_id: str) -> Record | None:
    """Return how many bytes a workspace stores and when that was measured; None where it was not yet."""
    return await session.fetch_row(_USAGE, {"workspace_id": workspace_id})


async def create_workspace(work: Work, name: str, slug: str, base_currency: str, time_zone: str) -> str:
    """Set up the workspace whose id the work's viewer carries. Raises OperatorError for a value that cannot be."""
    if not _SLUG.match(slug):
        raise OperatorError(f"the workspace name {slug!r} is not usable", "use small letters, digits and single dashes")
    if not is_currency(base_currency):
        raise OperatorError(f"the currency {base_currency!r} is not ISO 4217", "use a code like CNY")
    if time_zone not in available_timezones():
        raise OperatorError(f"the time zone {time_zone!r} is unknown", "use an IANA name like Asia/Shanghai")
    if await work.session.fetch(FIND, {"slug": slug}):
        raise OperatorError(f"there is a workspace {slug!r} already", "choose another name")
    id_ = work.viewer.workspace_id
    given = {"id": id_, "name": name, "slug": slug, "base_currency": base_currency, "time_zone": time_zone}
    workspace: Workspace = Workspace.make(**{**defaults_of(Workspace), **given})
    await work.create(workspace, WORKSPACE, WorkspaceCreated())
    return id_


async def update_workspace(work: Work, id_: str, sent: Sent, if_version: int | None) -> str:
    """Change the name, the calendar or the base currency of the viewer's workspace. Raises Refused LOCKED for another
    base currency where there is an exchange rate, or a row that keeps an amount in it."""
    workspace = await work.revise(Workspace, WORKSPACE, id_, sent, if_version)
    if "base_currency" in changes(workspace) and await has_base_amounts(work):
        message = "`baseCurrency` cannot be changed any more: there are amounts in it, or exchange rates."
        raise Refused("LOCKED", message, ("baseCurrency",))
    await work.save(workspace, WORKSPACE, WorkspaceUpdated())
    return workspace.id
