"""Connections: keyset pages of records, at a root or below many parents at once, in one statement."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, ClassVar

import orjson
from sqlalchemy import any_, column, func, literal_column, select, true
from sqlalchemy.sql.visitors import iterate

from crm_graph.db.statements import Statement, compile_statement
from crm_graph.executor.fields import BEYOND, Fetch, Planning, Shape
from crm_graph.graph.context import GraphContext
from crm_graph.graph.cursors import CursorSealer
from crm_graph.graph.reading.filters import EVERYTHING, Form, Normaliser, predicate, present
from crm_graph.graph.reading.orders import OrderKey, beyond, order_keys, order_of, ordering
from crm_graph.graph.reading.sealed import Search, blind_values, opening
from crm_graph.graph.reading.views import View, given_keys
from crm_graph.graph.reads import SensitiveRows
from crm_graph.graph.records.filter_limits import FilterLimits
from crm_graph.graph.records.record import Record
from crm_graph.graph.records.registry import Registry
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.errors import BadUserInput
from crm_graph.permissions.policy import UUID

ROWS, CURSOR, TOTAL = "rows", "$cursor", "totalCount"  # beside columns of rows, one of which may be called `cursor`
HAS_NEXT, HAS_PREVIOUS, START, END = "hasNextPage", "hasPreviousPage", "startCursor", "endCursor"
MAX_STATEMENTS_PER_PLAN = 32
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
    searches: Mapping[str, Search]
    """What is looked for in encrypted columns, whose values the keys of the workspace make."""
    order: tuple[OrderKey, ...]
    size: int
    backward: bool
    cursor: str | None
    work: int
    """How much of the operation's allowance for filters this takes."""

    @property
    def reading_order(self) -> tuple[OrderKey, ...]:
        """The order in which rows are read: reversed when paging backward."""
        return tuple(each.reversed() for each in self.order) if self.backward else self.order

    @property
    def cursor_argument(self) -> str:
        """The argument that a cursor came in."""
        return "before" if self.backward else "after"

    def statement_form(self, null_at: NullAt) -> tuple[Any, ...]:
        """Return what the SQL text depends on."""
        return self.form, self.order, self.size, self.backward, null_at


NullAt = tuple[bool, ...] | None
"""Which sort values of the row that a page starts behind are null; None for the first page."""


@dataclass(frozen=True, slots=True)
class PageStatements:
    """The SQL of a page: its rows, and how many there are in all. A root page asks for both in one statement."""

    rows: Statement | None
    count: Statement | None
    rows_have_total: bool = False
    audited: tuple[str, ...] = ()
    """What they compare and whose reading is to be written down."""


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
        return PageRequest(form, normaliser.binds(), normaliser.searches, order, size, backward, cursor, work)

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
        ]
        return hashlib.sha256(orjson.dumps(identity, default=str)).digest()


