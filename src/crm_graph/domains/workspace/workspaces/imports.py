"""What imports of any entity go by of their workspace."""

from __future__ import annotations

from collections.abc import Sequence

from crm_graph.domains.workspace.workspaces.operations import base_currency
from crm_graph.transfer.spec import Draft
from crm_graph.work import Work


async def gather_currency(work: Work, _: Sequence[Draft]) -> str:
    """Gather the base currency: that of amounts for which a file says none."""
    return await base_currency(work)
