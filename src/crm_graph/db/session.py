"""Sessions: what reads and what writes are different types, so that the type checker keeps readers from writing.

Both run compiled statements on asyncpg. Neither commits: the unit of work of the edge does (`work.py`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import asyncpg

from crm_graph.db.sending import BY, Connection
from crm_graph.db.statements import Statement, compile_statement
from crm_graph.db.together import Together
from crm_graph.db.waiting import Refusal, Write, batches
from crm_graph.kernel.errors import CrmError

if TYPE_CHECKING:
    from sqlalchemy import ClauseElement

Record = asyncpg.Record
"""A fetched row: a tuple that can also be read by column name."""


@dataclass(frozen=True, slots=True)
class Guard:
    """A condition that rides on the first statement of a session, which answers no rows where it fails.

    It saves the statement that would ask for it: a point query sends one statement instead of two (-45 us of CPU here
    and 30 us in Postgres, of 200). `condition` is SQL with `{0}`, `{1}`, ... for `arguments`.
    """

    condition: str
    arguments: tuple[Any, ...]

    @property
    def statement(self) -> str:
        """The condition alone: a row where it holds."""
        placeholders = (f"${index}" for index, _ in enumerate(self.arguments, 1))
        return f"SELECT 1 WHERE {self.condition.format(*placeholders)}"


class Unconfirmed(CrmError):
    """Raised in a transaction whose guard fails: it would act for somebody who is no more."""


@dataclass(slots=True)
class Trust:
    """A guard that the sessions of one operation share: the first of them to read carries it."""

    guard: Guard
    pending: bool = True
    confirmed: bool = False
    """Whether the guard is known to hold: rows came back from the statement that carried it."""


class ReadSession:
    """Runs reading statements. `statements` counts what was sent, for the exact assertions of the tests."""

    def __init__(self, connection: Connection, trust: Trust | None = None) -> None:
        self.connection = connection
        self.statements = 0
        self.trust = trust

    async def fetch(self, statement: Statement, values: Mapping[str, Any]) -> list[Record]:
        """Run a compiled statement and return all of its rows."""
        self.statements += 1
        trust = self.trust
        if trust is None or not trust.pending or not statement.reads:
            return await self.connection.fetch(statement.text, *statement.arguments(values))
        trust.pending = False
        guard = trust.guard
        text = statement.guarded(guard.condition, len(guard.arguments))
        rows = await self.connection.fetch(text, *statement.arguments(values), *guard.arguments)
        trust.confirmed = bool(rows)
        return rows

    async def fetch_row(self, statement: Statement, values: Mapping[str, Any]) -> Record | None:
        """Run a compiled statement and return its first row, or None."""
        rows = await self.fetch(statement, values)
        return rows[0] if rows else None

    async def confirms(self, guard: Guard) -> bool:
        """Return whether a guard holds now, by a statement of its own."""
        self.statements += 1
        return bool(await self.connection.fetch(guard.statement, *guard.arguments))

    async def query(self, expression: ClauseElement, **values: Any) -> list[Record]:
        """Compile and run an expression: 0.5 ms more than `fetch`, for what is not hot."""
        return await self.fetch(compile_statement(expression), values)


class Savepoint:
    """What a session has written since some moment."""

    def __init__(self, session: Session, name: str) -> None:
        self._session = session
        self.name = name
        self.undone = False

    async def undo(self) -> None:
        """Take it back."""
        if not self.undone:
            self.undone = True
            self._session._waiting.clear()
            await self._session._say(f"ROLLBACK TO SAVEPOINT {self.name}")


class Session(ReadSession):
    """Runs reading and writing statements inside the transaction of one unit of work.

    Whoever opens it calls `finish` before the transaction commits; `finishing` is what is to be done then. `combined`
    says whether the database writes several tables in one statement.
    """

    def __init__(self, connection: Connection, trust: Trust | None = None, *, combined: bool = False) -> None:
        super().__init__(connection, trust)
        self.combined = combined
        self.finishing: list[Callable[[], Awaitable[None]]] = []
        self._waiting: list[Write] = []
        self._savepoints = 0
        self.together: Together | None = None
        """The operations that run together in it; None where it runs one."""

    async def fetch(self, statement: Statement, values: Mapping[str, Any]) -> list[Record]:
        """Run a compiled statement and return its rows; of operations that run together, when all of them wait."""
        if self.together is not None:
            return await self.together.ask(statement, values)
        if self._waiting:
            await self.write()
        return await super().fetch(statement, values)

    async def later(
        self, statement: Statement, values: Mapping[str, Any], row: Hashable, refusal: Refusal | None = None
    ) -> None:
        """Run a writing statement before this session reads or commits, together with the others that wait
        (`db/waiting.py`). It answers no rows, and names the row that it writes. Raises what `refusal` makes of a
        constraint that does not hold: now, or when it is written. Of operations that run together each is to learn what
        is its own fault: what may be refused waits for their next step only."""
        if self.together is None or refusal is None:
            self._waiting.append(Write(statement, values, row, refusal))
            return
        try:
            await self.together.ask(statement, values)
        except asyncpg.IntegrityConstraintViolationError as error:
            _refuse(refusal(error), error)

    async def write(self) -> None:
        """Send the writes that wait."""
        writes, self._waiting = self._waiting, []
        for batch in batches(writes, combined=self.combined):
            text, arguments = batch.sent()
            self.statements += 1
            try:
                await self.connection.fetch(text, *arguments)
            except asyncpg.IntegrityConstraintViolationError as error:
                _refuse(batch.refused(error), error)

    async def finish(self) -> None:
        """Do what units of work have left for the end of the transaction."""
        for finish in self.finishing:
            await finish()
        if self._waiting:
            await self.write()

    @asynccontextmanager
    async def savepoint(self) -> AsyncIterator[Savepoint]:
        """Make a savepoint: what is written within is taken back by an exception, or when it is undone."""
        savepoint = Savepoint(self, f"attempt_{self._savepoints}")  # one that is undone stands: names must differ
        await self._say(f"SAVEPOINT {savepoint.name}")
        self._savepoints += 1
        try:
            yield savepoint
        except BaseException:
            await savepoint.undo()
            raise
        finally:
            self._savepoints -= 1
        if not savepoint.undone:
            await self._say(f"RELEASE SAVEPOINT {savepoint.name}")

    async def _say(self, text: str) -> None:
        if self._waiting:
            await self.write()
        self.statements += 1
        await self.connection.fetch(text)

    async def execute(self, statement: Statement, values: Mapping[str, Any]) -> list[Record]:
        """Run a compiled writing statement; the rows are those of its RETURNING clause."""
        return await self.fetch(statement, values)

    async def count(self, statement: Statement, values: Mapping[str, Any]) -> int:
        """Return the next number of a counter, by a statement that counts `by` further and returns the last number. Its
        row stays locked until the transaction ends, so that numbers have no gaps: called as late as can be."""
        if self.together is not None:
            return await self.together.count(statement, values)
        number: int = (await self.execute(statement, {**values, BY: 1}))[0][0]
        return number

    async def run(self, expression: ClauseElement, values: Sequence[Mapping[str, Any]] = ({},)) -> None:
        """Compile a writing expression once and run it for each set of values."""
        statement = compile_statement(expression)
        for each in values:
            await self.fetch(statement, each)

    async def confirm(self) -> None:
        """Ask for the guard alone, where no statement that carried it answered rows: before anything is committed, and
        before this very transaction changes what the guard asks for. Raises Unconfirmed."""
        trust = self.trust
        if trust is None or trust.confirmed:
            return
        trust.pending = False
        if not await self.confirms(trust.guard):
            raise Unconfirmed
        trust.confirmed = True


def _refuse(refusal: Exception, error: Exception) -> NoReturn:
    """Raise what an error of the database means; where nobody says, the error itself, which is not its own cause."""
    if refusal is error:
        raise error
    raise refusal from error
