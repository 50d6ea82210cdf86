"""What slices declare to be done when timers are due, as the worker calls it: in a unit of work of the installation."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from crm_graph.db.session import Session
from crm_graph.db.statements import Statement
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.services import Services
from crm_graph.identity.viewer import Viewer
from crm_graph.jobs.due import Handler
from crm_graph.jobs.timers import Due
from crm_graph.permissions.access import Access
from crm_graph.permissions.compiler import administrator
from crm_graph.work import TimerHandler, Work

_WORKSPACE = Statement(
    "SELECT time_zone, fiscal_year_start, base_currency FROM workspace WHERE workspace_id = $1", ("workspace_id",), {}
)


def timer_handlers(schema: BuiltSchema, services: Services) -> Mapping[str, Handler]:
    """Return the handlers of all slices, by kind. Raises ValueError for a kind that two slices declare."""
    access = administrator(*schema.policies)
    handlers: dict[str, Handler] = {}
    for slice_ in schema.slices:
        for kind, handler in slice_.timers.items():
            if kind in handlers:
                raise ValueError(f"two slices declare what timers of the kind {kind} do")
            handlers[kind] = partial(_handle, services, access, handler)
    return handlers


async def _handle(services: Services, access: Access, handler: TimerHandler, session: Session, due: Due) -> None:
    row = await session.fetch_row(_WORKSPACE, {"workspace_id": due.workspace_id})
    if row is None:
        return
    now = services.clock()
    viewer = Viewer.system(due.workspace_id, row["time_zone"], row["fiscal_year_start"], row["base_currency"])
    await handler(Work(session, viewer, access, lambda: now, vault=services.vault), due)
