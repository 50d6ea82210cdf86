"""Counts and sums of the records within another one, group by group: what a live board shows beside its cards."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Numeric, String, bindparam, cast, func, literal_column, null, select

from crm_graph.db.statements import Statement, compile_statement
from crm_graph.graph.context import GraphContext
from crm_graph.graph.reading.views import View
from crm_graph.graph.records.record import Record
from crm_graph.kernel.caches import RecentCache
from crm_graph.kernel.errors import Forbidden
from crm_graph.permissions.policy import UUID

_STATEMENTS: RecentCache[tuple[str, str, str, str, str], tuple[Statement, tuple[str, ...]]] = RecentCache(500)


class Total(NamedTuple):
    """The records of one group in one currency; no currency where they have no amount that may be read."""

    key: str | None
    currency: str | None
    records: int
    amount: Decimal | None


async def totals(context: GraphContext, record: Record, within: str, key: str, by: str, amount: str) -> Sequence[Total]:
    """Return how many of the records within another one (their edge `within` leads to `key`) there are, of those that
    the viewer may see, and what their `amount` comes to, by the edge `by` and by currency, in one statement.

    Raises Forbidden where one of the edges may not be read on any row; amounts that may not be read are left out.
    """
    name = record.name, within, by, amount, context.access.fingerprint
    statement, compared = _STATEMENTS.get(name, lambda: _compiled(context, record, within, by, amount))
    rows = await context.reader.fetch(statement, {**context.binds, "key": key})
    if compared:
        context.note_reads(compared)
    return [Total(*row) for row in rows]


def _compiled(
    context: GraphContext, record: Record, within: str, by: str, amount: str
) -> tuple[Statement, tuple[str, ...]]:
    view = View.of(record, context.access)
    whole, group = view.comparable(within, "filter by"), view.comparable(by, "group by")
    value: ColumnElement[Any]
    currency: ColumnElement[Any]
    try:
        value = view.comparable(amount, "sum")
        currency = view.comparable(f"{amount}.currency", "group by")
    except Forbidden:
        value, currency = cast(null(), Numeric), cast(null(), String)
    found = (
        select(group.label("by"), currency.label("currency"), func.count(), func.sum(value))
        .select_from(view.source())
        .where(*view.conditions(), whole == bindparam("key", type_=UUID))
        .group_by(literal_column("1"), literal_column("2"))
        .order_by(literal_column("1"), literal_column("2"))
    )
    return compile_statement(found), tuple(view.compared)
