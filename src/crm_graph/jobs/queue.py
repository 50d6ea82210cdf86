"""The port of the queue: put in, take out, settle. Behind it is pgqueuer, in a Postgres schema of its own.

Everything runs on a `Session`, so that an entry is put in, and settled, in the transaction of what it is about: work
that is rolled back was never queued, and an outcome and its entry are committed together. pgqueuer's statement trigger
is not installed (it would NOTIFY inside business transactions): workers poll. Its own `QueueManager` is not used
either: it settles in a buffer, after the fact, on a connection that it does not open again once it is lost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, cast
from uuid import UUID

import orjson
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.domain.models import CronExpressionEntrypoint
from pgqueuer.domain.settings import DBSettings
from pgqueuer.domain.types import Channel, CronEntrypoint, CronExpression, QueueEntrypoint, QueueManagerId
from pgqueuer.ports.driver import Driver
from pgqueuer.ports.repository import EntrypointExecutionParameter
from pgqueuer.queries import Queries

from crm_graph.db.session import ReadSession, Session

SCHEMA: Final = "crm_jobs"
NAMES = DBSettings(
    db_schema=SCHEMA,
    prefix="",
    channel=Channel("crm_jobs"),
    function="fn_pgqueuer_changed",
    statistics_table="pgqueuer_statistics",
    queue_status_type="pgqueuer_status",
    queue_table="pgqueuer",
    queue_table_log="pgqueuer_log",
    trigger="tg_pgqueuer_changed",
    schedules_table="pgqueuer_schedules",
)
"""All of them given: pgqueuer would take what is left out from variables like `CHANNEL` and `TRIGGER`."""
_BUILDERS = QueryBuilderEnvironment(NAMES), QueryQueueBuilder(NAMES), QuerySchedulerBuilder(NAMES)


RESUME: Final = (
    f"UPDATE {SCHEMA}.pgqueuer SET heartbeat = 'epoch' WHERE status = 'picked'",  # noqa: S608 - a constant
    f"UPDATE {SCHEMA}.pgqueuer SET execute_after = now() WHERE execute_after > now()",  # noqa: S608
    f"UPDATE {SCHEMA}.pgqueuer_schedules SET next_run = now() WHERE next_run > now()",  # noqa: S608
)
"""After a restore: whoever had taken an entry is gone, and nothing waits for a clock that was another one."""


@dataclass(frozen=True, slots=True)
class Taken:
    """An entry that a worker has taken. `attempts` counts how often it was put back before."""

    id: int
    kind: str
    payload: Mapping[str, Any]
    attempts: int


@dataclass(frozen=True, slots=True)
class Schedule:
    """Work that is due once per `every`, counted from the epoch, however many workers there are."""

    kind: str
    every: timedelta

    def next_in(self, now_s: float) -> timedelta:
        """Return the time from now to the next tick."""
        every = self.every.total_seconds()
        return timedelta(seconds=every - now_s % every)


class _OnSession:
    """pgqueuer's statements on a session. What it would listen by is left out: nothing here calls it."""

    def __init__(self, session: ReadSession) -> None:
        self._session = session

    async def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        """Run a statement and return its rows."""
        given = [each.hex if isinstance(each, UUID) else each for each in args]  # our connections speak hex digits
        self._session.statements += 1
        return [dict(row) for row in await self._session.connection.fetch(query, *given)]

    async def execute(self, query: str, *args: object) -> str:
        """Run a statement."""
        await self.fetch(query, *args)
        return ""


def _queries(session: ReadSession) -> Queries:
    environment, queue, schedules = _BUILDERS
    return Queries(cast(Driver, _OnSession(session)), environment, queue, schedules)


def install_statements() -> list[str]:
    """Return what makes the queue's schema, for the migration: pgqueuer's own, without its trigger and its function."""
    environment, _, _ = _BUILDERS
    tables = environment.build_install_query().partition("CREATE FUNCTION")[0]
    return [each.strip() for each in tables.split(";") if each.strip()]


async def enqueue(session: Session, kind: str, payload: Mapping[str, Any], *, unique: str | None = None) -> int | None:
    """Put an entry into the queue in the transaction of the session; return its number. With `unique`, None where an
    entry of that key waits or runs already."""
    found = await _queries(session).enqueue(
        [kind], [orjson.dumps(payload)], [0], dedupe_key=[unique], on_conflict="skip"
    )
    return found[0]


async def take(session: Session, worker: UUID, kinds: Sequence[str], limit: int, lease: timedelta) -> list[Taken]:
    """Take up to `limit` entries: those that are due, and those whose worker has not been heard of for a lease."""
    entries = {QueueEntrypoint(kind): EntrypointExecutionParameter(concurrency_limit=0) for kind in kinds}
    jobs = await _queries(session).dequeue(limit, entries, QueueManagerId(worker), None, lease)
    return [Taken(int(job.id), str(job.entrypoint), orjson.loads(job.payload or b"{}"), job.attempts) for job in jobs]


async def waiting(session: ReadSession, kinds: Sequence[str]) -> int:
    """Return how many entries wait to be taken."""
    text = f"SELECT count(*) AS waiting FROM {SCHEMA}.pgqueuer WHERE entrypoint = ANY($1) AND status = 'queued'"  # noqa: S608
    (row,) = await session.connection.fetch(text, list(kinds))
    return int(row["waiting"])


async def beat(session: Session, ids: Sequence[int]) -> None:
    """Say that these entries are being worked on."""
    _, queue, _ = _BUILDERS
    await _OnSession(session).execute(queue.build_update_heartbeat_query(), list(ids))


async def settle(session: Session, id_: int, outcome: str = "successful") -> None:
    """Take an entry out of the queue for good: `successful`, `exception` or `canceled`. One that is gone stays gone."""
    _, queue, _ = _BUILDERS
    await _OnSession(session).execute(queue.build_log_job_query(), [id_], [outcome], [None])


async def put_back(session: Session, id_: int, delay: timedelta) -> None:
    """Let an entry be taken again after a delay."""
    _, queue, _ = _BUILDERS
    await _OnSession(session).execute(queue.build_retry_job_query(), id_, delay, None)


async def know(session: Session, schedules: Sequence[Schedule], now_s: float) -> None:
    """Let the database know the schedules: who comes first writes them."""
    if schedules:
        await _queries(session).insert_schedule(_ticks(schedules, now_s))


async def due(session: Session, schedules: Sequence[Schedule], now_s: float) -> list[str]:
    """Return the kinds of the schedules that are due and are this transaction's: no other worker gets the same tick."""
    if not schedules:
        return []
    queries = _queries(session)
    found = await queries.fetch_schedule(_ticks(schedules, now_s))
    if found:
        await queries.set_schedule_queued({each.id for each in found})
    return [str(each.entrypoint) for each in found]


def _ticks(schedules: Sequence[Schedule], now_s: float) -> dict[CronExpressionEntrypoint, timedelta]:
    return {
        CronExpressionEntrypoint(
            CronEntrypoint(each.kind), CronExpression(f"every {int(each.every.total_seconds())} s")
        ): each.next_in(now_s)
        for each in schedules
    }


async def forget_log(session: Session, keep: timedelta) -> None:
    """Delete what pgqueuer has noted of entries longer ago than that."""
    text = f"DELETE FROM {SCHEMA}.pgqueuer_log WHERE created < now() - $1::interval"  # noqa: S608 - a constant
    await _OnSession(session).execute(text, keep)
