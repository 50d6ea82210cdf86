"""Lending: the connections of a pool, who holds how many of them, and what becomes of one that does not answer.

Nobody waits for a cleanup. A connection on which something was cancelled or failed is handed over to a task that has a
second for it; then it is cut, and its place is free. So a statement, a commit, a rollback, a release that the server
never answers costs whoever asked for it their own time limit and no more, and nothing has to be restarted afterwards.

Decided in D-db-07 (ARCHITECTURE.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Protocol

import asyncpg

from crm_graph.db.connecting import CLEANUP_S, LET_IN, LOST
from crm_graph.db.outages import ENDED, OUTAGES, is_away
from crm_graph.db.session import Session
from crm_graph.db.turns import Turns
from crm_graph.kernel.errors import InDoubt, Unreachable
from crm_graph.kernel.shares import Shares

CLOSE_TIMEOUT_S = 5
SILENT_WAIT_S = 1.0
AGAIN_S = 0.1
"""So often a new connection is tried while the server has none free."""


class Payer(Protocol):
    """Who answers for what is lent: `key` names who has a share of the connections."""

    @property
    def key(self) -> Hashable:
        """Name whose share it is."""
        ...

    def charge(self, seconds: float, /) -> None:
        """Take connection seconds from whoever pays."""
        ...


@dataclass(slots=True)
class Abandoned:
    """What was given up on because the server did not answer it in time, by what it was."""

    statements: int = 0
    cleanups: int = 0
    commits: int = 0


def _is_closed(connection: Any) -> bool:
    """Return whether a connection of asyncpg's pool was closed, also by the server while it lay at hand: asyncpg has
    then taken it back already, and what is left in our hands answers nothing any more."""
    try:
        return bool(connection.is_closed())
    except asyncpg.InterfaceError:
        return True


class Pool:
    """asyncpg's pool, whose connections stay at hand once they were lent: then borrowing is a pop from a list.

    asyncpg's own acquire and release take 18 us, a fifth of a point query, for a shielded task and a reset. What went
    wrong on a connection (an error, a cancelled statement) is left to asyncpg: such a one goes back to its pool.
    """

    def __init__(self, pool: asyncpg.Pool[Any], shares: Shares, timeout_s: float) -> None:
        self._pool = pool
        self._idle: list[Any] = []
        self._mending: set[asyncio.Task[None]] = set()
        self._crowded = Turns(self._lay)
        """Who may have a connection that the server has not free: they wait for one that lies or comes back here."""
        self.shares = shares
        self.timeout_s = timeout_s
        """How long somebody waits for a connection, and for a statement that is in no operation with a limit of its
        own."""
        self.abandoned = Abandoned()
        self.combined = False
        """Whether the server writes several tables in one statement, which a sharded one does not."""

    @property
    def size(self) -> int:
        """How many connections there may be."""
        return self.shares.size

    @property
    def lent(self) -> int:
        """How many connections are lent, those that are being mended among them."""
        return self.shares.taken

    @property
    def idle(self) -> int:
        """How many connections lie at hand."""
        return len(self._idle)

    @property
    def opened(self) -> int:
        """How many connections are open, lent or not."""
        return self._pool.get_size()

    async def take(self, holder: Hashable = None) -> Any:
        """Return a connection, waiting for one while all, or all of the holder's share, are lent. It must be given
        back, or dropped. Raises TimeoutError, and RateLimited where too many of the holder's wait; what asyncpg raises
        where the server has none free and this process has none either, else it waits for its own."""
        if not self.shares.enter(holder):
            async with asyncio.timeout(self._patience_s):
                await self.shares.wait(holder)
        connection = self._at_hand()
        if connection is not None:
            return connection
        try:
            async with asyncio.timeout(self._patience_s):
                return await self._acquire()
        except BaseException:
            self.shares.leave(holder)
            raise

    @property
    def _patience_s(self) -> float:
        """How long somebody waits for a connection: not for long where nobody is answered."""
        return min(self.timeout_s, SILENT_WAIT_S) if OUTAGES.is_silent else self.timeout_s

    def _at_hand(self) -> Any:
        """Return a connection that lies at hand, or None."""
        while self._idle:
            connection = self._idle.pop()
            if not _is_closed(connection):
                return connection
            with suppress(asyncpg.InterfaceError):  # asyncpg has noticed it before us
                connection.terminate()
        return None

    async def _acquire(self) -> Any:
        while True:
            try:
                return await self._pool.acquire()
            except asyncpg.TooManyConnectionsError as error:
                OUTAGES.tell(error)
                if not self._pool.get_size():
                    raise
            except asyncpg.PostgresError as error:
                if is_away(error):
                    raise
                # Nothing was asked yet, so this is about the connection: a password that was changed, say.
                raise Unreachable(f"the database takes no connection: {error}", LET_IN) from error
            with suppress(TimeoutError):
                async with asyncio.timeout(AGAIN_S):
                    return await self._crowded.wait()
            connection = self._at_hand()
            if connection is not None:
                return connection

    def _lay(self, connection: Any) -> None:
        """Have a connection at hand, or hand it to who waits for it."""
        if not self._crowded.hand(connection):
            self._idle.append(connection)

    def give(self, connection: Any, holder: Hashable = None) -> None:
        """Take a connection back on which nothing runs and nothing failed."""
        self._lay(connection)
        self.shares.leave(holder)

    def drop(self, connection: Any, holder: Hashable = None, *, in_transaction: bool = False) -> None:
        """Take a connection back in whatever state it is, at once: it is mended, or cut, by a task of its own."""
        mending = asyncio.get_running_loop().create_task(self._mend(connection, holder, in_transaction))
        self._mending.add(mending)
        mending.add_done_callback(self._mending.discard)

    async def _mend(self, connection: Any, holder: Hashable, in_transaction: bool) -> None:
        """Wait for a cancelled statement, which asyncpg does first, and roll an open transaction back; what is not
        answered in time is cut."""
        try:
            if in_transaction and not _is_closed(connection):
                await connection.execute("ROLLBACK", timeout=CLEANUP_S)
            await self._pool.release(connection, timeout=CLEANUP_S)
        except (*LOST, asyncpg.PostgresError) as error:
            self.abandoned.cleanups += 1
            if isinstance(error, TimeoutError):  # not even a cancel request was answered
                OUTAGES.tell(error)
            with suppress(asyncpg.InterfaceError):
                connection.terminate()
        finally:
            self.shares.leave(holder)

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """Run one statement on a connection of its own and return its rows. Raises TimeoutError."""
        return await Reader(self, self.timeout_s).fetch(query, *args)

    async def close(self) -> None:
        """Close all connections, waiting a while for those that are lent: a process that stops does not hang."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                while self._idle:
                    await self._pool.release(self._idle.pop(), timeout=CLEANUP_S)
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()


