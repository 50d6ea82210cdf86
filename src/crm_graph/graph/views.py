"""A view: a record's rows as one viewer may see them. The only way from a record to SQL.

`View.column` and `View.conditions` read through the permission compiler, so whatever is built on a view (a page, a
filter, an order, a count, an aggregate, a subscription's check) holds only what the viewer may see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, null

from crm_graph.executor.fields import Planning, Shape, coordinate
from crm_graph.graph.records import Record
from crm_graph.kernel.errors import Forbidden
from crm_graph.permissions.access import Access, TypeAccess
from crm_graph.permissions.grants import READ
from crm_graph.permissions.policy import workspace


@dataclass(frozen=True, slots=True)
class View:
    """Rows of a record's table under an alias, with the viewer's access to them."""

    record: Record
    access: TypeAccess
    rows: FromClause

    @classmethod
    def of(cls, record: Record, access: Access) -> View:
        """Return a view on fresh rows of the record."""
        return cls(record, access.of(record.name), record.table.alias())

    def conditions(self) -> list[ColumnElement[bool]]:
        """Return what every read of these rows must ask for: the workspace, and the rows that may be read."""
        predicate = self.access.rows(self.rows)
        conditions = [self.rows.c.workspace_id == workspace()]
        return conditions if predicate is None else [*conditions, predicate]

    def column(self, key: str) -> ColumnElement[Any] | None:
        """Return what may be shown of a column; None where it is hidden on every row."""
        found = self.record.columns[key]
        return self.access.column(found.field, self.rows, self.rows.c[found.column])

    def comparable(self, key: str, doing: str) -> ColumnElement[Any]:
        """Return a column for filtering, ordering or grouping. Raises Forbidden where it may not be read in clear.

        Masked rows compare as null: a mask is for looking at, not for telling values apart.
        """
        found = self.record.columns[key]
        column: ColumnElement[Any] = self.rows.c[found.column]
        if not self.access.allows(READ):
            return column  # of no rows at all: `conditions` is false
        expression = self.access.column(found.field, self.rows, column, masks=False)
        if expression is None:
            raise Forbidden(f"Your roles do not allow to {doing} {coordinate(self.record.name, found.field)}.")
        return expression

    def selection(self, shape: Shape, planning: Planning, also: Sequence[str] = ()) -> list[ColumnElement[Any]]:
        """Return the columns of a shape in its order, labelled `c0`, `c1`, ...; what is hidden is NULL.

        Keys in `also` are the source's own (a cursor, say): they get a NULL to be filled in by it.
        """
        columns: list[ColumnElement[Any]] = []
        for position, key in enumerate(shape.columns):
            expression = None
            if key not in also:
                found = self.record.columns[key]
                expression = self.column(key)
                if self.access.partial(found.field):
                    planning.withhold(coordinate(self.record.name, found.field))
            columns.append((null() if expression is None else expression).label(f"c{position}"))
        return columns
