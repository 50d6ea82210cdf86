"""Operations side by side in one transaction: what they ask at the same step is one statement over all of them.

An operation is written for one record: it locks a row, looks for what it points to, writes. A thousand of them, one
after another, would send thousands of statements. Here they run together: each goes on until it asks the session for
something, and when all of them wait, the statements of the same text become one, over the rows of their arguments:

    SELECT asked.*, rows.together_n FROM unnest($2::uuid[]) WITH ORDINALITY AS rows(a1, together_n)
    CROSS JOIN LATERAL (SELECT ... WHERE workspace_id = $1 AND id = rows.a1 FOR UPDATE) AS asked

So nothing has to be written twice, for one and for many; and aiodataloader's idea for reads holds for whole operations.
What cannot be one statement (a counter's ON CONFLICT, say) is sent one by one. The writes of a step are guarded by one
savepoint: where the database refuses a set, it is halved until each operation knows what is its own fault.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

import asyncpg

from crm_graph.db.sending import BY, Ask, Connection, Operation, Sender
from crm_graph.db.statements import Statement
from crm_graph.kernel.errors import Refused

T = TypeVar("T")
RESUMED_AT_ONCE = 50
"""Operations that go on in one turn of the event loop: others are served between."""


class Session(Protocol):
    """What running together needs of a session (`session.py`)."""

    connection: Connection
    statements: int
    together: Together | None

    async def confirm(self) -> None:
        """Ask for the guard, if nothing has answered it yet."""
        ...

    async def write(self) -> None:
        """Send the writes that wait."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict(Generic[T]):
    """What an operation returned or raised, and whether it could have been otherwise without what the refused ones had
    written: that is taken back, and a refusal which is in doubt says nothing."""

    outcome: T | BaseException
    in_doubt: bool


@dataclass(slots=True)
class _Turn:
    """Which operation has it, and which wait for it, in their order. Whoever asks for two asks in one order."""

    holder: Operation
    waiting: deque[tuple[Operation, asyncio.Future[Any]]] = field(default_factory=deque)


_OPERATION: ContextVar[Operation] = ContextVar("operation")
"""Which of the operations that run together this is; those that it runs itself are of it."""


