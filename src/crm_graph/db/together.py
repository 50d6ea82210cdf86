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
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, TypeVar

import asyncpg

from crm_graph.db.refused import is_about
from crm_graph.db.sets import NUMBER, over_many, shape_of
from crm_graph.db.statements import Statement
from crm_graph.kernel.errors import Refused

T = TypeVar("T")
RESUMED_AT_ONCE = 50
"""Operations that go on in one turn of the event loop: others are served between."""
NAMED = 10
"""Rows that are left out of a set to remove one by one: each costs that the whole set is tried again."""
PASSES = 12
"""How often those that could not be removed are tried again: a chain of a thousand is halved so often."""
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
    operation: Operation
    counts: bool = False


@dataclass(slots=True, eq=False)
class Operation:
    """One of the operations that run together, with what it runs itself: what became of it."""

    wrote: bool = False
    refused: bool = False
    clashed: bool = False
    """Whether a constraint did not hold."""
    misled: bool = False
    """Whether it went on from what a refused one had written."""
    after: Operation | None = None
    """The one that was before it, where there may be one only."""


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
        self._guarded = guarded
        """Whether writes are guarded by savepoints; not where one that fails is the end of all."""
        self._connection = _OneAtATime(session.connection)
        self._asked: list[_Ask] = []
        self._turns: dict[Hashable, _Turn] = {}
        self._spoilt: set[Hashable] = set()
        """The turns of those that were refused when they had written."""
        self._savepoint = False
        """Whether a savepoint stands in which nothing is written."""
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
        ask = _Ask(statement, values, statement.arguments(values), _future(), _OPERATION.get())
        rows: list[asyncpg.Record] = await self._put(ask)
        return rows

    async def count(self, statement: Statement, values: Mapping[str, Any]) -> int:
        """Return the next number of a counter; all who count at once are counted by one statement."""
        arguments = statement.arguments({**values, BY: 1})
        number: int = await self._put(_Ask(statement, values, arguments, _future(), _OPERATION.get(), counts=True))
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

    async def _put(self, ask: _Ask) -> Any:
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
        groups: dict[Any, list[_Ask]] = {}
        for each in asked:
            key = (each.statement.text, repr(each.arguments)) if each.counts else each.statement.text
            groups.setdefault(key, []).append(each)
        results: list[tuple[_Ask, Any]] = []
        writes = []
        for group in groups.values():
            if group[0].counts:
                results += zip(group, await self._count(group), strict=True)
            elif group[0].statement.reads:
                results += zip(group, await self._read(group), strict=True)
            else:
                writes.append(group)
        results += await self._write(writes)
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

    async def _read(self, group: Sequence[_Ask]) -> list[list[asyncpg.Record]]:
        """Return the rows that statements with one text answer, each with its own arguments."""
        statement = group[0].statement
        if all(each.arguments == group[0].arguments for each in group):
            return [await self._fetch(statement.text, *group[0].arguments)] * len(group)
        if shape_of(statement.text) is None:
            return [await self._fetch(statement.text, *each.arguments) for each in group]
        # Locks are taken in one order, whoever takes them: else two would wait for each other.
        order = sorted(range(len(group)), key=lambda place: repr(group[place].arguments))
        found: list[list[asyncpg.Record]] = [[] for _ in group]
        for row in await self._over_many([group[place] for place in order]):
            found[order[row[NUMBER] - 1]].append(row)
        return found

    async def _write(self, groups: Sequence[Sequence[_Ask]]) -> list[tuple[_Ask, Any]]:
        """Return what statements that write answer, those of one text in a set; or the database's refusal, which leaves
        the transaction as it was."""
        if not groups:
            return []
        if not self._guarded:
            return [answered for group in groups for answered in await self._set(group)]
        results = await self._tried(groups)
        if isinstance(results, asyncpg.PostgresError):
            failed = results if len(groups) == 1 else None
            results = [answered for group in groups for answered in await self._apart(group, failed)]
        if self._savepoint:
            self._savepoint = False
            await self._fetch("RELEASE SAVEPOINT together")
        for each, result in results:
            if isinstance(result, BaseException):
                each.operation.clashed = True
            else:
                each.operation.wrote = True
        return results

    async def _apart(
        self, group: Sequence[_Ask], failed: asyncpg.PostgresError | None = None
    ) -> list[tuple[_Ask, Any]]:
        """Write a set of which the database refuses some, and find them. `failed` is what it said of all.

        Rows that refer only to each other are removed together, so those that are refused are tried again while any of
        them goes: whether a row does must not depend on what else is in the set.
        """
        answers: dict[int, Any] = {}
        left = list(range(len(group)))
        for _ in range(PASSES if group[0].statement.removes else 1):
            refused = await self._sifted(group, left, failed, answers)
            if not 0 < len(refused) < len(left):
                break
            left, failed = sorted(refused), None
        return [(each, answers.get(place, refused.get(place))) for place, each in enumerate(group)]

    async def _sifted(
        self,
        group: Sequence[_Ask],
        left: Sequence[int],
        failed: asyncpg.PostgresError | None,
        answers: dict[int, Any],
    ) -> dict[int, asyncpg.PostgresError]:
        """Write what is left of a set, and put what it answers into `answers`; return the errors of those that are
        refused. They are found by halving; of rows to remove the first few by the key that the database names."""
        refused: dict[int, asyncpg.PostgresError] = {}
        parts = [left]
        while parts:
            part = parts.pop()
            error, failed = failed, None
            if error is None:
                outcome = await self._tried([[group[place] for place in part]])
                if not isinstance(outcome, asyncpg.PostgresError):
                    answers.update(zip(part, (result for _, result in outcome), strict=True))
                    continue
                error = outcome
            named = None
            if group[0].statement.removes and len(refused) < NAMED:
                named = next((place for place in part if is_about(error, group[place].values)), None)
            if len(part) == 1 or named is not None:
                refused[part[0] if named is None else named] = error
                rest = [place for place in part if place not in refused]
                parts += [rest] if rest else []
            else:
                parts += [part[len(part) // 2 :], part[: len(part) // 2]]
        return refused

    async def _tried(self, groups: Sequence[Sequence[_Ask]]) -> list[tuple[_Ask, Any]] | asyncpg.PostgresError:
        """Write sets within one savepoint. It stands when they are refused, for whatever is tried next."""
        if not self._savepoint:
            await self._fetch("SAVEPOINT together")
        self._savepoint = True
        try:
            results = [answered for group in groups for answered in await self._set(group)]
        except asyncpg.PostgresError as error:
            await self._fetch("ROLLBACK TO SAVEPOINT together")
            return error
        self._savepoint = False
        await self._fetch("RELEASE SAVEPOINT together")
        return results

    async def _set(self, group: Sequence[_Ask]) -> list[tuple[_Ask, Any]]:
        """Write a set: one statement, where its text can be one over many."""
        if len(group) > 1 and shape_of(group[0].statement.text) is not None:
            await self._over_many(group)
            return [(each, []) for each in group]
        return [(each, await self._fetch(each.statement.text, *each.arguments)) for each in group]

    async def _over_many(self, group: Sequence[_Ask]) -> list[asyncpg.Record]:
        statement = group[0].statement
        if statement.types is None:
            statement = replace(statement, types=await self._types(statement.text))
        text, arguments = over_many(statement, [each.arguments for each in group])
        return await self._fetch(text, *arguments)

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
