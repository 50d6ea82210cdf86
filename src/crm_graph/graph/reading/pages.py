"""Connections: keyset pages of records, at a root or below many parents at once, in one statement."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, ClassVar

import orjson

from crm_graph.executor.fields import Fetch, Planning, Shape
from crm_graph.graph.context import GraphContext
from crm_graph.graph.cursors import CursorSealer
from crm_graph.graph.reading.few import Verdicts
from crm_graph.graph.reading.filters import EVERYTHING, Normaliser
from crm_graph.graph.reading.grams import skeleton
from crm_graph.graph.reading.moments import reached
from crm_graph.graph.reading.orders import order_keys, order_of
from crm_graph.graph.reading.page_requests import (
    CURSOR,
    END,
    EXACT,
    HAS_NEXT,
    HAS_PREVIOUS,
    ROWS,
    START,
    TOTAL,
    NullAt,
    PageLimits,
    PageRequest,
)
from crm_graph.graph.reading.page_statements import NEITHER, Few, PageCompiler, PageStatements
from crm_graph.graph.reading.sealed import blind_values, opening
from crm_graph.graph.reading.views import View
from crm_graph.graph.reads import SensitiveRows
from crm_graph.graph.records.record import AS_OF, Record
from crm_graph.graph.records.registry import Registry
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.errors import BadUserInput

MAX_STATEMENTS_PER_PLAN = 32
"""Forms of `where` and `orderBy` whose statements one plan keeps; the oldest is dropped."""


@dataclass(frozen=True, slots=True)
class Page:
    """A connection of a record; with `parent`, the column of the record's table that points to the parents."""

    record: Record
    registry: Registry
    parent: str | None = None
    limits: PageLimits = field(default_factory=PageLimits)
    carries: ClassVar[bool] = True

    def plan(self, shapes: Mapping[str, Shape], planning: Planning) -> Fetch:
        """See `executor.fields.Source`."""
        (shape,) = shapes.values()
        return _PageFetch(self, shape, planning).fetch

    def request(self, names: Mapping[str, str], arguments: Mapping[str, Any]) -> PageRequest:
        """Return the checked arguments; `names` are the keys that can order. Raises BadUserInput and LimitExceeded with
        the argument's path."""
        normaliser = Normaliser(self.registry)
        form, work = EVERYTHING, 0
        if "where" in arguments:
            form = normaliser.normalise(self.record, arguments["where"], ("where",))
            work = normaliser.work
        order = order_of(names, arguments.get("orderBy"))
        backward, size = self._size(arguments)
        cursor = arguments.get("before" if backward else "after")
        deleted = bool(arguments.get("deleted"))
        moment = arguments.get(AS_OF)
        if moment is not None and deleted:
            raise BadUserInput("`deleted` is of the recycle bin as it is: leave `asOf` out.", path=("deleted",))
        archived = self.parent is not None or not self.record.is_kept or deleted or bool(arguments.get("archived"))
        return PageRequest(
            *(form, normaliser.binds(), normaliser.searches, order, size, backward, cursor, work),
            sought=skeleton(form, normaliser.sought, self.record) if self.parent is None and moment is None else None,
            archived=archived,
            deleted=deleted,
            as_of=moment,
        )

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

    def seal_context(self, request: PageRequest, viewer: Viewer) -> bytes:
        """Return what a cursor of this list is bound to: the list, its filter and order, and whose it is."""
        identity = [
            self.record.name,
            self.parent,
            viewer.workspace_id,
            viewer.member_id,
            repr(request.form),
            repr(request.order),
            request.values,
            request.searches,
            request.archived,
            request.deleted,
            request.as_of,
        ]
        return hashlib.sha256(orjson.dumps(identity, default=str)).digest()


