"""Connections: keyset pages of records, at a root or below many parents at once, in one statement."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import ARRAY, BigInteger, any_, bindparam, column, func, select, true

from crm_graph.db.statements import Statement, compile_statement
from crm_graph.executor.fields import Fetch, Planning, Shape
from crm_graph.graph.context import GraphContext
from crm_graph.graph.filters import EVERYTHING, FilterLimits, Form, Normaliser, predicate
from crm_graph.graph.orders import OrderKey, beyond, order_of, ordering
from crm_graph.graph.records import Record
from crm_graph.graph.registry import Registry
from crm_graph.graph.views import View
from crm_graph.kernel.errors import BadUserInput
from crm_graph.permissions.policy import UUID

ROWS, CURSOR, TOTAL = "rows", "cursor", "totalCount"
HAS_NEXT, HAS_PREVIOUS, START, END = "hasNextPage", "hasPreviousPage", "startCursor", "endCursor"
MAX_STATEMENTS_PER_PLAN = 64
"""Forms of `where` and `orderBy` whose statements one plan keeps; the oldest is dropped."""


@dataclass(frozen=True, slots=True)
class PageLimits:
    """Bounds of one page."""

    root_default: int = 50
    nested_default: int = 10
    maximum: int = 200
    filters: FilterLimits = field(default_factory=FilterLimits)


@dataclass(frozen=True, slots=True)
class PageRequest:
    """The arguments of a connection, checked. Hashable parts make the statement's form; the rest is bound."""

    form: Form
    values: Mapping[str, Any]
    order: tuple[OrderKey, ...]
    size: int
    backward: bool
    position: tuple[Any, ...] | None
    seal_context: bytes

    @property
    def statement_form(self) -> tuple[Any, ...]:
        """What the SQL text depends on."""
        null_at = None if self.position is None else tuple(value is None for value in self.position)
        return self.form, self.order, self.backward, null_at

    @property
    def reading_order(self) -> tuple[OrderKey, ...]:
        """The order in which rows are read: reversed when paging backward."""
        return tuple(each.reversed() for each in self.order) if self.backward else self.order

    def binds(self) -> dict[str, Any]:
        """Return the values of the statement's binds."""
        position = self.position or ()
        return {**self.values, **{f"k{index}": value for index, value in enumerate(position)}, "size": self.size + 1}


@dataclass(frozen=True, slots=True)
class Page:
    """A connection of a record; with `parent`, the column of the record's table that points to the parents."""

    record: Record
    registry: Registry
    parent: str | None = None
    limits: PageLimits = field(default_factory=PageLimits)

    def plan(self, shapes: Mapping[str, Shape], planning: Planning) -> Fetch:
        """See `executor.fields.Source`."""
        (shape,) = shapes.values()
        return _PageFetch(self, shape, planning).fetch

    def request(self, context: GraphContext, arguments: Mapping[str, Any]) -> PageRequest:
        """Return the checked arguments. Raises BadUserInput and LimitExceeded with the argument's path."""
        normaliser = Normaliser(self.registry, self.limits.filters)
        form = EVERYTHING
        if "where" in arguments:
            form = normaliser.normalise(self.record, arguments["where"], ("where",))
            context.count_filter(normaliser.work, self.limits.filters.per_operation)
        order = order_of(self.record, self.registry, arguments.get("orderBy"))
        backward, size = self._size(arguments)
        values = normaliser.binds()
        identity = orjson.dumps(
            [
                self.record.name,
                self.parent,
                context.viewer.workspace_id,
                context.viewer.member_id,
                repr(form),
                repr(order),
                values,
            ],
            default=str,
        )
        seal_context = hashlib.sha256(identity).digest()
        argument = "before" if backward else "after"
        position = None
        if arguments.get(argument) is not None:
            position = tuple(context.sealer.open(arguments[argument], seal_context, argument))
        return PageRequest(form, values, order, size, backward, position, seal_context)

    def _size(self, arguments: Mapping[str, Any]) -> tuple[bool, int]:
        first, last = arguments.get("first"), arguments.get("last")
        if first is not None and last is not None:
            raise BadUserInput("Give `first` or `last`, not both.", path=("last",))
        backward = last is not None
        if arguments.get("before") is not None and not backward:
            raise BadUserInput("`before` pages backward: give `last` with it.", path=("before",))
        if arguments.get("after") is not None and backward:
            raise BadUserInput("`after` pages forward: give `first` with it.", path=("after",))
        name, size = ("last", last) if backward else ("first", first)
        if size is None:
            size = self.limits.root_default if self.parent is None else self.limits.nested_default
        if not 0 <= size <= self.limits.maximum:
            raise BadUserInput(f"`{name}` must be between 0 and {self.limits.maximum}, not {size}.", path=(name,))
        return backward, size