class Together:
    """Operations of one session that run together."""

    def __init__(self, session: Session, *, guarded: bool) -> None:
        self._session = session
        self._connection = _OneAtATime(session.connection)
        self._sender = Sender(session, self._connection, guarded=guarded)
        self._asked: list[Ask] = []
        self._turns: dict[Hashable, _Turn] = {}
        self._spoilt: set[Hashable] = set()
        """The turns of those that were refused when they had written."""
        self._going = 0
        self._all_wait = asyncio.Event()

    @classmethod
    async def run(
        cls, session: Session, operations: Sequence[Callable[[], Awaitable[T]]], *, guarded: bool = True
    ) -> list[T | BaseException]:
        """Run operations over a session, within its transaction; return what each returned or raised, in their order.
        An operation may itself run others together. Raises what the driver raises when the connection is lost."""
        if not operations:
            return []
        if session.together is not None:
            return await session.together._beside(operations)
        return [each.outcome for each in await cls.judge(session, operations, guarded=guarded)]

    @classmethod
    async def judge(
        cls, session: Session, operations: Sequence[Callable[[], Awaitable[T]]], *, guarded: bool = True
    ) -> list[Verdict[T]]:
        """Run operations as `run` does, none of which is part of others; return what became of each, and whether that
        is in doubt."""
        await session.confirm()
        await session.write()
        made = cls(session, guarded=guarded)
        connection, session.connection, session.together = session.connection, made._connection, made
        try:
            return await made._drive(operations)
        finally:
            session.connection, session.together = connection, None

    async def ask(self, statement: Statement, values: Mapping[str, Any]) -> list[asyncpg.Record]:
        """Return the rows of a statement, which is sent when all operations wait."""
        ask = Ask(statement, values, statement.arguments(values), _future(), _OPERATION.get())
        rows: list[asyncpg.Record] = await self._put(ask)
        return rows

    async def count(self, statement: Statement, values: Mapping[str, Any]) -> int:
        """Return the next number of a counter; all who count at once are counted by one statement."""
        arguments = statement.arguments({**values, BY: 1})
        number: int = await self._put(Ask(statement, values, arguments, _future(), _OPERATION.get(), counts=True))
        return number

    @property
    def operation(self) -> Operation:
        """The operation that is running."""
        return _OPERATION.get()

    async def turn(self, of: Hashable) -> None:
        """Wait until the operations that have asked for the same turn before have ended: for those that read what
        others of them write, as locks do it between transactions. To be asked before anything is read."""
        me = _OPERATION.get()
        turn = self._turns.setdefault(of, _Turn(me))
        if turn.holder is not me:
            waiting = _future()
            turn.waiting.append((me, waiting))
            self._rest()
            await waiting
        me.misled = me.misled or of in self._spoilt

    def _pass_turns(self, me: Operation) -> None:
        """Let those go on that wait for an operation which has ended."""
        for of, turn in [(of, turn) for of, turn in self._turns.items() if turn.holder is me]:
            if me.refused and me.wrote:
                self._spoilt.add(of)
            if not turn.waiting:
                del self._turns[of]
                continue
            turn.holder, waiting = turn.waiting.popleft()
            self._going += 1
            if not waiting.done():  # or it was cancelled
                waiting.set_result(None)

    def _untie(self) -> bool:
        """Refuse the last of the operations that wait for each other's turns, if any do; what it has is passed on."""
        waiting = [(turn, place) for turn in self._turns.values() for place, _ in enumerate(turn.waiting)]
        if not waiting:
            return False
        turn, place = waiting[-1]
        _, turned = turn.waiting[place]
        del turn.waiting[place]
        self._going += 1
        turned.set_exception(
            Refused("CONFLICT", "Another input of this batch is about the same records: send one later.")
        )
        return True

    async def _put(self, ask: Ask) -> Any:
        self._asked.append(ask)
        self._rest()
        return await ask.answer

    async def _drive(self, operations: Sequence[Callable[[], Awaitable[T]]]) -> list[Verdict[T]]:
        self._going = len(operations)
        records = [Operation() for _ in operations]
        tasks = [
            asyncio.ensure_future(self._one(each, record)) for each, record in zip(operations, records, strict=True)
        ]
        try:
            while True:
                await self._all_wait.wait()
                self._all_wait.clear()
                if self._asked:
                    await self._answer()
                elif not self._untie():
                    break
            outcomes = await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        taken_back = sum(each.refused and each.wrote for each in records)
        return [
            Verdict(outcome, _in_doubt(record, taken_back)) for outcome, record in zip(outcomes, records, strict=True)
        ]

    async def _beside(self, operations: Sequence[Callable[[], Awaitable[T]]]) -> list[T | BaseException]:
        """Run operations of an operation, which waits for them: the last of them to end goes on in its place."""
        left = len(operations)
        self._going += left - 1

        async def one(operation: Callable[[], Awaitable[T]]) -> T | BaseException:
            nonlocal left
            try:
                return await operation()
            except Exception as error:
                return error
            finally:
                left -= 1
                if left:
                    self._rest()

        return list(await asyncio.gather(*(one(each) for each in operations)))

    async def _one(self, operation: Callable[[], Awaitable[T]], me: Operation) -> T | BaseException:
        _OPERATION.set(me)
        try:
            return await operation()
        except Exception as error:
            me.refused = True
            return error
        finally:
            self._pass_turns(me)
            self._rest()

    def _rest(self) -> None:
        self._going -= 1
        if self._going == 0:
            self._all_wait.set()

    async def _answer(self) -> None:
        """Send what is asked, the same texts as one, and let the operations go on."""
        asked, self._asked = self._asked, []
        results = await self._sender.send(asked)
        self._going = len(results)
        for place, (each, result) in enumerate(results):
            if each.answer.done():  # it was cancelled
                self._rest()
            elif isinstance(result, BaseException):
                each.answer.set_exception(result)
            else:
                each.answer.set_result(result)
            if place % RESUMED_AT_ONCE == RESUMED_AT_ONCE - 1:
                await asyncio.sleep(0)


async def all_together(session: Session, operations: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Run operations together and return what they returned. Raises what the first of them raised."""
    if len(operations) == 1:
        return [await operations[0]()]
    found = []
    for each in await Together.run(session, operations, guarded=False):
        if isinstance(each, BaseException):
            raise each
        found.append(each)
    return found


def _in_doubt(operation: Operation, taken_back: int) -> bool:
    """Return whether an operation was refused for what may not stay: `taken_back` operations were refused when they
    had written."""
    if not operation.refused:
        return False
    others = taken_back - operation.wrote
    return operation.misled or (operation.clashed and others > 0) or _ended(operation.after)


def _ended(before: Operation | None) -> bool:
    return before is not None and before.refused


def _future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


class _OneAtATime:
    """A connection that many operations hold: one statement at a time, where one of them goes past the session."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = asyncio.Lock()

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """Run one statement and return its rows."""
        async with self._lock:
            return await self._connection.fetch(query, *args)
