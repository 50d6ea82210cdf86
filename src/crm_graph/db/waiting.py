"""Writes that wait: what a unit of work writes is sent when it reads again, or at its end, in few statements.

Rows of one table become one statement, whose arguments are lists; and the statements of several tables become one,
since each round trip costs 50 us here and 20 us in Postgres, of the 600 that a stage move takes:

    WITH part_0 AS (UPDATE opportunity SET ... ), part_1 AS (INSERT INTO stage_move ...) INSERT INTO event ...

The parts see the rows as they were before all of them, so no table is in two of them; foreign keys are checked when all
are done. A sharded Postgres does not write several tables in one statement: there they are sent one by one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import asyncpg

from crm_graph.db.refused import is_about
from crm_graph.db.sets import over_many
from crm_graph.db.statements import Statement

Refusal = Callable[[asyncpg.IntegrityConstraintViolationError], Exception]
"""Says what a constraint that does not hold means, for whoever wrote the row."""
_PLACEHOLDER = re.compile(r"\$(\d+)")
_STILL_REFERENCED = "is still referenced"


@dataclass(frozen=True, slots=True)
class Write:
    """A statement that waits, for one row."""

    statement: Statement
    values: Mapping[str, Any]
    row: Hashable
    """Names the row: none is written twice in one statement."""
    refusal: Refusal | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Writes that are sent as one statement."""

    groups: Sequence[Sequence[Write]]
    """By table, each of one text."""

    def sent(self) -> tuple[str, list[Any]]:
        """Return the statement and its arguments."""
        texts, arguments = zip(*map(_of_group, self.groups), strict=True)
        return _combined(texts, tuple(map(len, arguments))), [value for each in arguments for value in each]

    def refused(self, error: asyncpg.IntegrityConstraintViolationError) -> Exception:
        """Return what an error of the statement means to whoever wrote the row that it is about; the error itself where
        nobody says."""
        removed = _STILL_REFERENCED in str(error.detail or "")  # then the table is that of the rows which refer to it
        writes = [
            write
            for group in self.groups
            for write in group
            if (write.statement.removes if removed else write.statement.table == error.table_name)
        ]
        if not writes:
            return error
        write = next((each for each in writes if is_about(error, each.values)), writes[0])
        return error if write.refusal is None else write.refusal(error)


def batches(writes: Iterable[Write], *, combined: bool) -> Iterator[Batch]:
    """Yield writes as they are sent, in their order but for those that make one statement together. Without `combined`
    each is of one table."""
    held: dict[str, list[Write]] = {}
    rows: set[Hashable] = set()
    for write in writes:
        table = write.statement.table
        group = held.get(table)
        same = group is not None and group[0].statement.text == write.statement.text
        fits = group is None or (same and write.statement.types is not None and write.row not in rows)
        if held and not (fits and (combined or group is not None)):
            yield Batch(list(held.values()))
            held, rows = {}, set()
        held.setdefault(table, []).append(write)
        rows.add(write.row)
    if held:
        yield Batch(list(held.values()))


def _of_group(writes: Sequence[Write]) -> tuple[str, list[Any]]:
    statement = writes[0].statement
    arguments = [statement.arguments(write.values) for write in writes]
    return (statement.text, arguments[0]) if len(writes) == 1 else over_many(statement, arguments)


@lru_cache(maxsize=2_000)
def _combined(texts: tuple[str, ...], lengths: tuple[int, ...]) -> str:
    """Return statements as one; the placeholders of each follow those of the one before it."""
    parts, offset = [], 0
    for text, length in zip(texts, lengths, strict=True):
        parts.append(_PLACEHOLDER.sub(lambda found, offset=offset: f"${int(found[1]) + offset}", text))  # type: ignore[misc]
        offset += length
    if len(parts) == 1:
        return parts[0]
    common = ", ".join(f"part_{number} AS ({part})" for number, part in enumerate(parts[:-1]))
    return f"WITH {common} {parts[-1]}"
