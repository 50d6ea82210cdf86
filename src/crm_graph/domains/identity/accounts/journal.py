"""Writes the events of accounts where nobody's unit of work exists: whoever signs in is not a viewer yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from crm_graph.db.session import Session
from crm_graph.events.effects import DomainEvent
from crm_graph.events.log import append
from crm_graph.identity.origin import NOWHERE, Origin
from crm_graph.identity.services import Services

ENTITY = "Account"
"""Not `Member`: who may watch members does not thereby watch when they come and go."""


@dataclass(frozen=True, slots=True)
class By:
    """By whom, from where and under which request something was done to an account. `actor` None is nobody known."""

    actor: str | None = None
    origin: Origin = NOWHERE
    request_id: str | None = None
    client_id: str | None = None


SYSTEM = By()


async def record(
    services: Services,
    session: Session,
    workspace_id: str,
    account_id: str,
    event: DomainEvent,
    by: By,
    *,
    entity: str = ENTITY,
    changes: Mapping[str, tuple[Any, Any]] | None = None,
) -> None:
    """Append an event about an account, whose id is its member's; both are the nil id where no member is known."""
    await append(
        session,
        {
            "workspace_id": workspace_id,
            "type": type(event).__name__,
            "entity": entity,
            "entity_id": account_id,
            "actor": by.actor,
            "at": services.clock(),
            "changes": changes or {},
            "data": {each.name: getattr(event, each.name) for each in fields(event)},
            "client_id": by.client_id,
            "address": by.origin.address,
            "request_id": by.request_id,
        },
    )
