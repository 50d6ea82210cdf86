"""What operations that run together ask at one step, sent as few statements (`together.py`)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import asyncpg

from crm_graph.db.refused import is_about
from crm_graph.db.sets import NUMBER, over_many, shape_of
from crm_graph.db.statements import Statement

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


class Counted(Protocol):
    """What says how many statements were sent: a session."""

    statements: int


@dataclass(slots=True)
class Ask:
    """A statement that an operation waits for."""

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


class Sender:
    """Sends what is asked, the same texts as one, over one connection within its transaction."""

    def __init__(self, session: Counted, connection: Connection, *, guarded: bool) -> None:
        self._session = session
        self._connection = connection
        self._guarded = guarded
        """Whether writes are guarded by savepoints; not where one that fails is the end of all."""
        self._savepoint = False
        """Whether a savepoint stands in which nothing is written."""

    async def send(self, asked: Sequence[Ask]) -> list[tuple[Ask, Any]]:
        """Return what each that is asked answers: rows, the number of one that counts, or the database's refusal, which
        leaves the transaction as it was. Raises what the driver raises where nothing is guarded."""
        groups: dict[Any, list[Ask]] = {}
        for each in asked:
            key = (each.statement.text, repr(each.arguments)) if each.counts else each.statement.text
            groups.setdefault(key, []).append(each)
        results: list[tuple[Ask, Any]] = []
        writes = []
        for group in groups.values():
            if group[0].counts:
                results += zip(group, await self._count(group), strict=True)
            elif group[0].statement.reads:
                results += zip(group, await self._read(group), strict=True)
            else:
                writes.append(group)
        return results + await self._write(writes)

    async def _read(self, group: Sequence[Ask]) -> list[list[asyncpg.Record]]:
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

    async def _write(self, groups: Sequence[Sequence[Ask]]) -> list[tuple[Ask, Any]]:
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

    async def _apart(self, group: Sequence[Ask], failed: asyncpg.PostgresError | None = None) -> list[tuple[Ask, Any]]:
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
        group: Sequence[Ask],
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

    async def _tried(self, groups: Sequence[Sequence[Ask]]) -> list[tuple[Ask, Any]] | asyncpg.PostgresError:
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

    async def _set(self, group: Sequence[Ask]) -> list[tuple[Ask, Any]]:
        """Write a set: one statement, where its text can be one over many."""
        if len(group) > 1 and shape_of(group[0].statement.text) is not None:
            await self._over_many(group)
            return [(each, []) for each in group]
        return [(each, await self._fetch(each.statement.text, *each.arguments)) for each in group]

    async def _over_many(self, group: Sequence[Ask]) -> list[asyncpg.Record]:
        statement = group[0].statement
        if statement.types is None:
            statement = replace(statement, types=await self._types(statement.text))
        text, arguments = over_many(statement, [each.arguments for each in group])
        return await self._fetch(text, *arguments)

    async def _count(self, group: Sequence[Ask]) -> list[int]:
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


_PARAMETER_TYPES = "SELECT parameter_types::text[] FROM pg_prepared_statements WHERE name = 'together'"
_TYPES: dict[str, tuple[str, ...]] = {}
MAX_TYPES = 2_000
