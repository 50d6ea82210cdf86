"""`history`: the changes of a record, newest first, each the difference between two of its versions.

Read from the tables of versions, which outlive the log. Both versions are read through views, so that of each field
there is what may be seen of it on the row as it was; a change of nothing that may be seen is not there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson
from sqlalchemy import (
    ColumnElement,
    DateTime,
    FromClause,
    and_,
    bindparam,
    case,
    column,
    false,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy import any_ as any_of

from crm_graph.db.history import BY_CLIENT, BY_KIND, BY_MEMBER, TOLD_AS, VALID_FROM, VALID_TO
from crm_graph.db.statements import Statement, compile_statement
from crm_graph.executor.fields import Fetch, Planning, Shape
from crm_graph.graph.context import GraphContext
from crm_graph.graph.reading.moments import reached, reached_now
from crm_graph.graph.reading.page_requests import (
    CURSOR,
    EXACT,
    ROWS,
    TOTAL,
)
from crm_graph.graph.reading.pages import page_picker
from crm_graph.graph.reading.views import View, given_keys
from crm_graph.graph.records.history import SHOWN_LETTERS
from crm_graph.graph.records.record import AS_OF, Record, RecordColumn
from crm_graph.graph.records.registry import Registry
from crm_graph.identity.tokens import client_key
from crm_graph.kernel.errors import BadUserInput
from crm_graph.kernel.ids import encode_id
from crm_graph.permissions.access import Access, TypeAccess
from crm_graph.permissions.policy import UUID, workspace

UNSAID = frozenset({"id", "version", "createdAt", "updatedAt", "createdBy", "updatedBy"})
"""Fields whose changes say nothing that an entry does not say anyway."""
CHANGES, ACTOR = "changes", "actor_key"
_OWN = (VALID_FROM, TOLD_AS, BY_KIND, BY_MEMBER, BY_CLIENT)


@dataclass(frozen=True, slots=True)
class History:
    """The source of a record type's `history`; its keys are the ids of records."""

    record: Record
    registry: Registry
    default: int
    maximum: int
    carries: ClassVar[bool] = False

    def plan(self, shapes: Mapping[str, Shape], planning: Planning) -> Fetch:
        """See `executor.fields.Source`."""
        (shape,) = shapes.values()
        rows = shape.nested.get(ROWS, Shape())
        statements = _Statements(self.record, planning.context)
        for each in statements.columns:
            statements.now.note(each.key, planning)
        audited = any(planning.context.of(self.record.name).audited(each.field) for each in statements.columns)
        writer = _Writer(self.record, self.registry, statements, rows)
        pick = page_picker(shape)
        wants_total = bool(shape.columns.keys() & {TOTAL, EXACT})
        wants_rows = bool(shape.columns.keys() - {TOTAL, EXACT})

        async def fetch(context: GraphContext, keys: Sequence[str], arguments: Mapping[str, Any]) -> Sequence[Any]:
            size = self._size(arguments)
            sealed, after = self._sealed(context), arguments.get("after")
            moment = arguments.get(AS_OF)
            until = await (reached_now(context) if moment is None else reached(context, moment))
            values: dict[str, Any] = {**context.binds, "keys": keys, "until": until}
            if after is not None:
                (values["before"],) = context.sealer.open(after, sealed, "after")
            groups: dict[str, list[Any]] = {key: [] for key in keys}
            if wants_rows:
                for row in await context.reader.fetch(statements.page(size, further=after is not None), values):
                    groups[row["key"]].append(row)
            totals: dict[str, int] = {}
            if wants_total:
                totals = {row[0]: row[1] for row in await context.reader.fetch(statements.count(), values)}
            if audited:
                context.note_reads(records=[encode_id(self.record.prefix, key) for key in keys if groups[key]])

            def page(key: str) -> tuple[Any, ...]:
                found = groups[key]
                cursors = [context.sealer.seal((row[VALID_FROM],), sealed) for row in found[:size]]
                rows = [writer.row(row, cursor) for row, cursor in zip(found, cursors, strict=False)]
                start, end = (cursors[0], cursors[-1]) if cursors else (None, None)
                return pick((rows, totals.get(key, 0), True, len(found) > size, after is not None, start, end))

            return [page(key) for key in keys]

        return fetch

    def _size(self, arguments: Mapping[str, Any]) -> int:
        size: int = arguments.get("first", self.default)
        if not 0 <= size <= self.maximum:
            raise BadUserInput(f"`first` must be between 0 and {self.maximum}, not {size}.", path=("first",))
        return size

    def _sealed(self, context: GraphContext) -> bytes:
        """Return what a cursor of this list is bound to."""
        identity = [self.record.name, "history", context.viewer.workspace_id, context.viewer.member_id]
        return hashlib.sha256(orjson.dumps(identity)).digest()


