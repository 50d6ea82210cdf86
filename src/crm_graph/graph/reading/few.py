"""Whether few rows come into question: those that a viewer sees, those that have the letters which are looked for.

Postgres plans a list without knowing it: by reading in order until the page is full, which for somebody who sees one
row of a thousand means reading most of the table; or by sorting all that come into question. So it is asked first,
which costs a statement, and the answer is kept for a minute: it decides how rows are found, and never which.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, func, literal_column, select

from crm_graph.db.statements import Statement, compile_statement
from crm_graph.graph.context import GraphContext
from crm_graph.kernel.caches import RecentCache

FEW = 3_000
"""As many rows as are sooner sorted than a table is read in order until enough of them are met."""
KEPT_S = 60


def asking(rows: FromClause, conditions: Sequence[ColumnElement[bool]]) -> Statement:
    """Return the statement that says whether few rows fulfil conditions."""
    found: Select[Any] = select(literal_column("1")).select_from(rows).where(*conditions)
    some = found.limit(literal_column(str(FEW + 1))).subquery("some")
    return compile_statement(select(func.count() <= literal_column(str(FEW))).select_from(some))


class Verdicts:
    """What was answered, by the statement and its arguments."""

    def __init__(self) -> None:
        self._kept: RecentCache[Any, list[bool]] = RecentCache(200)

    async def are_few(self, context: GraphContext, statement: Statement, values: Mapping[str, Any]) -> bool:
        """Return whether few rows fulfil the conditions of a statement of `asking`."""
        key = statement.text, repr(statement.arguments(values)), int(time.monotonic() // KEPT_S)
        verdict = self._kept.get(key, list)
        if not verdict:
            rows = await context.reader.fetch(statement, values)
            verdict.append(bool(rows[0][0]))
        return verdict[0]
