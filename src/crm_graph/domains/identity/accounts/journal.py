"""Writes the events of accounts where nobody's unit of work exists: whoever signs in is not a viewer yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crm_graph.db.session import Session
from crm_graph.events.effects import DomainEvent
from crm_graph.events.log import append, entry
from crm_graph.identity.origin import NOWHERE, Origin
from crm_graph.identity.services import Services
from crm_graph.identity.viewer import Actor, ActorKind

ENTITY = "Account"
"""Not `Member`: who may watch members does not thereby watch when they come and go."""


@dataclass(frozen=True, slots=True)
class By:
    """By whom, from where and under which request something was done to an account. `actor` None is nobody known."""

    actor: str | None = None
    origin: Origin = NOWHERE
    request_id: str | None = None
    client_id: str | None = None

    @property
    def as_actor(self) -> Actor:
        """Who did it, as the log says it."""
        return Actor(ActorKind.SYSTEM if self.actor is None else ActorKind.MEMBER, self.actor, self.client_id)


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
    told = entry(
        event,
        workspace_id=workspace_id,
        entity=entity,
        entity_id=account_id,
        at=services.clock(),
        by=by.as_actor,
        changes=changes,
        address=by.origin.address,
        request_id=by.request_id,
    )
    await append(session, told)