class _PageFetch:
    """A planned connection: its statements by form, and the way from rows to pages."""

    def __init__(self, page: Page, shape: Shape, planning: Planning) -> None:
        self.page = page
        self.shape = shape
        self.planning = planning
        self.rows = shape.nested.get(ROWS, Shape())
        self.wants_rows = bool(shape.columns.keys() - {TOTAL})
        self.wants_cursors = CURSOR in self.rows.columns or bool(shape.columns.keys() & {START, END})
        self.statements: dict[Any, tuple[Statement | None, Statement | None]] = {}
        View.of(page.record, planning.context).selection(self.rows, planning, also=(CURSOR,))  # notes what is withheld

    async def fetch(self, context: GraphContext, keys: Sequence[Any], arguments: Mapping[str, Any]) -> Sequence[Any]:
        request = self.page.request(context, arguments)
        rows_statement, count_statement = self._statements(request)
        values = {**context.viewer.binds, **request.binds(), "keys": keys}
        rows: Sequence[Any] = ()
        counts: Sequence[Any] = ()
        if rows_statement is not None and count_statement is not None:
            rows, counts = await asyncio.gather(
                context.reader.fetch(rows_statement, values), context.reader.fetch(count_statement, values)
            )
        elif rows_statement is not None:
            rows = await context.reader.fetch(rows_statement, values)
        elif count_statement is not None:
            counts = await context.reader.fetch(count_statement, values)
        return self._pages(context, request, keys, rows, counts)

    def _statements(self, request: PageRequest) -> tuple[Statement | None, Statement | None]:
        found = self.statements.get(request.statement_form)
        if found is None:
            rows = compile_statement(self._select_rows(request)) if self.wants_rows else None
            count = compile_statement(self._select_count(request)) if TOTAL in self.shape.columns else None
            found = self.statements[request.statement_form] = rows, count
            if len(self.statements) > MAX_STATEMENTS_PER_PLAN:
                del self.statements[next(iter(self.statements))]
        return found

    def _view(self, request: PageRequest) -> tuple[View, list[Any]]:
        access = self.planning.context
        view = View.of(self.page.record, access)
        conditions: list[Any] = view.conditions()
        if request.form != EVERYTHING:
            conditions.append(predicate(request.form, view, self.page.registry, access))
        return view, conditions

    def _select_rows(self, request: PageRequest) -> Any:
        """Return the page's statement; below parents a lateral subquery per parent, which Postgres runs as a nested
        loop, so that rows come grouped by parent and in order within it."""
        view, conditions = self._view(request)
        columns: list[Any] = view.selection(self.rows, self.planning, also=(CURSOR,))
        if self.wants_cursors:
            columns += [
                view.comparable(each.key, "order by").label(f"s{index}") for index, each in enumerate(request.order)
            ]
        if request.position is not None:
            null_at = [value is None for value in request.position]
            conditions.append(beyond(view, request.reading_order, null_at))
        page = (
            select(*columns or [view.rows.c.id])
            .order_by(*ordering(view, request.reading_order))
            .limit(bindparam("size", type_=BigInteger))
        )
        if self.page.parent is None:
            return page.where(*conditions)
        parents = _parents()
        lateral = page.where(*conditions, view.rows.c[self.page.parent] == parents.c.key).lateral()
        return select(*lateral.c, parents.c.ord).select_from(parents.join(lateral, true()))

    def _select_count(self, request: PageRequest) -> Any:
        view, conditions = self._view(request)
        if self.page.parent is None:
            return select(func.count()).select_from(view.rows).where(*conditions)
        parent = view.rows.c[self.page.parent]
        wanted = parent == any_(bindparam("keys", type_=ARRAY(UUID)))
        return select(parent, func.count()).where(*conditions, wanted).group_by(parent)

    def _pages(
        self,
        context: GraphContext,
        request: PageRequest,
        keys: Sequence[Any],
        rows: Sequence[Any],
        counts: Sequence[Any],
    ) -> Sequence[Any]:
        if self.page.parent is None:
            total = counts[0][0] if counts else 0
            return [self._page(context, request, list(rows), total)]
        groups: list[list[Any]] = [[] for _ in keys]
        for row in rows:
            groups[row[-1] - 1].append(row)
        totals = {row[0]: row[1] for row in counts}
        return [
            self._page(context, request, group, totals.get(key, 0)) for key, group in zip(keys, groups, strict=True)
        ]

    def _page(self, context: GraphContext, request: PageRequest, rows: list[Any], total: int) -> tuple[Any, ...]:
        """Return one connection as a row of the connection's shape."""
        more = len(rows) > request.size
        if more:
            del rows[request.size :]
        if request.backward:
            rows.reverse()
        values: dict[str, Any] = {ROWS: rows, TOTAL: total}
        before = request.position is not None
        values[HAS_NEXT], values[HAS_PREVIOUS] = (before, more) if request.backward else (more, before)
        if self.wants_cursors:
            self._add_cursors(context, request, rows, values)
        return tuple(values[key] for key in self.shape.columns)

    def _add_cursors(
        self, context: GraphContext, request: PageRequest, rows: list[Any], values: dict[str, Any]
    ) -> None:
        start = len(self.rows.columns)
        end = start + len(request.order)

        def cursor(row: Any) -> str:
            return context.sealer.seal(row[start:end], request.seal_context)

        values[START] = cursor(rows[0]) if rows else None
        values[END] = cursor(rows[-1]) if rows else None
        position = self.rows.columns.get(CURSOR)
        if position is not None:
            values[ROWS] = [(*row[:position], cursor(row), *row[position + 1 :]) for row in rows]


def _parents() -> Any:
    keys = bindparam("keys", type_=ARRAY(UUID))
    return func.unnest(keys).table_valued(column("key", UUID), with_ordinality="ord", name="parents").render_derived()
