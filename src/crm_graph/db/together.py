"""Operations side by side in one transaction: what they ask at the same step is one statement over all of them.

An operation is written for one record: it locks a row, looks for what it points to, writes. A thousand of them, one
after another, would send thousands of statements. Here they run together: each goes on until it asks the session for
something, and when all of them wait, the statements of the same text become one, over the rows of their arguments:

    SELECT asked.*, rows.together_n FROM unnest($2::uuid[]) WITH ORDINALITY AS rows(a1, together_n)
    CROSS JOIN LATERAL (SELECT ... WHERE workspace_id = $1 AND id = rows.a1 FOR UPDATE) AS asked

So nothing has to be written twice, for one and for many; and aiodataloader's idea for reads holds for whole operations.
What cannot be one statement (a counter's ON CONFLICT, say) is sent one by one. Writes are guarded by a savepoint: where
the database refuses the set, its rows are written singly, so that each operation learns what is its own fault.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import asyncpg

from crm_graph.db.sets import NUMBER, SELECT, over_many, shape_of
from crm_graph.db.statements import Statement
from crm_graph.kernel.errors import Refused

T = TypeVar("T")
RESUMED_AT_ONCE = 50
"""Operations that go on in one turn of the event loop: others are served between."""
BY = "by"
"""The bind of a counting statement that says by how much."""


class Connection(Protocol):
    """What a session needs of asyncpg: a connection, or whatever lends one per statement."""

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """Run one statement and return its rows."""
        ...


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


@dataclass(slots=True)
class _Ask:
    statement: Statement
    values: Mapping[str, Any]
    arguments: list[Any]
    answer: asyncio.Future[Any]
    counts: bool = False


@dataclass(slots=True)
class _Turn:
    """Which operation has it, and which wait for it, in their order. Whoever asks for two asks in one order."""

    holder: object
    waiting: deque[tuple[object, asyncio.Future[Any]]] = field(default_factory=deque)


_OPERATION: ContextVar[object] = ContextVar("operation")
"""Which of the operations that run together this is; those that it runs itself are of it."""


class Together:
    """Operations of one session that run together."""

    def __init__(self, session: Session, *, guarded: bool) -> None:
        self._session = session
        self._guarded = guarded
        """Whether writes are guarded by savepoints; not where one that fails is the end of all."""
        self._connection = _OneAtATime(session.connection)
        self._asked: list[_Ask] = []
        self._turns: dict[Hashable, _Turn] = {}
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
        rows: list[asyncpg.Record] = await self._put(_Ask(statement, values, statement.arguments(values), _future()))
        return rows

    async def count(self, statement: Statement, values: Mapping[str, Any]) -> int:
        """Return the next number of a counter; all who count at once are counted by one statement."""
        number: int = await self._put(_Ask(statement, values, statement.arguments({**values, BY: 1}), _future(), True))
        return number

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

    def _pass_turns(self, me: object) -> None:
        """Let those go on that wait for an operation which has ended."""
        for of, turn in [(of, turn) for of, turn in self._turns.items() if turn.holder is me]:
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

    async def _put(self, ask: _Ask) -> Any:
        self._asked.append(ask)
        self._rest()
        return await ask.answer

    async def _drive(self, operations: Sequence[Callable[[], Awaitable[T]]]) -> list[T | BaseException]:
        self._going = len(operations)
        tasks = [asyncio.ensure_future(self._one(each)) for each in operations]
        try:
            while True:
                await self._all_wait.wait()
                self._all_wait.clear()
                if self._asked:
                    await self._answer()
                elif not self._untie():
                    break
            return list(await asyncio.gather(*tasks))
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

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

    async def _one(self, operation: Callable[[], Awaitable[T]]) -> T | BaseException:
        _OPERATION.set(me := object())
        try:
            return await operation()
        except Exception as error:
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
        groups: dict[Any, list[_Ask]] = {}
        for each in asked:
            key = (each.statement.text, repr(each.arguments)) if each.counts else each.statement.text
            groups.setdefault(key, []).append(each)
        results: list[tuple[_Ask, Any]] = []
        for group in groups.values():
            results += zip(group, await (self._count if group[0].counts else self._send)(group), strict=True)
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

    async def _send(self, group: Sequence[_Ask]) -> list[list[asyncpg.Record] | BaseException]:
        """Return the rows that a group of statements with one text answers, each with its own arguments."""
        statement = group[0].statement
        if statement.reads and all(each.arguments == group[0].arguments for each in group):
            return [await self._singly(group[0])] * len(group)
        shape = shape_of(statement.text) if len(group) > 1 else None
        if shape is None:
            return [await self._singly(each) for each in group]
        order = list(range(len(group)))
        if shape is SELECT:  # locks are taken in one order, whoever takes them: else two would wait for each other
            order = sorted(order, key=lambda place: repr(group[place].arguments))
        if statement.types is None:
            statement = replace(statement, types=await self._types(statement.text))
        text, arguments = over_many(statement, [group[place].arguments for place in order])
        if shape is SELECT:
            rows = await self._fetch(text, *arguments)
            found: list[list[asyncpg.Record] | BaseException] = [[] for _ in group]
            for row in rows:
                found[order[row[NUMBER] - 1]].append(row)
            return found
        if not self._guarded:
            await self._fetch(text, *arguments)
            return [[] for _ in group]
        await self._fetch("SAVEPOINT together")
        try:
            await self._fetch(text, *arguments)
        except asyncpg.PostgresError:
            await self._fetch("ROLLBACK TO SAVEPOINT together")
            return [await self._singly(each) for each in group]
        await self._fetch("RELEASE SAVEPOINT together")
        return [[] for _ in group]

    async def _singly(self, each: _Ask) -> list[asyncpg.Record] | BaseException:
        """Return the rows of one statement, or the database's refusal, which leaves the transaction as it was."""
        if each.statement.reads or not self._guarded:
            return await self._fetch(each.statement.text, *each.arguments)
        await self._fetch("SAVEPOINT together")
        try:
            rows = await self._fetch(each.statement.text, *each.arguments)
        except asyncpg.PostgresError as error:
            await self._fetch("ROLLBACK TO SAVEPOINT together")
            return error
        await self._fetch("RELEASE SAVEPOINT together")
        return rows

    async def _count(self, group: Sequence[_Ask]) -> list[int]:
        """Count as many further as ask, and return the number of each."""
        first = group[0]
        rows = await self._fetch(first.statement.text, *first.statement.arguments({**first.values, BY: len(group)}))
        last: int = rows[0][0]
        return list(range(last - len(group) + 1, last + 1))

    async def _fetch(self, text: str, *arguments: Any) -> list[asyncpg.Record]:
        self._session.statements += 1
        return await self._connection.fetch(text, *arguments)

    async def _types(self, text: str) -> tuple[str, ...]:
        """Return the types of a statement's arguments, as Postgres takes them."""
        found = _TYPES.get(text)
        if found is None:
            await self._fetch(f"PREPARE together AS {text}")
            rows = await self._fetch(_PARAMETER_TYPES)
            await self._fetch("DEALLOCATE together")
            found = tuple(rows[0][0])
            if len(_TYPES) >= MAX_TYPES:
                del _TYPES[next(iter(_TYPES))]
            _TYPES[text] = found
        return found


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


def _future() -> asyncio.Future[Any]:
    return asyncio.get_running_loop().create_future()


_PARAMETER_TYPES = "SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = 'together'"
_TYPES: dict[str, tuple[str, ...]] = {}
MAX_TYPES = 2_000


class _OneAtATime:
    """A connection that many operations hold: one statement at a time, where one of them goes past the session."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = asyncio.Lock()

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """Run one statement and return its rows."""
        async with self._lock:
            return await self._connection.fetch(query, *args)