@dataclass(frozen=True, slots=True)
class Reader:
    """Runs each statement on a connection that it borrows for it, at somebody's expense and within a time limit."""

    pool: Pool
    timeout_s: float
    payer: Payer | None = None

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """Run one statement and return its rows. Raises TimeoutError."""
        lease = Lease(self.pool, self.payer)
        try:
            async with asyncio.timeout(self.timeout_s):
                return await lease.fetch(query, *args)
        except TimeoutError:
            self.pool.abandoned.statements += 1
            raise
        finally:
            lease.release()


@dataclass(frozen=True, slots=True)
class Limited:
    """A connection each of whose statements has a time limit: for transactions that no operation's limit is around."""

    connection: Any
    timeout_s: float

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """Run one statement and return its rows. Raises TimeoutError."""
        rows: list[asyncpg.Record] = await self.connection.fetch(query, *args, timeout=self.timeout_s)
        return rows


class Lease:
    """The connections that one operation borrows: one, and more for sibling edges only while others lie idle.

    Waiting for a second one while holding the first could leave all operations waiting for each other, so a sibling
    waits for its own instead.
    """

    __slots__ = (
        "_free",
        "_held",
        "_holder",
        "_lent",
        "_payer",
        "_pool",
        "_released",
        "_since",
        "_turns",
        "committed",
        "crowded",
        "in_doubt",
    )

    def __init__(self, pool: Pool, payer: Payer | None = None) -> None:
        self._pool = pool
        self._payer = payer
        self._holder = None if payer is None else payer.key
        self._free: list[Any] = []
        self._held = 0
        """Connections that it has, or waits for."""
        self._lent = 0
        self._since = 0.0
        self._released = False
        self._turns: Turns | None = None
        """Siblings that wait for a connection of this operation; None while none ever did."""
        self.crowded = False
        """Whether it went without a connection because its payer's other operations had all that they may have."""
        self.in_doubt = False
        """Whether a commit was sent that was not answered."""
        self.committed = False
        """Whether anything was committed: a mutation may be several transactions."""

    async def fetch(self, query: str, *args: Any) -> list[asyncpg.Record]:
        """Run one statement and return its rows."""
        connection = self._free.pop() if self._free else await self._take()
        try:
            rows: list[asyncpg.Record] = await connection.fetch(query, *args)
        except BaseException:
            self._drop(connection)
            raise
        self._give(connection)
        return rows

    @asynccontextmanager
    async def transaction(self, timeout_s: float | None = None) -> AsyncIterator[Session]:
        """Lend a writing session in a transaction that commits on exit and rolls back on an exception; each statement
        may take `timeout_s` where no limit is around all of them. Raises InDoubt."""
        connection = self._free.pop() if self._free else await self._take()
        clean = False
        try:
            await connection.execute("BEGIN", timeout=timeout_s)
            try:
                lent = connection if timeout_s is None else Limited(connection, timeout_s)
                session = Session(lent, combined=self._pool.combined)
                yield session
                await session.finish()
            except asyncpg.ReadOnlySQLTransactionError:  # a primary no more: the next connection finds the one that is
                connection.terminate()
                raise
            except Exception:
                with suppress(*LOST, asyncpg.PostgresError):  # then it is dropped, which says what went wrong to nobody
                    await connection.execute("ROLLBACK", timeout=CLEANUP_S)
                    clean = True
                raise
            await self._commit(connection, timeout_s)
            clean = True
        finally:
            if clean:
                self._give(connection)
            else:
                self._drop(connection, in_transaction=True)

    async def _commit(self, connection: Any, timeout_s: float | None) -> None:
        """Commit. Raises InDoubt where the server did not say whether it did; who is cancelled here finds it written in
        the lease."""
        self.in_doubt = True
        try:
            await connection.execute("COMMIT", timeout=timeout_s)
        except (*LOST, *ENDED) as error:
            self._pool.abandoned.commits += 1
            raise InDoubt from error
        except asyncpg.PostgresError:
            self.in_doubt = False
            raise
        self.in_doubt, self.committed = False, True

    def release(self) -> None:
        """Give everything back. What still runs gives its connection back itself: a page's count whose rows failed."""
        self._released = True
        self.rest()

    def rest(self) -> None:
        """Give back what lies at hand while the operation waits for something that is no database; it borrows anew
        afterwards."""
        while self._free:
            self._give_back(self._free.pop())

    async def _take(self) -> Any:
        while True:
            if self._held == 0 or (self._pool.idle and self._pool.shares.may_have(self._holder)):
                self._held += 1
                try:
                    connection = await self._pool.take(self._holder)
                except BaseException:
                    shares = self._pool.shares
                    self.crowded = shares.share < shares.size and not shares.may_have(self._holder)
                    self._make_room()
                    raise
                if self._lent:
                    self._count(1)
                else:
                    self._lent, self._since = 1, monotonic()
                return connection
            if self._turns is None:
                self._turns = Turns(self._give)
            connection = await self._turns.wait()
            if connection is not None:
                return connection

    def _give(self, connection: Any) -> None:
        if (self._turns is not None and self._turns.hand(connection)) or connection is None:
            return
        if self._released:
            self._give_back(connection)
        else:
            self._free.append(connection)

    def _give_back(self, connection: Any) -> None:
        self._count(-1)
        self._held -= 1
        self._pool.give(connection, self._holder)

    def _drop(self, connection: Any, *, in_transaction: bool = False) -> None:
        self._count(-1)
        self._pool.drop(connection, self._holder, in_transaction=in_transaction)
        self._make_room()

    def _make_room(self) -> None:
        self._held -= 1
        if self._turns is not None:
            self._turns.hand(None)

    def _count(self, change: int) -> None:
        """Count connections, and charge what those counted so far were held for."""
        lent, now = self._lent, monotonic()
        self._lent = lent + change
        if lent and self._payer is not None:
            self._payer.charge(lent * (now - self._since))
        self._since = now
