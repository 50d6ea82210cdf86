"""Answers kept under idempotency keys: claimed before an operation runs, written in the operation's transaction.

That a key was used, and with what answer, is committed with what was done, so that no kill and no lost answer comes
between the two. While it is not committed an advisory lock says that it runs: that lock is gone with the transaction,
whatever becomes of its process, and nobody waits for it.

Decided in D-idempotency-01 (ARCHITECTURE.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Base, Id
from crm_graph.db.placement import LOCAL
from crm_graph.db.session import Session, Unconfirmed
from crm_graph.db.statements import Statement
from crm_graph.idempotency.keys import Claim
from crm_graph.identity.services import Services
from crm_graph.kernel.errors import KeyInProgress, KeyReused

ROW_BYTES = 400
"""What a row takes beside its answer, with its index entries."""
BATCH = 1_000


class IdempotentAnswer(Base):
    """What a field of Mutation answered under a key. Local (undistributed) on Citus, as what is removed across all
    workspaces is. No foreign key: it would be one more row to lock for each mutation, and a row lasts for a day."""

    __tablename__ = "idempotent_answer"
    __placement__ = LOCAL
    __table_args__ = (Index("ix_idempotent_answer_created_at", "created_at"),)

    workspace_id: Mapped[Id] = mapped_column(primary_key=True)
    key: Mapped[bytes] = mapped_column(primary_key=True)
    field: Mapped[bytes] = mapped_column(primary_key=True)
    request: Mapped[bytes]
    answer: Mapped[bytes | None]
    """None where it was too large to be kept: that it was done is known all the same."""
    created_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Kept:
    """What was answered; None where that was too large to be kept."""

    answer: bytes | None


_CLAIM = Statement(
    """
    SELECT tried.held, kept.field, kept.request, kept.answer
    FROM (SELECT pg_try_advisory_xact_lock($1) AS held) AS tried
    LEFT JOIN (
        SELECT field, request, answer FROM idempotent_answer
        WHERE workspace_id = $2 AND key = $3 AND created_at > $4 ORDER BY field <> $5 LIMIT 1
    ) AS kept ON true
    """.strip(),
    ("lock", "workspace_id", "key", "since", "field"),
    {},
)
_KEEP = Statement(
    """
    INSERT INTO idempotent_answer AS kept (workspace_id, key, field, request, answer, created_at)
    SELECT $1::uuid, $2::bytea, $3::bytea, $4::bytea, $5::bytea, $6::timestamptz
    WHERE NOT EXISTS (
        SELECT 1 FROM idempotent_answer
        WHERE workspace_id = $1 AND key = $2 AND created_at > $7 AND (field = $3 OR request <> ALL ($8::bytea[]))
    )
    ON CONFLICT (workspace_id, key, field) DO UPDATE
    SET request = excluded.request, answer = excluded.answer, created_at = excluded.created_at
    WHERE kept.created_at <= $7
    RETURNING field
    """.strip(),
    ("workspace_id", "key", "field", "request", "answer", "now", "since", "requests"),
    {},
)
_FORGET = Statement(
    """
    DELETE FROM idempotent_answer WHERE (workspace_id, key, field) IN (
        SELECT workspace_id, key, field FROM idempotent_answer WHERE created_at <= $1
        ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED
    ) RETURNING field
    """,
    ("before", "limit"),
    {},
)


async def claim(session: Session, claimed: Claim, since: datetime) -> Kept | None:
    """Return what is kept of a field, of what is not older than `since`; or None, and then nobody else does it while
    this transaction lasts. Does not wait. One statement, and the first of its transaction: it carries the guard.

    Raises KeyReused where the key stands for something else, KeyInProgress while another transaction has it, and
    Unconfirmed.
    """
    values = {
        "lock": claimed.lock,
        "workspace_id": claimed.workspace_id,
        "key": claimed.key,
        "since": since,
        "field": claimed.field,
    }
    found = await session.fetch_row(_CLAIM, values)
    if found is None:
        raise Unconfirmed  # a row always comes, unless the guard has failed
    if found["request"] is not None and found["request"] not in claimed.requests:
        raise KeyReused
    if found["field"] == claimed.field:
        return Kept(found["answer"])
    if not found["held"]:
        raise KeyInProgress
    return None


async def keep(session: Session, claimed: Claim, answer: bytes | None, now: datetime, since: datetime) -> None:
    """Keep the answer of a field that this transaction has claimed.

    A statement sees what was committed before it began, and the claim began before it had its lock; this one sees all.
    Raises KeyInProgress where another transaction was committed in between.
    """
    values: dict[str, Any] = {
        "workspace_id": claimed.workspace_id,
        "key": claimed.key,
        "field": claimed.field,
        "request": claimed.requests[0],
        "answer": answer,
        "now": now,
        "since": since,
        "requests": claimed.requests,
    }
    if not await session.execute(_KEEP, values):
        raise KeyInProgress


async def forget_answers(services: Services) -> None:
    """Remove the answers of all workspaces that were kept for as long as they are."""
    before = services.clock() - timedelta(hours=services.settings.idempotency_hours)
    removed: Sequence[Any] = [None] * BATCH
    while len(removed) == BATCH:
        async with services.database.transaction() as session:
            removed = await session.execute(_FORGET, {"before": before, "limit": BATCH})