class _Statements:
    """The statements of a record type's history, under one access."""

    def __init__(self, record: Record, access: Access) -> None:
        self.now, self.was = (View.of_versions(record, access) for _ in range(2))
        seen = access.of(record.name)
        self.columns: list[RecordColumn] = [
            each
            for each in record.columns.values()
            if each.field not in UNSAID and _seen(seen, each, self.now.rows) is not None
        ]
        self._compiled: dict[Any, Statement] = {}

    def page(self, size: int, *, further: bool) -> Statement:
        """Return the statement of a page for each of many records, newest entries first."""
        return self._once((size, further), lambda: self._page(size, further=further))

    def count(self) -> Statement:
        """Return the statement of how many entries records have."""
        return self._once("count", self._count)

    def _once(self, key: Any, make: Any) -> Statement:
        found = self._compiled.get(key)
        if found is None:
            found = self._compiled[key] = compile_statement(make())
        return found

    def _page(self, size: int, *, further: bool) -> Any:
        now = self.now.rows
        keys = func.unnest(given_keys()).table_valued(column("key", UUID), name="parents").render_derived()
        conditions = [*self._conditions(), now.c.id == keys.c.key]
        if further:
            conditions.append(now.c[VALID_FROM] < bindparam("before", type_=DateTime(timezone=True)))
        values: list[Any] = [now.c.id.label("key"), *(now.c[name] for name in _OWN)]
        for place, each in enumerate(self.columns):
            values += [
                self._changed(each).label(f"changed{place}"),
                self._told(self.was, each, before=True).label(f"old{place}"),
                self._told(self.now, each).label(f"new{place}"),
            ]
        page = (
            select(*values)
            .select_from(self._source())
            .where(*conditions)
            .order_by(now.c[VALID_FROM].desc())
            .limit(literal_column(str(size + 1)))
            .correlate(keys)
            .lateral("page")
        )
        return select(*page.c).select_from(keys.join(page, true()))

    def _count(self) -> Any:
        now = self.now.rows
        wanted = now.c.id == any_of(given_keys())
        found = select(now.c.id, func.count()).select_from(self._source())
        return found.where(*self._conditions(), wanted).group_by(now.c.id)

    def _source(self) -> Any:
        """Return versions, each with the one before it."""
        now, was = self.now.rows, self.was.rows
        follows = was.c[VALID_TO] == now.c[VALID_FROM]
        return now.outerjoin(was, and_(was.c.workspace_id == workspace(), was.c.id == now.c.id, follows))

    def _conditions(self) -> list[Any]:
        now = self.now.rows
        conditions = [
            now.c.workspace_id == workspace(),
            now.c[TOLD_AS].is_not(None),
            now.c[VALID_FROM] <= bindparam("until", type_=DateTime(timezone=True)),
            or_(false(), *(self._changed(each) for each in self.columns)),
        ]
        permitted = self.now.access.rows(now)
        return conditions if permitted is None else [*conditions, permitted]

    def _changed(self, of: RecordColumn) -> ColumnElement[bool]:
        """Return whether a column changed, of what may be seen of it."""
        differs = self.now.rows.c[of.column].is_distinct_from(self.was.rows.c[of.column])
        return and_(differs, func.coalesce(self._seen(self.now, of), false()))

    def _seen(self, view: View, of: RecordColumn) -> ColumnElement[bool]:
        seen = _seen(view.access, of, view.rows)
        assert seen is not None
        return seen

    def _told(self, view: View, of: RecordColumn, *, before: bool = False) -> ColumnElement[Any]:
        """Return what is told of a column: of the version before only where that row may be read."""
        value = view.told(of.key)
        permitted = view.access.rows(view.rows) if before else None
        return value if permitted is None else case((permitted, value))


class _Writer:
    """Makes rows of the shape of entries."""

    def __init__(self, record: Record, registry: Registry, statements: _Statements, shape: Shape) -> None:
        self._columns = statements.columns
        self._prefixes = [registry.id_prefix(record, each.key) for each in statements.columns]
        self._names = list(shape.columns)
        self._fields = list(shape.nested.get(CHANGES, Shape()).columns)

    def row(self, row: Any, cursor: str) -> tuple[Any, ...]:
        """Return an entry."""
        client = row[BY_CLIENT]
        values = {
            "at": row[VALID_FROM],
            "event": row[TOLD_AS],
            "actorKind": row[BY_KIND],
            ACTOR: row[BY_MEMBER],
            "clientId": None if client is None else client_key(client),
            CURSOR: cursor,
        }
        return tuple(self._changes(row) if name == CHANGES else values[name] for name in self._names)

    def _changes(self, row: Any) -> list[tuple[Any, ...]]:
        """Return the fields that changed; an amount and its currency are one."""
        changed: dict[str, tuple[list[str], list[str]]] = {}
        for place, each in enumerate(self._columns):
            if row[f"changed{place}"]:
                changed.setdefault(each.told_as, ([], []))
        for place, (each, prefix) in enumerate(zip(self._columns, self._prefixes, strict=True)):
            if each.told_as in changed:
                for texts, value in zip(changed[each.told_as], (row[f"old{place}"], row[f"new{place}"]), strict=True):
                    if value is not None and (texts or each.key == each.told_as):  # no currency without its amount
                        texts.append(_text(value, prefix))
        made = (
            {"field": field, "from": " ".join(old) or None, "to": " ".join(new) or None}
            for field, (old, new) in changed.items()
        )
        return [tuple(each[name] for name in self._fields) for each in made]


def _seen(access: TypeAccess, of: RecordColumn, rows: FromClause) -> ColumnElement[bool] | None:
    """Return the predicate of the rows on which a column is seen; None for none. A mask is of its own field alone."""
    if not of.like:
        return access.seen(of.field, rows)
    return access.shown(of.field, rows) if access.partial(of.field) else true()


def _text(value: Any, prefix: str | None) -> str:
    if prefix is not None:
        return encode_id(prefix, value)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= SHOWN_LETTERS else f"{text[:SHOWN_LETTERS]}…"
