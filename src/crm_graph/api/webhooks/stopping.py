"""Stopping an endpoint: with an event in the log, and a mail to the administrators where it is for long."""

from __future__ import annotations

from crm_graph.api.engine import Engine
from crm_graph.api.webhooks import queue
from crm_graph.db.session import Session
from crm_graph.domains.identity.accounts.outbox import enqueue_mail
from crm_graph.domains.identity.accounts.texts import Text
from crm_graph.domains.platform.webhooks.events import WebhookEndpointDisabled, WebhookEndpointPaused
from crm_graph.domains.platform.webhooks.model import EndpointStatus
from crm_graph.domains.platform.webhooks.policy import WEBHOOK_ENDPOINT
from crm_graph.events.log import append, entry
from crm_graph.identity.viewer import Actor

MAIL = "webhook endpoint stopped"


async def stop(
    engine: Engine, session: Session, workspace_id: str, endpoint_id: str, status: EndpointStatus, reason: str
) -> None:
    """Pause or disable an endpoint, in this transaction, unless it is not ACTIVE any more."""
    now = engine.now()
    binds = {"workspace_id": workspace_id, "endpoint_id": endpoint_id}
    stopped = await session.execute(queue.STOP, {**binds, "status": status.value, "reason": reason, "now": now})
    if not stopped:
        return
    event = (WebhookEndpointDisabled if status is EndpointStatus.DISABLED else WebhookEndpointPaused)(reason)
    told = entry(
        event,
        workspace_id=workspace_id,
        entity=WEBHOOK_ENDPOINT.type,
        entity_id=endpoint_id,
        at=now,
        by=Actor.system(),
        changes={"status": (EndpointStatus.ACTIVE.value, status.value), "status_reason": (None, reason)},
    )
    await append(session, told)
    if not engine.settings.smtp_url:
        return
    url = stopped[0]["url"]
    for member in await session.fetch(queue.ADMINISTRATORS, {"workspace_id": workspace_id}):
        text = Text(
            MAIL,
            f"A webhook of {member['name']} is {status.value}",
            f"The webhook endpoint {url} is sent nothing any more: {reason}\n\n"
            "What happens in the meantime is sent when it is ACTIVE again (updateWebhookEndpoint).\n",
        )
        await enqueue_mail(engine.services, session, workspace_id, member["id"], member["email"], text)
