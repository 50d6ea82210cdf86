"""How far behind what works through queues and the log is: read when somebody scrapes, and then not again for a while.

A few statements of one indexed look-up each, or one for each webhook endpoint: whoever scrapes every second asks the
database as often as whoever scrapes every ten. The relay says its own lag, without a statement (`kernel/roles.py`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable
from dataclasses import dataclass, field

import asyncpg

from crm_graph.db.pool import Database
from crm_graph.db.statements import Statement
from crm_graph.db.telling import told
from crm_graph.kernel.errors import RequestError

log = logging.getLogger(__name__)

AGAIN_S = 10.0
"""So long what was read is good."""
LIMIT_S = 2.0
"""How long reading may take, waiting for a connection included: a scrape tells all else without it."""
_QUEUES = {
    "audit": """
        SELECT now() - at FROM event WHERE (xid, seq) > (
            coalesce((SELECT event_xid::text::xid8 FROM audit_deferral ORDER BY event_xid, event_seq LIMIT 1),
                (SELECT event_xid::text::xid8 FROM audit_head ORDER BY event_xid DESC, event_seq DESC LIMIT 1),
                '0'::xid8),
            coalesce((SELECT event_seq FROM audit_deferral ORDER BY event_xid, event_seq LIMIT 1),
                (SELECT event_seq FROM audit_head ORDER BY event_xid DESC, event_seq DESC LIMIT 1), 0)
        ) ORDER BY event.xid, seq LIMIT 1
    """,
    "history": """
        SELECT now() - at FROM event WHERE (xid, seq) > (
            coalesce((SELECT xid::text::xid8 FROM history_position WHERE id = 1), '0'::xid8),
            coalesce((SELECT seq FROM history_position WHERE id = 1), 0)
        ) ORDER BY event.xid, seq LIMIT 1
    """,
    "webhook_projection": """
        SELECT now() - min(next.at) FROM webhook_endpoint AS endpoint CROSS JOIN LATERAL (
            SELECT at FROM event WHERE event.workspace_id = endpoint.workspace_id AND (xid, seq) > (
                ('x' || lpad(split_part(cursor, '-', 1), 16, '0'))::bit(64)::bigint::text::xid8,
                ('x' || lpad(split_part(cursor, '-', 2), 16, '0'))::bit(64)::bigint
            ) ORDER BY event.xid, seq LIMIT 1
        ) AS next WHERE endpoint.status = 'ACTIVE'
    """,
    "webhooks": """
        SELECT now() - min(due.next_attempt_at) FROM webhook_endpoint AS endpoint CROSS JOIN LATERAL (
            SELECT first.next_attempt_at FROM (
                SELECT * FROM webhook_delivery AS pending
                WHERE pending.workspace_id = endpoint.workspace_id AND pending.endpoint_id = endpoint.id
                AND pending.status = 'PENDING' AND pending.next_attempt_at <= now()
                ORDER BY pending.next_attempt_at LIMIT 20
            ) AS first WHERE (first.claimed_until IS NULL OR first.claimed_until <= now()) AND NOT EXISTS (
                SELECT 1 FROM webhook_delivery AS earlier
                WHERE earlier.workspace_id = first.workspace_id AND earlier.endpoint_id = first.endpoint_id
                AND earlier.entity_id = first.entity_id AND earlier.status = 'PENDING'
                AND (earlier.event_seq, earlier.id) < (first.event_seq, first.id)
            ) ORDER BY first.next_attempt_at LIMIT 1
        ) AS due WHERE endpoint.status = 'ACTIVE'
    """,
    "mails": "SELECT now() - min(next_at) FROM mail WHERE next_at <= now()",
    "timers": "SELECT now() - min(due_at) FROM timer WHERE given_up_at IS NULL AND due_at <= now()",
    "jobs": """
        SELECT now() - min(execute_after) FROM crm_jobs.pgqueuer
        WHERE status = 'queued' AND execute_after <= now()
    """,
}
"""Of each, the age of the oldest that could have been done: events that are not sealed, not in the kept history, or not
looked at for an endpoint; deliveries that wait for no earlier one of their record; mails; timers; jobs."""
_AGES = (f"greatest(0, coalesce(extract(epoch FROM ({text})), 0))::float8" for text in _QUEUES.values())
_LAGS = Statement(f"SELECT {', '.join(_AGES)}", (), {})
_WRITTEN = Statement("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn", (), {})
_REPLAYED = Statement(
    "SELECT pg_last_wal_replay_lsn() - '0/0'::pg_lsn,"
    " extract(epoch FROM now() - pg_last_xact_replay_timestamp())::float8 WHERE pg_is_in_recovery()",
    (),
    {},
)


@dataclass(slots=True)
class Lags:
    """What was read last. `database` is the process's."""

    database: Database
    seconds: dict[str, float] = field(default_factory=dict)
    """By what is behind; without what a database that did not answer would say."""
    replica_bytes: float | None = None
    """How much of what the primary has written the replica has not replayed; None where there is none."""
    answers: dict[str, bool] = field(default_factory=dict)
    """Whether each pool's database answered in time."""
    _at: float | None = None
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def refresh(self) -> None:
        """Read anew what is older than ten seconds. Raises nothing: who watches wants to know of the rest."""
        async with self._reading:
            if self._at is not None and time.monotonic() - self._at < AGAIN_S:
                return
            self._at = time.monotonic()
            self.seconds, self.replica_bytes = {}, None
            self.answers = {
                "write": await self._answered(self._read_queues()),
                "read": await self._answered(self._read_replica()),
            }

    async def _answered(self, reading: Awaitable[None]) -> bool:
        try:
            async with asyncio.timeout(LIMIT_S):
                await reading
        except asyncpg.PostgresConnectionError:
            return False
        except asyncpg.PostgresError as error:
            log.warning("lags cannot be read: %s", told(error))
        except (OSError, asyncpg.InterfaceError, RequestError):
            return False
        return True

    async def _read_queues(self) -> None:
        row = await self.database.primary_reader().fetch_row(_LAGS, {})
        assert row is not None
        self.seconds = dict(zip(_QUEUES, map(float, row), strict=True))

    async def _read_replica(self) -> None:
        lease = self.database.lease()
        try:
            replica = lease if self.database.replica is None else self.database.replica
            replayed = await replica.fetch(_REPLAYED.text)
        finally:
            lease.release()
        if not replayed:
            return
        written = await self.database.primary_reader().fetch_row(_WRITTEN, {})
        assert written is not None
        self.replica_bytes = max(0.0, float(written[0]) - float(replayed[0][0]))
        # Of a primary that is idle the last transaction is old, and nobody behind.
        self.seconds["replica"] = float(replayed[0][1] or 0) if self.replica_bytes else 0.0
