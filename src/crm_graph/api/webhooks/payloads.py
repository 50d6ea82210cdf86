"""What an endpoint is told of an event: judged and read under its roles at the moment of sending."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from crm_graph.api.body import GraphQLRequest
from crm_graph.api.documents.selections import BrokenSelection, Selections, variables_of
from crm_graph.api.engine import Engine
from crm_graph.api.errors import UNAVAILABLE, UNAVAILABLE_MESSAGE
from crm_graph.api.webhooks.fanout import judged
from crm_graph.db.session import Record
from crm_graph.db.statements import Statement
from crm_graph.domains.platform.webhooks.operations import PING
from crm_graph.domains.platform.webhooks.rules import DEFINITIONS, forsaken, viewer_of
from crm_graph.events.log import COLUMNS, Event
from crm_graph.graph.changes.judging import ChangeKind
from crm_graph.graph.changes.live import changed_fields, client_id, event_name
from crm_graph.identity.viewer import Viewer

_EVENT = Statement(
    f"SELECT {COLUMNS} FROM event WHERE workspace_id = $1 AND seq = $2",  # noqa: S608 - constants
    ("workspace_id", "seq"),
    {},
)


@dataclass(frozen=True, slots=True)
class Payload:
    """The body of a request; None where the endpoint may not know of the event. `directory_version` says by which
    state of roles it was made."""

    body: dict[str, Any] | None
    directory_version: int


@dataclass(frozen=True, slots=True)
class Payloads:
    """Makes bodies."""

    engine: Engine
    selections: Selections

    async def make(self, delivery: Record, endpoint: Record) -> Payload:
        """Return what is sent. Raises BrokenSelection where the endpoint cannot go on, TimeoutError, and
        ConnectionError while the database is away."""
        workspace_id, roles, member_id = delivery["workspace_id"], endpoint["roles"], endpoint["member_id"]
        reader = self.engine.database.primary_reader(self.engine.payers.of_webhooks(workspace_id))
        changed_at = datetime.fromisoformat(endpoint["updated_at"])
        asked = {"workspace_id": workspace_id, "roles": roles, "member_id": member_id, "changed_at": changed_at}
        (definitions,) = await reader.fetch(DEFINITIONS, asked)
        why = forsaken(roles, member_id, tuple(definitions))
        if why is not None:
            raise BrokenSelection(why)
        viewer = viewer_of(workspace_id, delivery["endpoint_id"], roles, tuple(definitions))
        self._check_roles(viewer)
        if delivery["event_type"] == PING:
            data: dict[str, Any] = {"recordId": delivery["record_id"]}
            at = self.engine.now().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            return Payload({"type": PING, "timestamp": at, "data": data}, viewer.version)
        event = await self._event(workspace_id, delivery["event_seq"])
        body = None if event is None else await self._tell(viewer, endpoint, delivery["record_id"], event)
        return Payload(body, viewer.version)

    async def _tell(self, viewer: Viewer, endpoint: Record, record_id: str, event: Event) -> dict[str, Any] | None:
        selection = endpoint["selection"]
        operation = None if selection is None else await self.selections.operation(viewer, selection)
        context = self.engine.contexts.live(viewer, payer=self.engine.payers.of_webhooks(viewer.workspace_id))
        record = self.engine.schema.registry.records[event.entity]
        name = event_name(record, event, context)
        (kind,) = await judged(self.engine.schema, context, endpoint["filter"], event.entity, [event])
        if kind is None or name not in endpoint["event_types"]:
            return None
        gone = kind in {ChangeKind.LEFT, ChangeKind.DELETED}
        data: dict[str, Any] = {
            "cursor": event.cursor.encode(),
            "kind": kind.value,
            "recordId": record_id,
            "actorKind": event.actor_kind,
            "clientId": client_id(event),
            "changedFields": [] if gone else changed_fields(record, event, context),
        }
        if operation is not None:
            request = GraphQLRequest(selection, None, variables_of(operation, record_id))
            async with asyncio.timeout(self.engine.settings.query_timeout_ms / 1000):
                limit = self.engine.settings.webhook_max_bytes
                answer = await self.engine.execution.answer_live(request, operation, context, limit=limit)
            if any(error["extensions"]["code"] == UNAVAILABLE for error in answer.body.get("errors", ())):
                raise ConnectionError(UNAVAILABLE_MESSAGE)  # which is no answer for an endpoint: it is made again
            data["result"] = answer.body
        return {"type": name, "timestamp": event.at, "data": data}

    async def _event(self, workspace_id: str, seq: int) -> Event | None:
        reader = self.engine.database.primary_reader()
        row = await reader.fetch_row(_EVENT, {"workspace_id": workspace_id, "seq": seq})
        return None if row is None else Event.of(row)

    def _check_roles(self, viewer: Viewer) -> None:
        defined = {name for name, _ in viewer.definitions}
        gone: Sequence[str] = [
            role for role in viewer.roles if role not in defined and role not in self.engine.access.built_in
        ]
        if gone:
            raise BrokenSelection(f"There is no such role any more: {', '.join(gone)}.")