class _PageFetch:
    """A planned connection: its statements by form, and the way from rows to pages."""

    def __init__(self, page: Page, shape: Shape, planning: Planning) -> None:
        self.page = page
        self.shape = shape
        self.planning = planning
        self.rows = shape.nested.get(ROWS, Shape())
        view = View.of(page.record, planning.context)
        view.selection(self.rows, planning, also=(CURSOR,))  # notes what is withheld
        sensitive = view.sensitive_ids(self.rows, also=(CURSOR,))
        self.sensitive = SensitiveRows.at(sensitive, {key: self.rows.need(key) for key in sensitive})
        self.compared: dict[str, None] = {}
        self.opened = opening(page.record, self.rows)
        self.wants_rows = bool(shape.columns.keys() - {TOTAL})
        self.wants_total = TOTAL in shape.columns
        self.wants_cursors = CURSOR in self.rows.columns or bool(shape.columns.keys() & {START, END})
        self.joins = any(BEYOND in key for key in self.rows.columns)
        self.names = order_keys(page.record, page.registry)
        self.pick = _picker([_VALUES.index(key) for key in shape.columns])
        self.statements: dict[Any, PageStatements] = {}
        self.constant: tuple[Mapping[str, Any], PageRequest] | None = None
        if page.parent is not None:
            view.note(page.record.edge_along(page.parent), planning)

    async def fetch(self, context: GraphContext, keys: Sequence[Any], arguments: Mapping[str, Any]) -> Sequence[Any]:
        request = self._request(arguments)
        if request.work:
            context.count_filter(request.work, self.page.registry.filter_limits.per_operation)
        values = {**context.binds, **request.values, "keys": keys}
        sealed, null_at = b"", None
        if self.wants_cursors or request.cursor is not None:
            sealed = self.page.seal_context(request, context.viewer)
        if request.cursor is not None:
            position = context.sealer.open(request.cursor, sealed, request.cursor_argument)
            null_at = tuple(value is None for value in position)
            values.update((f"k{index}", value) for index, value in enumerate(position))
        statements = self._statements(request, null_at)
        if statements.audited:
            context.note_reads(statements.audited)
        if request.searches:  # of what may be looked for: a refusal, which compiling is, comes before any statement
            values |= await blind_values(context, request.searches)
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
        if not self.wants_total:
            return [self._page(request, cursor, group, 0, more) for group in groups]
        totals = {row[0]: row[1] for row in counts}
        return [
            self._page(request, cursor, group, totals.get(key, 0), more)
            for key, group in zip(keys, groups, strict=True)
        ]

    def _request(self, arguments: Mapping[str, Any]) -> PageRequest:
        """Return the checked arguments: those of a field without variables are one and the same object in every run,
        and are checked once."""
        constant = self.constant
        if constant is not None and constant[0] is arguments:
            return constant[1]
        request = self.page.request(self.names, arguments)
        self.constant = arguments, request
        return request

    def _statements(self, request: PageRequest, null_at: NullAt) -> PageStatements:
        form = request.statement_form(null_at)
        found = self.statements.get(form)
        if found is None:
            self.compared = {}
            whole = self.wants_rows and self.wants_total and self.page.parent is None and request.size > 0
            rows = compile_statement(self._select_rows(request, null_at, with_total=whole)) if self.wants_rows else None
            # An empty first page has no total; an empty one behind a cursor asks for it apart.
            apart = self.wants_total and (not whole or null_at is not None)
            count = compile_statement(self._select_count(request)) if apart else None
            found = self.statements[form] = PageStatements(rows, count, whole, tuple(self.compared))
            if len(self.statements) > MAX_STATEMENTS_PER_PLAN:
                del self.statements[next(iter(self.statements))]
        return found

    def _view(self, request: PageRequest) -> tuple[View, list[Any]]:
        access = self.planning.context
        view = View.of(self.page.record, access, self.compared)
        conditions: list[Any] = view.conditions()
        if request.form != EVERYTHING:
            conditions.append(predicate(request.form, view, self.page.registry, access))
        return view, conditions

    def _select_rows(self, request: PageRequest, null_at: NullAt, *, with_total: bool) -> Any:
        """Return the page's statement; below parents a lateral subquery per parent, which Postgres runs as a nested
        loop, so that rows come grouped by parent and in order within it.

        Where to-one edges are joined, they are joined to the rows of the page, after the limit: joined before it,
        Postgres would join all rows of the table only to sort them and throw most away.
        """
        view, conditions = self._view(request)
        order, not_null = request.reading_order, present(request.form)
        if null_at is not None:
            conditions.append(beyond(view, order, null_at, not_null))
        parents = None
        if self.page.parent is not None:
            parents = _parents()
            conditions.append(view.pointing(self.page.parent, parents.c.key))

        def limited(columns: Sequence[Any]) -> Any:
            # The limit is a literal: for an unknown one Postgres plans to read a tenth of the table.
            ordered = ordering(view, order, not_null)
            found = select(*columns).select_from(view.source()).where(*conditions).order_by(*ordered)
            found = found.limit(literal_column(str(request.size + 1)))
            return found if parents is None else found.correlate(parents)

        if self.joins:
            used = self._used(view, limited([*view.rows.c]), request)
            return self._outer(limited(used), parents, request, not_null, with_total)
        columns = [*self._columns(view, request), *self._total(request, with_total)]
        page = limited(columns or [view.rows.c.id])
        if parents is None:
            return page
        lateral = page.lateral("page")
        return select(*lateral.c, parents.c.ord).select_from(parents.join(lateral, true()))

    def _columns(self, view: View, request: PageRequest) -> list[Any]:
        columns: list[Any] = view.selection(self.rows, self.planning, also=(CURSOR,))
        if self.wants_cursors:
            columns += [
                view.comparable(each.key, "order by").label(f"s{index}") for index, each in enumerate(request.order)
            ]
        return columns

    def _total(self, request: PageRequest, with_total: bool) -> list[Any]:
        return [self._select_count(request).scalar_subquery().label("total")] if with_total else []

    def _used(self, view: View, limited: Any, request: PageRequest) -> list[Any]:
        """Return the columns of the table that the statement around the limited rows asks for."""
        rows = limited.subquery()
        outer = View(self.page.record, self.planning.context, rows, self.compared)
        asked: list[Any] = [*self._columns(outer, request), *ordering(outer, request.reading_order, frozenset())]
        # Whatever the roles: a predicate may have no place in these columns, as where an edge leads to nothing anyway.
        asked += [outer.source(), *self.page.record.policy.predicates(rows)]
        columns: Iterable[Any] = (each for part in asked for each in iterate(part))
        names = {each.name for each in columns if getattr(each, "table", None) is rows}
        return [each for each in view.rows.c if each.name in names] or [view.rows.c.id]

    def _outer(self, limited: Any, parents: Any, request: PageRequest, not_null: Set[str], with_total: bool) -> Any:
        """Return the statement around the limited rows, with what their edges lead to."""
        rows = limited.lateral("page") if parents is not None else limited.subquery("page")
        view = View(self.page.record, self.planning.context, rows, self.compared)
        columns = [*self._columns(view, request), *self._total(request, with_total)]
        ordered = ordering(view, request.reading_order, not_null)
        if parents is None:
            return select(*columns).select_from(view.source()).order_by(*ordered)
        source = view.source(parents.join(rows, true()))
        return select(*columns, parents.c.ord).select_from(source).order_by(parents.c.ord, *ordered)

    def _select_count(self, request: PageRequest) -> Any:
        view, conditions = self._view(request)
        if self.page.parent is None:
            return select(func.count()).select_from(view.rows).where(*conditions)
        parent = view.rows.c[self.page.parent]
        wanted = view.pointing(self.page.parent, any_(given_keys()))
        return select(parent, func.count()).where(*conditions, wanted).group_by(parent)

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
        return self.pick((rows, total, more, before, start, end))


_VALUES = (ROWS, TOTAL, HAS_NEXT, HAS_PREVIOUS, START, END)
"""What a page is made of, in the order of `_page`."""


def _picker(positions: Sequence[int]) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """Return what makes the row of a connection's shape from the values of a page."""
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


def _parents() -> Any:
    keys = func.unnest(given_keys())
    return keys.table_valued(column("key", UUID), with_ordinality="ord", name="parents").render_derived()
