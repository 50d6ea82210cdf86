"""Does a field of Mutation once under its key: answered from what is kept, or done and kept in one transaction.

What is kept is decided with the change and committed with it; the selection below the payload is read afterwards, at
each answer anew, so a replay shows records as they are by then, as far as its reader may see them by then.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Generic, TypeVar, cast

from crm_graph.graph.context import GraphContext, Info
from crm_graph.graph.idempotency.asked import claim_of
from crm_graph.graph.idempotency.values import form_of, pack, unpack
from crm_graph.idempotency.answers import ROW_BYTES, Kept, claim, keep
from crm_graph.idempotency.keys import Claim
from crm_graph.kernel.errors import LimitExceeded, RateLimited, Refused
from crm_graph.work import Work

P = TypeVar("P")
Operation = Callable[[Work], Awaitable[P]]
Refusal = Callable[[Refused], P]
Again = Callable[[Refused], bool]
"""Says of a refusal whether the same may be done now: another transaction has changed what it was about."""
MAX_TRIES = 3
TOO_LARGE = (
    "This mutation was carried out when this idempotency key came first. Its answer was too large to be kept: read the"
    " records with a query."
)


class TakenBack(Exception):
    """Raised by an operation of which nothing is to stay, with what it answers all the same: a dry run, a batch."""

    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer


def never(_: Refused) -> bool:
    """Say that nothing is done again."""
    return False


async def answer_once(
    info: Info, payload: type[P], operation: Operation[P], refused: Refusal[P], again: Again = never
) -> P:
    """Return the payload of an operation that runs in a unit of work of its own, or, under a key that was used, the
    payload of then. `refused` makes the payload of a refusal, which rolls the operation back, and is kept too; so is
    the answer of what was taken back. A refusal that is to be tried `again` leads to another unit of work first, up to
    `MAX_TRIES` in all.

    Raises what the operation raises, whereof nothing is kept, and KeyReused, KeyInProgress, BadUserInput.
    """
    claimed = claim_of(info)
    if claimed is not None:
        return await _Once(info.context, claimed, payload).answer(operation, refused, again)
    for left in reversed(range(MAX_TRIES)):
        try:
            async with info.context.begin() as work:
                return await operation(work)
        except TakenBack as back:
            return cast(P, back.answer)
        except Refused as refusal:
            if not left or not again(refusal):
                return refused(refusal)
    raise AssertionError("the last try returns")


class _Once(Generic[P]):
    """One field under its key."""

    def __init__(self, context: GraphContext, claimed: Claim, payload: type[P]) -> None:
        settings = context.services.settings
        self._context = context
        self._claim = claimed
        self._payload = payload
        self._max_bytes = settings.idempotency_max_bytes
        self._since = context.services.clock() - timedelta(hours=settings.idempotency_hours)
        form_of(payload)  # one that cannot be kept fails before anything is done

    async def answer(self, operation: Operation[P], refused: Refusal[P], again: Again = never) -> P:
        for left in reversed(range(MAX_TRIES)):
            try:
                return await self._try(operation)
            except TakenBack as back:
                return await self._undone(cast(P, back.answer))
            except Refused as refusal:
                if not left or not again(refusal):
                    return await self._undone(refused(refusal))
        raise AssertionError("the last try returns")

    async def _try(self, operation: Operation[P]) -> P:
        async with self._context.begin() as work:
            kept = await claim(work.session, self._claim, self._since)
            if kept is not None:
                return self._replayed(kept)
            answer = await operation(work)
            packed = pack(answer)
            # What may be done is done, and counted by itself: that there is no room to say so must not stop it.
            await self._keep(work, packed if len(packed) <= self._max_bytes else None, always=True)
            return answer

    async def _undone(self, answer: P) -> P:
        """Keep a refusal, or what its client was told is not done could be done by a copy that is late. The operation
        was rolled back, and its claim with it, so this is a claim of its own: what was kept in between is answered.

        Nothing was done, so one that there is no room for is not kept."""
        packed = pack(answer)
        async with self._context.begin() as work:
            kept = await claim(work.session, self._claim, self._since)
            if kept is not None:
                return self._replayed(kept)
            if len(packed) <= self._max_bytes:
                with suppress(Refused, RateLimited):
                    await self._keep(work, packed, always=False)
            return answer

    async def _keep(self, work: Work, packed: bytes | None, *, always: bool) -> None:
        """Write what is kept, None where that is too large. Raises Refused and RateLimited where there is no room for
        it, unless `always`."""
        if work.quotas is not None:
            viewer, size = work.viewer, ROW_BYTES + len(packed or b"")
            work.quotas.admit(viewer.workspace_id, size, member_id=viewer.member_id, always=always)
        await keep(work.session, self._claim, packed, work.now, self._since)

    def _replayed(self, kept: Kept) -> P:
        if kept.answer is None:
            raise LimitExceeded(TOO_LARGE)
        return unpack(self._payload, kept.answer)
