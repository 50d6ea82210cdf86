"""The workspace in the schema."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import strawberry

from crm_graph.domains.workspace.workspaces import events, model, operations, policy
from crm_graph.domains.workspace.workspaces.operations import stored_usage
from crm_graph.graph import writes
from crm_graph.graph.context import GraphContext
from crm_graph.graph.records.record import SENT_LATER, Node, column, record
from crm_graph.graph.records.scalars import Currency
from crm_graph.graph.schema.build import Slice
from crm_graph.graph.writes import Written
from crm_graph.permissions.roles import ADMIN


@strawberry.type(description="How much a workspace stores, as last measured, and may store.")
class Storage:
    """Of the event log, the audit trail and the files of exports too."""

    used_bytes: Decimal | None = strawberry.field(
        description="How many bytes the workspace stores; null until that was measured."
    )
    limit_bytes: Decimal | None = strawberry.field(
        description="How many bytes the workspace may store: beyond that, changes are refused with the code"
        " LIMIT. Null for no limit."
    )
    measured_at: datetime | None = strawberry.field(
        description="When the storage was measured, which is every few minutes."
    )


async def storage_of(context: GraphContext) -> Storage | None:
    """Return what the viewer's workspace stores; None for whoever has no use for it: how large a workspace is, is not
    everybody's business."""
    if ADMIN not in context.viewer.roles:
        return None
    found = await stored_usage(context.reader, context.viewer.workspace_id)
    limit = context.services.quotas.limit
    return Storage(
        used_bytes=None if found is None else Decimal(found["used_bytes"]),
        limit_bytes=Decimal(limit) if limit else None,
        measured_at=None if found is None else datetime.fromisoformat(found["measured_at"]),
    )


@record("wsp", model.Workspace, policy.WORKSPACE)
class Workspace(Node):
    """A tenant: everything else belongs to one, and nothing crosses from one to another."""

    name: str = column("The name of the company or team that works here.", SENT_LATER)
    slug: str = column("A short name for commands and addresses, unique in the installation.")
    base_currency: Currency | None = column(
        "The currency in which reports add up: what base amounts are in. It changes only while there are none, and no"
        " exchange rates.",
        SENT_LATER,
    )
    time_zone: str | None = column("The IANA time zone in which days, weeks and months begin.", SENT_LATER)
    fiscal_year_start: int | None = column("The month, 1 to 12, in which the fiscal year begins.", SENT_LATER)
    version: int = column("Counts the changes of this record; send it as `ifVersion` to refuse a lost update.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


class Mutations:
    """Fields of Mutation."""

    update_workspace: Written[Workspace] = writes.update(
        "Changes the workspace's name, calendar and base currency: they count with the next request of everybody.",
        operations.update_workspace,
    )


SLICE = Slice("workspace", records=(Workspace,), mutations=(Mutations,), events=events.EVENTS)
