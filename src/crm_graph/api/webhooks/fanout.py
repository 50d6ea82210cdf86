"""The fan-out: reads the log for each endpoint behind the snapshot horizon and writes a delivery for each event that
its roles may know of, in one transaction with the endpoint's position. Any process does it; an endpoint is locked."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from crm_graph.api.documents.selections import BrokenSelection
from crm_graph.api.engine import Engine
from crm_graph.api.webhooks.stopping import stop
from crm_graph.db.outages import OUTAGES
from crm_graph.db.session import Record, Session
from crm_graph.db.statements import Statement
from crm_graph.domains.platform.webhooks.model import EndpointStatus
from crm_graph.domains.platform.webhooks.rules import DEFINITIONS, forsaken, viewer_of
from crm_graph.domains.platform.webhooks.signing import message_id
from crm_graph.events.log import COLUMNS, Event, end
from crm_graph.graph.changes.judging import Judge
from crm_graph.graph.changes.live import client_id, event_name
from crm_graph.graph.changes.stored import stored_judges
from crm_graph.graph.context import GraphContext
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.cursor import LogCursor
from crm_graph.kernel.errors import RequestError
from crm_graph.kernel.ids import encode_id, new_id
from crm_graph.permissions.grants import READ

log = logging.getLogger(__name__)

AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError)
"""What says that the database cannot be reached, and nothing of an endpoint."""
ENDPOINTS = 50
"""Endpoints that one round reads the log for, the first of each workspace before the second of any."""
ENDPOINTS_OF_WORKSPACE = 5
_HEX = "('x' || lpad(split_part(cursor, '-', {0}), 16, '0'))::bit(64)::bigint"
_BEHIND = Statement(
    f"""
    WITH behind AS (
    SELECT workspace_id, id, row_number() OVER (PARTITION BY workspace_id ORDER BY random()) AS number
    FROM webhook_endpoint WHERE status = 'ACTIVE' AND EXISTS (
        SELECT 1 FROM event WHERE (event.xid, event.seq) > ({_HEX.format(1)}::text::xid8, {_HEX.format(2)})
        AND event.xid < crm_log_horizon()
    )
    ) SELECT workspace_id, id FROM behind WHERE number <= $2 ORDER BY number, random() LIMIT $1
    """,  # noqa: S608 - constants
    ("limit", "of_workspace"),
    {},
)
_LOCK = Statement(
    "SELECT event_types, filter, roles, without_client, member_id, updated_at, cursor FROM webhook_endpoint"
    " WHERE workspace_id = $1 AND id = $2 AND status = 'ACTIVE' FOR UPDATE SKIP LOCKED",
    ("workspace_id", "id"),
    {},
)
_NEXT = Statement(
    f"SELECT {COLUMNS} FROM event WHERE workspace_id = $1 AND (xid, seq) > ($2::text::xid8, $3)"  # noqa: S608
    " AND xid < crm_log_horizon() ORDER BY event.xid, seq LIMIT $4",
    ("workspace_id", "xid", "seq", "limit"),
    {},
)
_MOVE = Statement(
    "UPDATE webhook_endpoint SET cursor = $3 WHERE workspace_id = $1 AND id = $2", ("workspace_id", "id", "cursor"), {}
)
_WRITE = Statement(
    """
    INSERT INTO webhook_delivery (workspace_id, endpoint_id, id, message_id, event_type, event_cursor, event_seq,
        entity_id, record_id, status, attempts, next_attempt_at, version, created_at, updated_at)
    SELECT $1, $2, one.*, 'PENDING', 0, $3, 1, $3, $3
    FROM unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::uuid[], $10::text[]) AS one
    """,
    ("workspace_id", "id", "now", "ids", "messages", "types", "cursors", "seqs", "entities", "records"),
    {},
)


@dataclass(frozen=True, slots=True)
class FanOut:
    """Writes deliveries; `round` is one pass over the endpoints that are behind."""

    engine: Engine

    async def round(self) -> int:
        """Take endpoints on by a batch of events each; return for how many there may be more to do. One that cannot be
        taken on keeps no other from it."""
        reader = self.engine.database.primary_reader()
        behind = await reader.fetch(_BEHIND, {"limit": ENDPOINTS, "of_workspace": ENDPOINTS_OF_WORKSPACE})
        taken = 0
        for row in behind:
            if self.engine.payers.of_webhooks(row["workspace_id"]).wait_s() > 0:
                continue
            try:
                await self.take(row["workspace_id"], row["id"])
            except asyncpg.ConnectionFailureError:  # the worker of a cluster on which this workspace lies: others go on
                continue
            except AWAY:
                raise
            except Exception as error:
                if OUTAGES.tell(error):
                    raise
                log.exception("webhooks: the events of endpoint %s cannot be read", row["id"])
            else:
                taken += 1
        return taken

    async def take(self, workspace_id: str, endpoint_id: str) -> int:
        """Write the deliveries of the next events for one endpoint; return how many. None where another process is
        about to."""
        binds = {"workspace_id": workspace_id, "id": endpoint_id}
        batch = self.engine.settings.webhook_batch_size
        async with self.engine.database.transaction(self.engine.payers.of_webhooks(workspace_id)) as session:
            endpoint = await session.fetch_row(_LOCK, binds)
            if endpoint is None:
                return 0
            position = LogCursor.decode(endpoint["cursor"])
            assert position is not None
            newest = await end(session)
            rows = await session.fetch(_NEXT, {**binds, "xid": str(position.xid), "seq": position.seq, "limit": batch})
            events = [Event.of(row) for row in rows]
            last = events[-1].cursor if events else position
            if len(events) < batch:
                last = max(last, newest)
            roles, member_id = endpoint["roles"], endpoint["member_id"]
            changed_at = datetime.fromisoformat(endpoint["updated_at"])
            asked = {"workspace_id": workspace_id, "roles": roles, "member_id": member_id, "changed_at": changed_at}
            (definitions,) = await session.fetch(DEFINITIONS, asked)
            why = forsaken(roles, member_id, tuple(definitions))
            if why is not None:
                await stop(self.engine, session, workspace_id, endpoint_id, EndpointStatus.PAUSED, why)
                return 0
            viewer = viewer_of(workspace_id, endpoint_id, roles, tuple(definitions))
            try:
                told = await self._told(session, viewer, endpoint, events)
            except BrokenSelection as broken:
                await stop(self.engine, session, workspace_id, endpoint_id, EndpointStatus.PAUSED, broken.reason)
                return 0
            if told:
                await session.execute(_WRITE, {**binds, **self._columns(endpoint_id, told)})
            await session.execute(_MOVE, {**binds, "cursor": last.encode()})
        return len(told)

    async def _told(
        self, session: Session, viewer: Viewer, endpoint: Record, events: Sequence[Event]
    ) -> list[tuple[Event, str]]:
        """Return the events that the endpoint is told, in their order, each with the name that it may know it by.
        Raises BrokenSelection for a filter that does not work any more."""
        context = self.engine.contexts.live(viewer)
        context.reader = session  # nothing waits for a second connection while it holds one
        without = endpoint["without_client"]
        if without is not None:
            events = [event for event in events if client_id(event) != without]
        told: dict[LogCursor, tuple[Event, str]] = {}
        schema, types = self.engine.schema, frozenset(endpoint["event_types"])
        records = schema.registry.records
        for entity in dict.fromkeys(event.entity for event in events):
            record = records.get(entity)
            if record is None:
                continue
            named = [(event, event_name(record, event, context)) for event in events if event.entity == entity]
            wanted = [(event, name) for event, name in named if name in types]
            if wanted:
                kinds = await judged(schema, context, endpoint["filter"], entity, [event for event, _ in wanted])
                told |= {
                    event.cursor: (event, name)
                    for (event, name), kind in zip(wanted, kinds, strict=True)
                    if kind is not None
                }
        return [told[event.cursor] for event in events if event.cursor in told]

    def _columns(self, endpoint_id: str, told: Sequence[tuple[Event, str]]) -> dict[str, Any]:
        records = self.engine.schema.registry.records
        cursors = [event.cursor.encode() for event, _ in told]
        return {
            "now": self.engine.now(),
            "ids": [new_id() for _ in told],
            "messages": [message_id(endpoint_id, cursor) for cursor in cursors],
            "types": [name for _, name in told],
            "cursors": cursors,
            "seqs": [event.cursor.seq for event, _ in told],
            "entities": [event.entity_id for event, _ in told],
            "records": [encode_id(records[event.entity].prefix, event.entity_id) for event, _ in told],
        }


async def judged(
    schema: BuiltSchema, context: GraphContext, filter_: Any, entity: str, events: Sequence[Event]
) -> list[Any]:
    """Return what events of a record type mean to the viewer of a context, within an endpoint's filter; None where it
    may not know of them. Raises BrokenSelection where roles or schema are others than when the filter was stored."""
    try:
        judge = stored_judges(schema, filter_).get(entity) or Judge(schema.registry.records[entity], schema.registry)
        if not context.access.of(entity).allows(READ):
            return [None] * len(events)
        return await judge.kinds(context, events)
    except RequestError as error:
        raise BrokenSelection(f"Its filter does not work under its roles any more: {error.message}") from None
