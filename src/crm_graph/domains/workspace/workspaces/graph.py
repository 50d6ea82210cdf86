"""The workspace in the schema."""

from __future__ import annotations

from datetime import datetime

from crm_graph.domains.workspace.workspaces import events, model, policy
from crm_graph.graph.build import Slice
from crm_graph.graph.records import Node, column, record
from crm_graph.graph.scalars import Currency


@record("wsp", model.Workspace, policy.WORKSPACE)
class Workspace(Node):
    """A tenant: everything else belongs to one, and nothing crosses from one to another."""

    name: str = column("The name of the company or team that works here.")
    slug: str = column("A short name for commands and addresses, unique in the installation.")
    base_currency: Currency | None = column("The currency in which reports add up.")
    time_zone: str | None = column("The IANA time zone in which days, weeks and months begin.")
    version: int = column("Counts the changes; give it as `ifVersion`.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


SLICE = Slice("workspace", records=(Workspace,), events=events.EVENTS)
