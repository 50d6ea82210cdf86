"""The statements of a connection: the rows of a page, at a root or below many parents, and how many there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    ColumnElement,
    FromClause,
    Select,
    any_,
    column,
    func,
    literal_column,
    select,
    true,
    union_all,
)
from sqlalchemy.sql.visitors import iterate

from crm_graph.db.lists import searched_in
from crm_graph.db.statements import Statement, compile_statement
from crm_graph.executor.fields import BEYOND, Planning, Shape
from crm_graph.graph.reading.few import asking
from crm_graph.graph.reading.filters import EVERYTHING, predicate, present
from crm_graph.graph.reading.grams import has_all
from crm_graph.graph.reading.orders import Part, beyond, ordering, parts
from crm_graph.graph.reading.page_requests import CURSOR, NullAt, PageRequest
from crm_graph.graph.reading.views import View, given_keys, renamed
from crm_graph.graph.records.record import Record
from crm_graph.graph.records.registry import Registry
from crm_graph.permissions.grants import READ
from crm_graph.permissions.policy import UUID, as_sets, workspace

MAX_PROBES = 32
"""Statements of `few.py` that one plan keeps; the oldest is dropped."""


@dataclass(frozen=True, slots=True)
class PageStatements:
    """The SQL of a page: its rows, and how many there are in all. A root page asks for both in one statement."""

    rows: Statement | None
    count: Statement | None
    rows_have_total: bool = False
    audited: tuple[str, ...] = ()
    """What they compare and whose reading is to be written down."""


class Few(NamedTuple):
    """Of what there are few rows (`few.py`)."""

    seen: bool
    """Of those that the viewer sees."""
    sought: bool
    """Of those that have the letters which are looked for."""


NEITHER = Few(seen=False, sought=False)


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
    counted: int
    """How many rows are counted at most."""
    few_seen: CTE | None = None
    """The rows that the viewer sees, where they are few: of the statements in the making."""
    probes: dict[Any, Statement] = field(default_factory=dict)
    compared: dict[str, None] = field(default_factory=dict)
    """What the statements in the making compare whose reading is to be written down."""

    def seen(self, request: PageRequest) -> Statement | None:
        """Return the statement that says whether the viewer sees few rows; None where it is all, below parents, or
        as of a time."""
        view = View.of(self.record, self.planning.context, deleted=request.deleted)
        if (
            request.as_of is not None
            or self.parent is not None
            or view.access.rows(view.rows) is None
            or not view.access.allows(READ)
        ):
            return None
        return self._asking(request.deleted, view.rows, map(as_sets, view.conditions()))

    def having_letters(self, request: PageRequest) -> Statement | None:
        """Return the statement that says whether few rows have the letters which are looked for, whoever may see them;
        None where nothing is looked for by the index of texts."""
        if request.sought is None:
            return None
        rows = View.of(self.record, self.planning.context).rows
        return self._asking(request.sought, rows, self._having(request.sought, rows))

    def _asking(self, key: Any, rows: FromClause, conditions: Iterable[ColumnElement[bool]]) -> Statement:
        """Return the statement that says whether few rows fulfil conditions, which a key stands for."""
        found = self.probes.get(key)
        if found is None:
            found = self.probes[key] = asking(rows, list(conditions))
            if len(self.probes) > MAX_PROBES:
                del self.probes[next(iter(self.probes))]
        return found

    def compile(self, request: PageRequest, null_at: NullAt, few: Few = NEITHER) -> PageStatements:
        """Return the statements of a form of request. Raises Forbidden where one may not filter or order so."""
        self.compared, self.few_seen = {}, self._few_seen(request) if few.seen else None
        whole = self.wants_rows and self.wants_total and self.parent is None and request.size > 0
        rows = (
            compile_statement(self._select_rows(request, null_at, with_total=whole, searched=few.sought))
            if self.wants_rows
            else None
        )
        # An empty first page has no total; an empty one behind a cursor asks for it apart.
        apart = self.wants_total and (not whole or null_at is not None)
        count = compile_statement(self._select_count(request)) if apart else None
        return PageStatements(rows, count, whole, tuple(self.compared))

    def _view(self, request: PageRequest, *, searched: bool) -> tuple[View, list[Any]]:
        access = self.planning.context
        as_of = request.as_of is not None
        view = View.of(self.record, access, self.compared, deleted=request.deleted, as_of=as_of)
        if searched and request.sought is not None and self.few_seen is None:
            view = self._around(self._found(request.sought), request)
        conditions = view.conditions()
        if self.few_seen is not None:
            view, conditions = self._around(renamed(self.few_seen), request), []
        if not request.archived:
            conditions.append(view.rows.c.archived_at.is_(None))
        if request.form != EVERYTHING:
            conditions.append(predicate(request.form, view, self.registry, access))
        return view, conditions

    def _having(self, sought: Any, rows: FromClause) -> list[ColumnElement[bool]]:
        return [rows.c.workspace_id == workspace(), has_all(sought, rows, searched_in(self.record.table))]

    def _found(self, sought: Any) -> FromClause:
        """Return the rows that have the letters which are looked for, whoever may see them. Postgres takes them by the
        index of texts: planned with all other conditions, it would make the letters of every row that these leave."""
        rows = View.of(self.record, self.planning.context).rows
        return select(*rows.c).where(*self._having(sought, rows)).offset(_literal(0)).subquery("found")

    def _few_seen(self, request: PageRequest) -> CTE:
        """Return the rows that the viewer sees, found by indexes and read once for the statement."""
        view = View.of(self.record, self.planning.context, deleted=request.deleted)
        found = select(*view.rows.c).where(*map(as_sets, view.conditions())).cte("seen")
        return found.prefix_with("MATERIALIZED")

    def _select_rows(self, request: PageRequest, null_at: NullAt, *, with_total: bool, searched: bool) -> Any:
        """Return the page's statement; below parents a lateral subquery per parent, which Postgres runs as a nested
        loop, so that rows come grouped by parent and in order within it.

        Where to-one edges are joined, they are joined to the rows of the page, after the limit: joined before it,
        Postgres would join all rows of the table only to sort them and throw most away.
        """
        view, conditions = self._view(request, searched=searched)
        order, not_null = request.reading_order, present(request.form)
        parents = None if self.parent is None else _parents()
        if parents is None:
            of_page = parts(view, order, null_at, not_null)
        else:  # of few rows each: they are sorted
            after = [] if null_at is None else [beyond(view, order, null_at, not_null)]
            of_page = [Part(after, ordering(view, order, not_null))]
            conditions.append(view.pointing(self.parent or "", parents.c.key))

        def limited(columns: Sequence[Any], part: Part, *also: Any) -> Any:
            found = select(*columns).select_from(view.source()).where(*conditions, *part.conditions, *also)
            found = found.order_by(*part.order).limit(_literal(request.size + 1))
            return found if parents is None else found.correlate(parents)

        if len(of_page) > 1 or any(BEYOND in key for key in self.rows.columns):
            used = self._used(view, limited([*view.rows.c], of_page[0]), request)
            rows = limited(used, of_page[0])
            for part in of_page[1:]:  # which is looked at only where the one before it leaves room
                before = rows.cte("before")
                room = select(func.count()).select_from(before).scalar_subquery() <= _literal(request.size)
                behind = limited(used, part, room).subquery("behind")
                rows = union_all(select(before), select(behind))
            return self._outer(rows, parents, request, not_null, with_total)
        columns = [*self._columns(view, request), *self._total(request, with_total)]
        page = limited(columns or [view.rows.c.id], of_page[0])
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
            return select(*columns).select_from(view.source()).order_by(*ordered).limit(_literal(request.size + 1))
        source = view.source(parents.join(rows, true()))
        return select(*columns, parents.c.ord).select_from(source).order_by(parents.c.ord, *ordered)

    def _select_count(self, request: PageRequest) -> Any:
        view, conditions = self._view(request, searched=True)
        if self.parent is None:
            counted: Select[Any] = select(literal_column("1")).select_from(view.rows).where(*map(as_sets, conditions))
            return select(func.count()).select_from(counted.limit(_literal(self.counted + 1)).subquery("counted"))
        parent = view.rows.c[self.parent]
        wanted = view.pointing(self.parent, any_(given_keys()))
        return select(parent, func.count()).where(*conditions, wanted).group_by(parent)


def _literal(number: int) -> Any:
    """Return a limit as Postgres plans with it: for an unknown one it plans to read a tenth of the table."""
    return literal_column(str(number))


def _parents() -> Any:
    keys = func.unnest(given_keys())
    return keys.table_valued(column("key", UUID), with_ordinality="ord", name="parents").render_derived()
