"""The deliverer: sends what the fan-out wrote. Any number of processes may.

A delivery is claimed by a lease in its row, sent without a transaction, and finished in one, however long the database
is away in between. A process that dies in between leaves it to be sent again under the same `webhook-id`: a request can
come twice, never not at all.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from math import ceil
from typing import Any

import orjson

from crm_graph.api.documents.selections import BrokenSelection, Selections
from crm_graph.api.engine import Engine
from crm_graph.api.live_shares import UNBOUNDED
from crm_graph.api.webhooks import queue
from crm_graph.api.webhooks.fanout import AWAY, FanOut
from crm_graph.api.webhooks.payloads import Payloads
from crm_graph.api.webhooks.stopping import stop
from crm_graph.db.outages import OUTAGES, Outage
from crm_graph.db.session import Record, Session
from crm_graph.domains.platform.webhooks.model import DeliveryStatus, EndpointStatus
from crm_graph.domains.platform.webhooks.signing import open_secret, signatures
from crm_graph.identity.oidc.fetch import Fetcher
from crm_graph.identity.origin import parse_networks
from crm_graph.kernel import spans
from crm_graph.kernel.durations import Durations
from crm_graph.kernel.errors import IssuerFault, OperatorError
from crm_graph.kernel.ids import new_id
from crm_graph.kernel.shares import Shares
from crm_graph.kernel.spans import Span, SpanKind

log = logging.getLogger(__name__)

GONE = 410
HOUSEKEEPING = timedelta(minutes=10)
MARGIN_S = 30
"""A lease is as long as an attempt can take, and this."""
MAX_ERROR_LENGTH = 500
AGAIN_S = 0.5
"""How often the database is asked whether it takes what came of a delivery."""
Write = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one request."""

    status: int | None = None
    answer: str | None = None
    body: dict[str, Any] | None = None
    duration_ms: int | None = None
    error: str | None = None

    @property
    def delivered(self) -> bool:
        """Whether the endpoint took it."""
        return self.status is not None and 200 <= self.status < 300


