"""What is asked of a connection: its fields, its arguments, checked, and the bounds of a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from crm_graph.graph.reading.filters import Form
from crm_graph.graph.reading.orders import OrderKey
from crm_graph.graph.reading.sealed import Search
from crm_graph.graph.records.aggregate_limits import AggregateLimits
from crm_graph.graph.records.filter_limits import FilterLimits

ROWS, CURSOR, TOTAL, EXACT = (
    "rows",
    "$cursor",
    "totalCount",
    "totalCountIsExact",
)  # beside columns of rows, one of which may be called `cursor`
HAS_NEXT, HAS_PREVIOUS, START, END = "hasNextPage", "hasPreviousPage", "startCursor", "endCursor"


@dataclass(frozen=True, slots=True)
class PageLimits:
    """Bounds of one page, and of what stands beside it."""

    root_default: int = 50
    nested_default: int = 10
    maximum: int = 200
    counted: int = 10_000
    """How many rows `totalCount` counts at most."""
    filters: FilterLimits = field(default_factory=FilterLimits)
    aggregates: AggregateLimits = field(default_factory=AggregateLimits)


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
    sought: Form | None = None
    """What the index of texts says of the filter (`grams.py`)."""
    archived: bool = True
    """Whether archived records are among them."""
    deleted: bool = False
    """Whether these are the records in the recycle bin."""
    as_of: datetime | None = None
    """The time as of which they are read; None for now."""

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
        return (
            *(self.form, self.sought, self.order, self.size, self.backward, null_at, self.archived, self.deleted),
            self.as_of is not None,
        )


NullAt = tuple[bool, ...] | None
"""Which sort values of the row that a page starts behind are null; None for the first page."""
