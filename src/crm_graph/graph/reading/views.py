"""Views: the only way from a record to SQL. What a viewer may not see is not in the text that comes out.

A key is a column of the record (`amount`), or one at the other end of a to-one edge (`owner>name`), whose record is
then joined, of what may be seen of it. The lint `tests/architecture/test_reads.py` keeps slices from reading tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    DateTime,
    FromClause,
    Numeric,
    Text,
    and_,
    bindparam,
    case,
    cast,
    false,
    func,
    literal,
    null,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import array
from sqlalchemy.sql.elements import False_
from sqlalchemy.types import TypeEngine

from crm_graph.db.aliases import rows_of
from crm_graph.db.history import VALID_FROM, VALID_TO, are_versions, versions_of
from crm_graph.executor.fields import BEYOND, Planning, Shape, coordinate
from crm_graph.graph.reading.sealed import sealed_expression
from crm_graph.graph.records.record import WITHHELD, Record, RecordColumn, is_about_viewer, rights_of
from crm_graph.kernel.errors import Forbidden
from crm_graph.permissions.access import Access, TypeAccess
from crm_graph.permissions.grants import READ
from crm_graph.permissions.policy import UUID, workspace
from crm_graph.vault.columns import Encrypted


@dataclass(slots=True, eq=False)
class View:
    """Rows of a record's table, or of anything with the same columns, with the viewer's access to them."""

    record: Record
    everything: Access
    rows: FromClause
    compared: dict[str, None] = field(default_factory=dict)
    """The coordinates that were asked for by `comparable` and whose reading is to be written down; shared by the views
    of one statement."""
    deleted: bool = False
    """Whether these are the rows in the recycle bin."""
    as_of: bool = False
    """Whether these are the rows as they were at the time of the bind `as_of`, where their history is kept."""
    _joined: dict[str, tuple[View, ColumnElement[bool]]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        record: Record,
        access: Access,
        compared: dict[str, None] | None = None,
        *,
        deleted: bool = False,
        as_of: bool = False,
    ) -> View:
        """Return a view on fresh rows of the record, which notes in `compared` what it is asked to compare."""
        versions = versions_of(record.table) if as_of else None
        rows = rows_of(record.table if versions is None else versions)
        return cls(record, access, rows, {} if compared is None else compared, deleted, as_of)

    @classmethod
    def of_versions(cls, record: Record, access: Access) -> View:
        """Return a view on all versions of the rows of a record whose history is kept."""
        versions = versions_of(record.table)
        assert versions is not None, f"no history of {record.name} is kept"
        return cls(record, access, rows_of(versions))

    @property
    def access(self) -> TypeAccess:
        """The viewer's access to the record's type."""
        return self.everything.of(self.record.name)

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return what every read of these rows must ask for: the workspace, that they are not in the recycle bin
        (`deleted`: that they are), and the rows that may be read; of versions, that they were valid."""
        conditions = self.access.conditions(self.rows, deleted=self.deleted)
        if are_versions(self.rows):
            conditions += [self.rows.c[VALID_FROM] <= as_of(), self.rows.c[VALID_TO] > as_of()]
        return conditions

    def edge(self, name: str) -> View | None:
        """Return the view on what a to-one edge leads to, joined to these rows; None where the edge is hidden."""
        found = self._joined.get(name)
        if found is None:
            key = self.column(name)
            if key is None:
                return None
            other = View.of(self.record.edges[name].target, self.everything, self.compared, as_of=self.as_of)
            conditions = other.conditions()
            if any(isinstance(each, False_) for each in conditions):  # which a cluster would join to every shard
                conditions = [conditions[0], other.rows.c.workspace_id != workspace()]
            found = self._joined[name] = other, and_(*conditions, other.rows.c.id == key)
        return found[0]

    def source(self, rows: FromClause | None = None) -> FromClause:
        """Return the rows, or a join that has them, with all that was joined to them; to be asked when the columns are
        chosen."""
        source = self.rows if rows is None else rows
        for other, condition in self._joins():
            source = source.outerjoin(other.rows, condition)
        return source

    def _joins(self) -> list[tuple[View, ColumnElement[bool]]]:
        found: list[tuple[View, ColumnElement[bool]]] = []
        for each in self._joined.values():
            found += [each, *each[0]._joins()]
        return found

    def at(self, key: str) -> tuple[View | None, str]:
        """Return the view that a key lies in, joined on the way, and its key there; no view beyond a hidden edge."""
        view: View | None = self
        *edges, last = key.split(BEYOND)
        for name in edges:
            view = None if view is None else view.edge(name)
        return view, last

    def column(self, key: str) -> ColumnElement[Any] | None:
        """Return what may be shown of a column; None where it is hidden on every row."""
        view, last = self.at(key)
        if view is None:
            return None
        if not last:
            return view._raw(view.record.columns["id"])
        if is_about_viewer(last):
            return view._about_viewer(last)
        found = view.record.columns[last]
        beside = found.key != found.field and not found.like
        return view.access.column(found.field, view.rows, view._shown(found), masks=not found.like, beside=beside)

    def told(self, key: str) -> ColumnElement[Any]:
        """Return what may be shown of a column of these rows; of an edge its key where it leads to a row that may be
        seen."""
        shown = self.column(key)
        if shown is None:
            return null()
        return _output(self._leading(key, shown) if key in self.record.edges else shown)

    def _about_viewer(self, key: str) -> ColumnElement[Any]:
        """Return what `viewerCan` or `withheld` says of these rows, beside their other columns."""
        if key != WITHHELD:
            verb = rights_of(self.record.policy)[key.partition(".")[2]]
            permitted = self.access.rows(self.rows, verb)
            return true() if permitted is None else func.coalesce(permitted, false())
        names = []
        for name in dict.fromkeys(each.field for each in self.record.columns.values()):
            if self.access.partial(name):
                shown = self.access.shown(name, self.rows)
                names.append(literal(name, Text) if shown is None else case((shown, null()), else_=literal(name, Text)))
        return func.array_remove(cast(array(names), ARRAY(Text)), null(), type_=ARRAY(Text))

    def comparable(self, key: str, doing: str) -> ColumnElement[Any]:
        """Return a column for filtering, ordering or grouping. Raises Forbidden where it may not be read in clear.

        Masked rows compare as null: a mask is for looking at, not for telling values apart. So does a key that leads to
        a row that may not be seen, which does not exist.
        """
        first, _, rest = key.partition(BEYOND)
        clear = self.clear(first, doing)
        if not rest:
            return self._leading(first, clear) if first in self.record.edges else clear
        other = self.edge(first)
        if other is None:  # hidden, as all of these rows are
            return cast(null(), self.type_of(key))
        return other.comparable(rest, doing)

    def clear(self, key: str, doing: str) -> ColumnElement[Any]:
        """Return a column of these rows where it may be read in clear, null elsewhere; the key of an edge wherever it
        leads. Raises Forbidden where that is nowhere."""
        found = self.record.columns[key]
        column = self._raw(found) if found.encrypted is None else self._blind(found.encrypted, doing)
        if not self.access.allows(READ):  # it is of no rows at all: `conditions` is false
            return column
        clear = self.access.column(found.field, self.rows, column, masks=False)
        if clear is None:
            raise Forbidden(f"Your roles do not allow to {doing} {coordinate(self.record.name, found.field)}.")
        if self.access.audited(found.field):
            self.compared[coordinate(self.record.name, found.field)] = None
        return clear

    def measurable(self, key: str, doing: str) -> tuple[ColumnElement[Any], ColumnElement[bool] | None]:
        """Return a column for summing, and the rows where it may be summed and not be read, if there are any. Raises
        Forbidden where it may be neither."""
        found = self.record.columns[key]
        hidden = self.access.measured_only(found.field, self.rows) if self.access.allows(READ) else None
        if hidden is None:
            return self.comparable(key, doing), None
        if self.access.audited(found.field):
            self.compared[coordinate(self.record.name, found.field)] = None
        measured = self.access.column(found.field, self.rows, self._raw(found), masks=False, measures=True)
        assert measured is not None
        return measured, hidden

    def pointing(self, column: str, key: ColumnElement[Any]) -> ColumnElement[bool]:
        """Return whether these rows point to a key by a foreign key column, as far as that may be read: who may not see
        the customer of a record does not find it among the customer's either."""
        pointer = self.rows.c[column]
        shown = self.column(self.record.edge_along(column))
        if shown is None:
            return false()
        # The column itself is compared, so that its index serves.
        return pointer == key if shown is pointer else and_(pointer == key, shown.is_not(None))

    def _leading(self, name: str, key: ColumnElement[Any]) -> ColumnElement[Any]:
        """Return the key of an edge where it leads to a row that may be seen."""
        other = View.of(self.record.edges[name].target, self.everything, as_of=self.as_of)
        of_two_times = self.as_of and are_versions(self.rows) and not are_versions(other.rows)
        # What is there points to what is there, at one time; to what has no history it can point as it was before.
        if other.access.rows(other.rows) is None and not self.deleted and not of_two_times:
            return key
        found = select(other.rows.c.id).where(*other.conditions(), other.rows.c.id == key)
        return found.correlate(self.rows).scalar_subquery()

    def _raw(self, found: RecordColumn) -> ColumnElement[Any]:
        """Return a column as it is stored; of rows that were cut to the columns in use, NULL for one that is hidden."""
        column: ColumnElement[Any] = self.rows.c.get(found.column, null())
        if found.beside is None:
            return column
        return case((self.rows.c.get(found.beside, null()).is_not(None), column))

    def _shown(self, found: RecordColumn) -> ColumnElement[Any]:
        """Return what is shown of a column where nothing forbids it; of an encrypted one that is its ciphertext, the id
        of its row, and a mark that it may be read, which a mask replaces (`sealed.py` takes it from there)."""
        if found.encrypted is None:
            return self._raw(found)
        return sealed_expression(self.rows.c.id, self._raw(found))

    def _blind(self, mark: Encrypted, doing: str) -> ColumnElement[Any]:
        """Return the blind index of an encrypted column, which says what is equal and nothing else."""
        assert doing == "filter by", f"{mark.name} is encrypted: the schema offers nothing but filters of it"
        column: ColumnElement[Any] = self.rows.c[mark.blind]
        return column

    def type_of(self, key: str) -> TypeEngine[Any]:
        """Return the type of a key's column."""
        record, found = self.record.find(key)
        return record.table.c[found.column].type

    def nullable(self, key: str) -> bool:
        """Return whether a key's expression can be null."""
        if BEYOND in key:  # there may be nothing beyond; which may be of this very type, a customer's parent
            return True
        found = self.record.columns[key]
        return bool(self.record.table.c[found.column].nullable) or self.access.partial(found.field)

    def selection(self, shape: Shape, planning: Planning, also: Sequence[str] = ()) -> list[ColumnElement[Any]]:
        """Return the columns of a shape in its order, labelled `c0`, `c1`, ...; what is hidden is NULL.

        Keys in `also` are the source's own (a cursor, say): they get a NULL to be filled in by it.
        """
        columns: list[ColumnElement[Any]] = []
        for position, key in enumerate(shape.columns):
            expression = None
            if key not in also:
                expression = self.column(key)
                self.note(key, planning)
            columns.append((null() if expression is None else _output(expression)).label(f"c{position}"))
        return columns

    def note(self, key: str, planning: Planning) -> None:
        """Note what is withheld, and what is audited, of a key and of the edges on the way to it."""
        for _, record, found in self._on_the_way(key):
            access = self.everything.of(record.name)
            if access.partial(found.field):
                planning.withhold(coordinate(record.name, found.field))
            if access.audited(found.field):
                planning.audit(coordinate(record.name, found.field))

    def _on_the_way(self, key: str) -> Iterator[tuple[str, Record, RecordColumn]]:
        """Yield the columns that a key reads, those of the edges on the way first: where its record's id lies, the
        record, the column."""
        steps = key.split(BEYOND)
        for end, last in enumerate(steps):
            if last and not is_about_viewer(last):
                record, found = self.record.find(BEYOND.join(steps[: end + 1]))
                yield BEYOND.join((*steps[:end], "")) or "id", record, found

    def sensitive_ids(self, shape: Shape, also: Sequence[str] = ()) -> dict[str, str]:
        """Return the keys of the ids of those records whose audited fields a shape carries, with the ids' prefixes."""
        return {
            id_key: record.prefix
            for key in shape.columns
            if key not in also
            for id_key, record, found in self._on_the_way(key)
            if self.everything.of(record.name).audited(found.field)
        }


def renamed(rows: FromClause) -> FromClause:
    """Return rows under another name: those of a common table that is read at several places of a statement."""
    return rows.alias()


def as_of() -> ColumnElement[Any]:
    """Return the bind of the time as of which is read."""
    return bindparam("as_of", type_=DateTime(timezone=True))


def given_keys() -> ColumnElement[Any]:
    """Return the bind `keys` as an expression that Postgres' planner does not look into.

    Knowing the array, it finds a plan for one key cheaper than one for any number, and so plans every execution anew,
    which takes several times as long as running it.
    """
    return cast(select(bindparam("keys", type_=ARRAY(UUID))).scalar_subquery(), ARRAY(UUID))


def _output(expression: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return an expression as it is printed: a number without trailing zeros, by Postgres, which is 0.4 us a value
    less than by Python."""
    if isinstance(expression.type, Numeric):
        return cast(func.trim_scale(expression), Text)
    return expression
