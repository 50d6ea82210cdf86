"""The only writers of events about reading."""

from __future__ import annotations

from datetime import datetime

from crm_graph.db.session import Session
from crm_graph.domains.platform.audit.events import RecordsExported, SensitiveFieldsRead
from crm_graph.domains.workspace.workspaces.policy import WORKSPACE
from crm_graph.events.log import append, entry
from crm_graph.identity.origin import Origin
from crm_graph.identity.viewer import Viewer


async def record_reading(
    session: Session,
    viewer: Viewer,
    origin: Origin,
    request_id: str,
    at: datetime,
    event: SensitiveFieldsRead | RecordsExported,
) -> None:
    """Write down what a viewer read, in this transaction: one statement. The workspace is the event's entity, as it is
    about many records."""
    told = entry(
        event,
        workspace_id=viewer.workspace_id,
        entity=WORKSPACE.type,
        entity_id=viewer.workspace_id,
        at=at,
        by=viewer.actor,
        address=origin.address,
        request_id=request_id,
    )
    await append(session, told)
