"""The queue of mails: written in the transaction of what they tell, sent by whichever process comes first.

No business transaction waits for a mail server, and no mail tells of what was rolled back. A mail is taken by moving
its next attempt into the future (`FOR UPDATE SKIP LOCKED`), sent without a transaction, and deleted. A process that
dies in between leaves it to be sent again: a mail can come twice, never not at all.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import orjson

from crm_graph.db.outages import Outage
from crm_graph.db.session import Record, Session
from crm_graph.db.statements import Statement
from crm_graph.domains.identity.accounts.events import MailGivenUp
from crm_graph.domains.identity.accounts.journal import SYSTEM, record
from crm_graph.domains.identity.accounts.meter import forget_old
from crm_graph.domains.identity.accounts.texts import Text
from crm_graph.identity.mailer import Mailer, MailRefused
from crm_graph.identity.sealing import seal, unseal
from crm_graph.identity.services import Services
from crm_graph.kernel.errors import OperatorError
from crm_graph.kernel.ids import new_id

log = logging.getLogger(__name__)

RESET_REQUEST = "reset request"
PURPOSE = "mail"
BATCH = 10
LEASE = timedelta(minutes=5)
"""After which a mail that somebody took, and neither sent nor put back, is taken by another."""
FIRST_DELAY = timedelta(seconds=30)
MAX_DELAY = timedelta(hours=1)
HOUSEKEEPING = timedelta(minutes=10)

_INSERT = Statement(
    """
    INSERT INTO mail (workspace_id, id, kind, content, created_at, next_at) VALUES ($1, $2, $3, $4, $5, $5)
    """,
    ("workspace_id", "id", "kind", "content", "now"),
    {},
)
_TAKE = Statement(
    """
    UPDATE mail SET next_at = $2, attempts = attempts + 1
    WHERE (workspace_id, id) IN (
        SELECT workspace_id, id FROM mail WHERE next_at <= $1 ORDER BY next_at LIMIT $3 FOR UPDATE SKIP LOCKED
    )
    RETURNING workspace_id, id, kind, content, created_at, attempts
    """,
    ("now", "until", "limit"),
    {},
)
_DELETE = Statement("DELETE FROM mail WHERE workspace_id = $1 AND id = $2", ("workspace_id", "id"), {})
_POSTPONE = Statement(
    "UPDATE mail SET next_at = $3 WHERE workspace_id = $1 AND id = $2", ("workspace_id", "id", "next_at"), {}
)

RESUME = "UPDATE mail SET next_at = now() WHERE next_at > now()"
"""After a restore: whoever had taken one is gone, whatever the clock says."""

Answer = Callable[[Services, Session, Mapping[str, Any]], Awaitable[None]]


async def enqueue(
    services: Services, session: Session, workspace_id: str, kind: str, content: Mapping[str, Any]
) -> None:
    """Put something into the queue, in the transaction of `session`."""
    sealed = seal(services, PURPOSE, workspace_id, orjson.dumps(content))
    values = {"workspace_id": workspace_id, "id": new_id(), "kind": kind, "content": sealed, "now": services.clock()}
    await session.execute(_INSERT, values)


async def enqueue_mail(
    services: Services, session: Session, workspace_id: str, member_id: str, recipient: str, text: Text
) -> None:
    """Put a mail to a member into the queue, in the transaction of `session`."""
    content = {"member_id": member_id, "recipient": recipient, "subject": text.subject, "body": text.body}
    await enqueue(services, session, workspace_id, text.kind, content)


@dataclass(slots=True)
class Outbox:
    """Sends what is in the queue, as a task of a process; any number of processes may."""

    services: Services
    mailer: Mailer
    answers: Mapping[str, Answer]
    """What is done with a kind that is no mail yet: a request, whose answer is one."""

    async def run(self) -> None:
        """Send until cancelled. A database that is gone for a while delays mails and ends nothing."""
        pause_s = self.services.settings.mail_poll_ms / 1000
        cleaned = self.services.clock()
        outage = Outage(log, "the queue of mails cannot be read")
        while True:
            try:
                busy = await self.send_once() == BATCH
                outage.ends()
                if self.services.clock() - cleaned >= HOUSEKEEPING:
                    cleaned = self.services.clock()
                    await forget_old(self.services)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                outage.fails(error)
                busy = False
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # aiosmtplib takes being cancelled for a lost connection
                raise asyncio.CancelledError
            if not busy:
                await asyncio.sleep(pause_s)

    async def send_once(self) -> int:
        """Take what is due, at most a batch, and send it; return how many were taken."""
        now = self.services.clock()
        async with self.services.database.transaction() as session:
            taken = await session.execute(_TAKE, {"now": now, "until": now + LEASE, "limit": BATCH})
        for row in taken:
            await self._handle(row)
        return len(taken)

    async def _handle(self, row: Record) -> None:
        try:
            content = orjson.loads(unseal(self.services, PURPOSE, row["workspace_id"], row["content"]))
        except OperatorError as error:
            await self._give_up(row, None, error.what)
            return
        answer = self.answers.get(row["kind"])
        if answer is not None:
            async with self.services.database.transaction() as session:
                await answer(self.services, session, content)
                await session.execute(_DELETE, _key(row))
            return
        try:
            await self.mailer.send(content["recipient"], content["subject"], content["body"])
        except MailRefused as refused:
            if refused.for_good or self._is_too_old(row):
                await self._give_up(row, content["member_id"], refused.reason)
            else:
                await self._postpone(row, refused.reason)
            return
        async with self.services.database.transaction() as session:
            await session.execute(_DELETE, _key(row))

    def _is_too_old(self, row: Record) -> bool:
        oldest = self.services.clock() - timedelta(hours=self.services.settings.mail_give_up_hours)
        return datetime.fromisoformat(row["created_at"]) <= oldest

    async def _postpone(self, row: Record, reason: str) -> None:
        delay = min(FIRST_DELAY * 2 ** min(row["attempts"] - 1, 10), MAX_DELAY)
        log.warning("a mail (%s) is tried again in %d s: %s", row["kind"], delay.total_seconds(), reason)
        async with self.services.database.transaction() as session:
            await session.execute(_POSTPONE, {**_key(row), "next_at": self.services.clock() + delay})

    async def _give_up(self, row: Record, member_id: str | None, reason: str) -> None:
        log.error("a mail (%s) is given up: %s", row["kind"], reason)
        async with self.services.database.transaction() as session:
            await session.execute(_DELETE, _key(row))
            if member_id is not None:
                event = MailGivenUp(row["kind"], reason)
                await record(self.services, session, row["workspace_id"], member_id, event, SYSTEM)


def _key(row: Record) -> dict[str, Any]:
    return {"workspace_id": row["workspace_id"], "id": row["id"]}
