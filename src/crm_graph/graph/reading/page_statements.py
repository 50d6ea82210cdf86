"""The statements of a connection: the rows of a page, at a root or below many parents, and how many there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import FromClause, any_, column, func, literal_column, select, true
from sqlalchemy.sql.visitors import iterate

from crm_graph.db.statements import Statement, compile_statement
from crm_graph.executor.fields import BEYOND, Planning, Shape
from crm_graph.graph.reading.filters import EVERYTHING, predicate, present
from crm_graph.graph.reading.orders import beyond, ordering
from crm_graph.graph.reading.page_requests import CURSOR, NullAt, PageRequest
from crm_graph.graph.reading.views import View, given_keys
from crm_graph.graph.records.record import Record
from crm_graph.graph.records.registry import Registry
from crm_graph.permissions.policy import UUID


@dataclass(frozen=True, slots=True)
class PageStatements:
    """The SQL of a page: its rows, and how many there are in all. A root page asks for both in one statement."""

    rows: Statement | None
    count: Statement | None
    rows_have_total: bool = False
    audited: tuple[str, ...] = ()
    """What they compare and whose reading is to be written down."""


@dataclass(slots=True)
class PageCompiler:
    """Compiles the statements of one planned connection."""

    record: Record
    registry: Registry
    parent: str | None
    rows: Shape
    """What its rows must carry."""
    planning: Planning
    wants_rows: bool
    wants_total: bool
    wants_cursors: bool
    compared: dict[str, None] = field(default_factory=dict)
    """What the statements in the making compare whose reading is to be written down."""

    def compile(self, request: PageRequest, null_at: NullAt) -> PageStatements:
        """Return the statements of a form of request. Raises Forbidden where one may not filter or order so."""
        self.compared = {}
        whole = self.wants_rows and self.wants_total and self.parent is None and request.size > 0
        rows = compile_statement(self._select_rows(request, null_at, with_total=whole)) if self.wants_rows else None
        # An empty first page has no total; an empty one behind a cursor asks for it apart.
        apart = self.wants_total and (not whole or null_at is not None)
        count = compile_statement(self._select_count(request)) if apart else None
        return PageStatements(rows, count, whole, tuple(self.compared))

    def _view(self, request: PageRequest) -> tuple[View, list[Any]]:
        access = self.planning.context
        as_of = request.as_of is not None
        view = View.of(self.record, access, self.compared, deleted=request.deleted, as_of=as_of)
        conditions: list[Any] = view.conditions()
        if not request.archived:
            conditions.append(view.rows.c.archived_at.is_(None))
        if request.form != EVERYTHING:
            conditions.append(predicate(request.form, view, self.registry, access))
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
        if self.parent is not None:
            parents = _parents()
            conditions.append(view.pointing(self.parent, parents.c.key))

        def limited(columns: Sequence[Any]) -> Any:
            # The limit is a literal: for an unknown one Postgres plans to read a tenth of the table.
            ordered = ordering(view, order, not_null)
            found = select(*columns).select_from(view.source()).where(*conditions).order_by(*ordered)
            found = found.limit(literal_column(str(request.size + 1)))
            return found if parents is None else found.correlate(parents)

        if any(BEYOND in key for key in self.rows.columns):
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
        outer = self._around(rows, request)
        asked: list[Any] = [*self._columns(outer, request), *ordering(outer, request.reading_order, frozenset())]
        # Whatever the roles: a predicate can have no place in these columns, as where an edge leads to nothing anyway.
        asked += [outer.source(), *self.record.policy.predicates(rows)]
        columns: Iterable[Any] = (each for part in asked for each in iterate(part))
        names = {each.name for each in columns if getattr(each, "table", None) is rows}
        return [each for each in view.rows.c if each.name in names] or [view.rows.c.id]

    def _around(self, rows: FromClause, request: PageRequest) -> View:
        as_of = request.as_of is not None
        return View(self.record, self.planning.context, rows, self.compared, request.deleted, as_of)

    def _outer(self, limited: Any, parents: Any, request: PageRequest, not_null: Set[str], with_total: bool) -> Any:
        """Return the statement around the limited rows, with what their edges lead to."""
        rows = limited.lateral("page") if parents is not None else limited.subquery("page")
        view = self._around(rows, request)
        columns = [*self._columns(view, request), *self._total(request, with_total)]
        ordered = ordering(view, request.reading_order, not_null)
        if parents is None:
            return select(*columns).select_from(view.source()).order_by(*ordered)
        source = view.source(parents.join(rows, true()))
        return select(*columns, parents.c.ord).select_from(source).order_by(parents.c.ord, *ordered)

    def _select_count(self, request: PageRequest) -> Any:
        view, conditions = self._view(request)
        if self.parent is None:
            return select(func.count()).select_from(view.rows).where(*conditions)
        parent = view.rows.c[self.parent]
        wanted = view.pointing(self.parent, any_(given_keys()))
        return select(parent, func.count()).where(*conditions, wanted).group_by(parent)


def _parents() -> Any:
    keys = func.unnest(given_keys())
    return keys.table_valued(column("key", UUID), with_ordinality="ord", name="parents").render_derived()