class _PageFetch:
    """A planned connection: its statements by form, and the way from rows to pages."""

    def __init__(self, page: Page, shape: Shape, planning: Planning) -> None:
        self.page = page
        self.rows = shape.nested.get(ROWS, Shape())
        view = View.of(page.record, planning.context)
        view.selection(self.rows, planning, also=(CURSOR,))  # notes what is withheld
        sensitive = view.sensitive_ids(self.rows, also=(CURSOR,))
        self.sensitive = SensitiveRows.at(sensitive, {key: self.rows.need(key) for key in sensitive})
        self.opened = opening(page.record, self.rows)
        self.wants_total = bool(shape.columns.keys() & {TOTAL, EXACT})
        self.wants_cursors = CURSOR in self.rows.columns or bool(shape.columns.keys() & {START, END})
        self.compiler = PageCompiler(
            page.record,
            page.registry,
            page.parent,
            self.rows,
            planning,
            wants_rows=bool(shape.columns.keys() - {TOTAL, EXACT}),
            wants_total=self.wants_total,
            wants_cursors=self.wants_cursors,
            counted=page.limits.counted,
        )
        self.names = order_keys(page.record, page.registry)
        self.pick = page_picker(shape)
        self.statements: dict[Any, PageStatements] = {}
        self.verdicts = Verdicts()
        self.constant: tuple[Mapping[str, Any], PageRequest] | None = None
        if page.parent is not None:
            view.note(page.record.edge_along(page.parent), planning)

    async def fetch(self, context: GraphContext, keys: Sequence[Any], arguments: Mapping[str, Any]) -> Sequence[Any]:
        request = self._request(arguments)
        if request.work:
            context.count_filter(request.work, self.page.registry.filter_limits.per_operation)
        values = {**context.binds, **context.bound(request.values), "keys": keys}
        if request.as_of is not None:
            values["as_of"] = await reached(context, request.as_of)
        sealed, null_at = b"", None
        if self.wants_cursors or request.cursor is not None:
            sealed = self.page.seal_context(request, context.viewer)
        if request.cursor is not None:
            position = context.sealer.open(request.cursor, sealed, request.cursor_argument)
            null_at = tuple(value is None for value in position)
            values.update((f"k{index}", value) for index, value in enumerate(position))
        statements = self._statements(request, null_at)
        few = await self._few(context, request, values)
        if few != NEITHER:
            statements = self._statements(request, null_at, few)
        if statements.audited:
            context.note_reads(statements.audited)
        if request.searches:  # of what may be looked for: a refusal, which compiling is, comes before any statement
            values |= await blind_values(context, request.searches)
        rows, counts = await self._read(context, statements, values)
        cursor = _Cursor(context.sealer, sealed, len(self.rows.columns), len(request.order))
        more = null_at is not None
        if self.page.parent is None:
            total = rows[0][-1] if rows and statements.rows_have_total else counts[0][0] if counts else 0
            if self.sensitive is not None:
                context.note_reads(records=self.sensitive.ids(rows[: request.size]))
            return [self._page(request, cursor, list(rows), total, more)]
        groups: list[list[Any]] = [[] for _ in keys]
        for row in rows:
            groups[row[-1] - 1].append(row)
        if self.sensitive is not None:
            for group in groups:
                context.note_reads(records=self.sensitive.ids(group[: request.size]))
        totals = {row[0]: row[1] for row in counts} if self.wants_total else {}
        return [
            self._page(request, cursor, group, totals.get(key, 0), more)
            for key, group in zip(keys, groups, strict=True)
        ]

    async def _read(
        self, context: GraphContext, statements: PageStatements, values: Mapping[str, Any]
    ) -> tuple[Sequence[Any], Sequence[Any]]:
        """Return the rows and the counts that the statements find, at once where they are two."""
        rows: Sequence[Any] = ()
        counts: Sequence[Any] = ()
        if statements.rows is not None and statements.count is not None and not statements.rows_have_total:
            rows, counts = await asyncio.gather(
                context.reader.fetch(statements.rows, values), context.reader.fetch(statements.count, values)
            )
        elif statements.rows is not None:
            rows = await context.reader.fetch(statements.rows, values)
        if self.opened is not None:
            rows = await self.opened(context, rows)
        if statements.count is not None and (statements.rows is None or (statements.rows_have_total and not rows)):
            counts = await context.reader.fetch(statements.count, values)
        return rows, counts

    def _request(self, arguments: Mapping[str, Any]) -> PageRequest:
        """Return the checked arguments: those of a field without variables are one and the same object in every run,
        and are checked once."""
        constant = self.constant
        if constant is not None and constant[0] is arguments:
            return constant[1]
        request = self.page.request(self.names, arguments)
        self.constant = arguments, request
        return request

    async def _few(self, context: GraphContext, request: PageRequest, values: Mapping[str, Any]) -> Few:
        """Return whether the viewer sees few rows, and whether few have the letters that are looked for."""
        seen, sought = self.compiler.seen(request), self.compiler.having_letters(request)
        if seen is not None and await self.verdicts.are_few(context, seen, values):
            return Few(seen=True, sought=False)
        return Few(seen=False, sought=sought is not None and await self.verdicts.are_few(context, sought, values))

    def _statements(self, request: PageRequest, null_at: NullAt, few: Few = NEITHER) -> PageStatements:
        form = request.statement_form(null_at), few
        found = self.statements.get(form)
        if found is None:
            found = self.statements[form] = self.compiler.compile(request, null_at, few)
            if len(self.statements) > MAX_STATEMENTS_PER_PLAN:
                del self.statements[next(iter(self.statements))]
        return found

    def _page(
        self, request: PageRequest, cursor: _Cursor, rows: list[Any], total: int, after_another: bool
    ) -> tuple[Any, ...]:
        """Return one connection as a row of the connection's shape."""
        more = len(rows) > request.size
        if more:
            del rows[request.size :]
        before = after_another
        if request.backward:
            rows.reverse()
            more, before = before, more
        start = end = None
        if self.wants_cursors:
            if rows:
                start, end = cursor.of(rows[0]), cursor.of(rows[-1])
            position = self.rows.columns.get(CURSOR)
            if position is not None:
                rows = [(*row[:position], cursor.of(row), *row[position + 1 :]) for row in rows]
        counted = min(total, self.page.limits.counted) if self.page.parent is None else total
        return self.pick((rows, counted, counted == total, more, before, start, end))


_VALUES = (ROWS, TOTAL, EXACT, HAS_NEXT, HAS_PREVIOUS, START, END)


def page_picker(shape: Shape) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Return what makes the row of a connection's shape from the values of a page: its rows, how many there are of
    them, whether that is all, whether more follow and precede, the cursors of the first and of the last."""
    positions = [_VALUES.index(key) for key in shape.columns]
    if len(positions) == 1:
        (position,) = positions
        return lambda values: (values[position],)
    return itemgetter(*positions) if positions else lambda _: ()


@dataclass(frozen=True, slots=True)
class _Cursor:
    """Makes the cursors of one list: its sort values follow the columns of its rows."""

    sealer: CursorSealer
    context: bytes
    start: int
    length: int

    def of(self, row: Sequence[Any]) -> str:
        """Return the cursor of a row."""
        return self.sealer.seal(row[self.start : self.start + self.length], self.context)