class Deliverer:
    """Reads the log and sends, as a task of a process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._settings = settings = engine.settings
        self._clock = engine.now
        self._fan_out = FanOut(engine)
        selections = Selections(engine.schema, engine.documents, engine.access, settings)
        self._payloads = Payloads(engine, selections)
        networks = parse_networks(settings.webhook_private, "CRM_WEBHOOK_PRIVATE")
        self._fetcher = Fetcher(
            networks, settings.webhook_timeout_ms / 1000, settings.webhook_response_bytes, "CRM_WEBHOOK_PRIVATE"
        )
        self._outage = Outage(log, "webhooks: the database cannot be read")
        self._sending: dict[asyncio.Task[None], Record] = {}
        self._making = Shares(settings.webhook_selections, max(1, settings.webhook_selections // 2), UNBOUNDED)
        self._busy: set[str] = set()
        """Workspaces whose webhooks can have used up their seconds of the database."""
        self.durations = {outcome: Durations() for outcome in ("delivered", "failed")}
        """How long requests to endpoints took, by what came of them."""
        self._gone: set[str] = set()
        """Endpoints that have just answered 410: what waits for its turn here is not sent."""

    async def run(self) -> None:
        """Read and send until cancelled; what is being sent then is left to others at once."""
        try:
            await asyncio.gather(self._again(self._read), self._again(self._send), self._again(self._clean))
        finally:
            await self._leave()

    async def _again(self, once: Any) -> None:
        while True:
            try:
                pause_s = await once()
                self._outage.ends()
            except AWAY as error:
                self._outage.fails(error)
                pause_s = 1.0
            except Exception as error:
                if not OUTAGES.tell(error):
                    log.exception("webhooks: a round failed")
                pause_s = 1.0
            await asyncio.sleep(pause_s)

    async def _read(self) -> float:
        return 0 if await self._fan_out.round() else self._settings.webhook_poll_ms / 1000

    async def _send(self) -> float:
        room = self._settings.webhook_concurrency - len(self._sending)
        claimed = await self._claim(room) if room else []
        for row in claimed:
            task = asyncio.create_task(self._deliver(row))
            self._sending[task] = row
            task.add_done_callback(lambda done: self._sending.pop(done, None))
        return 0 if claimed else self._settings.webhook_poll_ms / 1000

    async def _clean(self) -> float:
        before = self._clock() - timedelta(days=self._settings.webhook_keep_days)
        async with self._engine.database.transaction() as session:
            await session.execute(queue.FORGET, {"before": before})
        return HOUSEKEEPING.total_seconds()

    async def _claim(self, room: int) -> list[Record]:
        now = self._clock()
        settings = self._settings
        turns = ceil(settings.webhook_workspace_concurrency / self._making.share)
        lease_s = (settings.webhook_timeout_ms + settings.query_timeout_ms * turns) / 1000 + MARGIN_S
        async with self._engine.database.transaction() as session:
            await session.execute(queue.ALONE, {})
            return await session.execute(
                queue.CLAIM,
                {
                    "now": now,
                    "until": now + timedelta(seconds=lease_s),
                    "claim": new_id(),
                    "of_endpoint": self._settings.webhook_endpoint_concurrency,
                    "limit": room,
                    "of_workspace": settings.webhook_workspace_concurrency,
                    "sending": [*self._workspaces(), *self._resting()],
                },
            )

    def _workspaces(self) -> list[str]:
        """Return the workspace of each delivery that is under way here."""
        return [row["workspace_id"] for row in self._sending.values()]

    def _resting(self) -> list[str]:
        """Return as many deliveries as leave no room, for each workspace that has used up its seconds."""
        payers = self._engine.payers
        self._busy = {workspace_id for workspace_id in self._busy if payers.of_webhooks(workspace_id).wait_s() > 0}
        return [
            workspace_id for workspace_id in self._busy for _ in range(self._settings.webhook_workspace_concurrency)
        ]

    async def _deliver(self, row: Record) -> None:
        known = {"crm_graph.event": row["event_type"], "crm_graph.delivery": row["id"]}
        try:
            with spans.span("webhook delivery", SpanKind.CLIENT, known) as span:
                try:
                    write = await self._attempt(row, span)
                except Exception as error:
                    if not OUTAGES.tell(error):
                        raise
                    write = partial(self._release, row)
                await self._settle(write)
        except Exception as error:  # its lease ends, and somebody tries again
            log.warning("webhooks: delivery %s was not finished: %s", row["id"], type(error).__name__)

    async def _settle(self, write: Write) -> None:
        """Write down what came of a delivery as soon as the database takes it. Left to its lease, it would be sent a
        second time, and take a place of its endpoint for two minutes until then."""
        while True:
            try:
                await write()
            except Exception as error:
                if not OUTAGES.tell(error):
                    raise
                await asyncio.sleep(AGAIN_S)
            else:
                return

    async def _attempt(self, row: Record, span: Span) -> Write:
        """Make a delivery's request, unless there is a reason not to; return what writes down what came of it."""
        reader = self._engine.database.primary_reader()
        endpoint = await reader.fetch_row(queue.ENDPOINT, {**_key(row), "now": self._clock()})
        if endpoint is None or endpoint["status"] != EndpointStatus.ACTIVE.value:
            return partial(self._release, row)
        try:
            async with self._making.place(row["workspace_id"]):
                payload = await self._payloads.make(row, endpoint)
            self._busy.add(row["workspace_id"])
        except BrokenSelection as broken:
            return partial(self._pause, row, broken.reason)
        except TimeoutError:
            return partial(self._finish, row, Attempt(error="The selection took too long."))
        if payload.body is None:
            return partial(self._drop, row)
        stands = {"version": endpoint["version"], "directory_version": payload.directory_version}
        if not await reader.fetch_row(queue.STANDS, {**_key(row), **stands}) or row["endpoint_id"] in self._gone:
            return partial(self._release, row)
        attempt = await self._post(row, endpoint, payload.body)
        if attempt.status is not None:
            span.tell({"http.response.status_code": attempt.status})
        if not attempt.delivered:
            span.fails("unreachable" if attempt.status is None else str(attempt.status))
        self.durations["delivered" if attempt.delivered else "failed"].add((attempt.duration_ms or 0) / 1000)
        return partial(self._finish, row, attempt)

    async def _post(self, row: Record, endpoint: Record, body: dict[str, Any]) -> Attempt:
        loop = asyncio.get_running_loop()
        start = loop.time()
        content = orjson.dumps(body, default=str)
        try:
            headers = self._headers(row, endpoint, content)
            if spans.tracer is not None:
                spans.tracer.inject(headers)
            response = await self._fetcher.deliver(endpoint["url"], content, headers)
        except (IssuerFault, OperatorError) as fault:
            why = fault.message if isinstance(fault, IssuerFault) else fault.what
            return Attempt(body=body, duration_ms=round((loop.time() - start) * 1000), error=why[:MAX_ERROR_LENGTH])
        if response.status == GONE:
            self._gone.add(row["endpoint_id"])
        error = None
        if not 200 <= response.status < 300:
            followed = ", and redirects are not followed" if 300 <= response.status < 400 else ""
            error = f"The endpoint answered {response.status}{followed}."
        answer = response.body.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
        return Attempt(response.status, answer, body, round((loop.time() - start) * 1000), error)

    def _headers(self, row: Record, endpoint: Record, content: bytes) -> dict[str, str]:
        services, workspace_id = self._engine.services, row["workspace_id"]
        sealed = [endpoint["sealed"], *([endpoint["previous"]] if endpoint["overlaps"] else [])]
        secrets = [open_secret(services, workspace_id, secret) for secret in sealed]
        timestamp = int(self._clock().timestamp())
        return {
            "Content-Type": "application/json",
            "webhook-id": row["message_id"],
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signatures(secrets, row["message_id"], timestamp, content),
        }

    async def _finish(self, row: Record, attempt: Attempt) -> None:
        """Write down an attempt: done, to be made again, or given up, which may be the end of the endpoint."""
        now = self._clock()
        next_at = now + self._delay(row["attempts"])
        first = datetime.fromisoformat(row["first_attempt_at"])
        over = next_at > first + timedelta(hours=self._settings.webhook_retry_hours)
        gone = attempt.status == GONE
        status = DeliveryStatus.PENDING
        if attempt.delivered:
            status = DeliveryStatus.DELIVERED
        elif over or gone:
            status = DeliveryStatus.FAILED
        async with self._engine.database.transaction() as session:
            written = await session.execute(
                queue.FINISH,
                {
                    **_key(row),
                    "status": status.value,
                    "next_attempt_at": next_at if status is DeliveryStatus.PENDING else None,
                    "response_status": attempt.status,
                    "response_body": attempt.answer,
                    "request_body": attempt.body,
                    "duration_ms": attempt.duration_ms,
                    "error": attempt.error,
                    "now": now,
                },
            )
            if gone:
                await self._stop(session, row, EndpointStatus.DISABLED, "The endpoint answered 410 (Gone).")
            elif written and status is DeliveryStatus.FAILED:
                since = {**_key(row), "since": first}
                if not await session.fetch(queue.ANY_DELIVERED, since):
                    why = f"It failed for {self._settings.webhook_retry_hours} hours; last: {attempt.error}"
                    await self._stop(session, row, EndpointStatus.DISABLED, why)
        if gone:
            self._gone.discard(row["endpoint_id"])

    async def _stop(self, session: Session, row: Record, status: EndpointStatus, reason: str) -> None:
        await stop(self._engine, session, row["workspace_id"], row["endpoint_id"], status, reason)

    def _delay(self, attempts: int) -> timedelta:
        longest = self._settings.webhook_retry_max_ms
        doubled = min(self._settings.webhook_retry_ms * 2 ** min(attempts - 1, 30), longest)
        return timedelta(milliseconds=doubled * random.uniform(0.5, 1))

    async def _pause(self, row: Record, reason: str) -> None:
        async with self._engine.database.transaction() as session:
            await self._stop(session, row, EndpointStatus.PAUSED, reason)
            await session.execute(queue.RELEASE, _key(row))

    async def _drop(self, row: Record) -> None:
        why = "The endpoint's roles may not know of it, or it is not told such events, any more."
        fields = ("next_attempt_at", "response_status", "response_body", "request_body", "duration_ms")
        nothing = dict.fromkeys(fields)
        dropped = {"status": DeliveryStatus.DROPPED.value, "error": why, "now": self._clock()}
        async with self._engine.database.transaction() as session:
            await session.execute(queue.FINISH, {**_key(row), **nothing, **dropped})

    async def _release(self, row: Record) -> None:
        async with self._engine.database.transaction() as session:
            await session.execute(queue.RELEASE, _key(row))

    async def _leave(self) -> None:
        """Give up what is being sent."""
        left = dict(self._sending)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        for row in left.values():
            try:
                await self._release(row)
            except Exception as error:
                if not OUTAGES.tell(error):
                    raise
                break  # their leases end
        await self._fetcher.aclose()


def _key(row: Record) -> dict[str, Any]:
    return {
        "workspace_id": row["workspace_id"],
        "id": row["id"],
        "claim": row["claim"],
        "endpoint_id": row["endpoint_id"],
    }
