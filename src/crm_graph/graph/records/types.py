"""The output types that all records share: money, pages and the generic connection."""

from __future__ import annotations

from decimal import Decimal
from typing import Generic, TypeVar

import strawberry

from crm_graph.graph.records.scalars import Currency

T = TypeVar("T")


@strawberry.type(description="An amount in a currency.")
class Money:
    """Read from two columns of the record (`records.money`)."""

    amount: Decimal = strawberry.field(description="The amount, exact.")
    currency: Currency = strawberry.field(description="The currency of the amount.")


@strawberry.type(description="Where a page lies within its connection, as Relay defines it.")
class PageInfo:
    """Made by the connection source."""

    has_next_page: bool = strawberry.field(description="Whether more edges follow; exact when paging forward.")
    has_previous_page: bool = strawberry.field(description="Whether edges precede; exact when paging backward.")
    start_cursor: str | None = strawberry.field(description="The cursor of the first edge; null for an empty page.")
    end_cursor: str | None = strawberry.field(description="The cursor of the last edge; pass it as `after`.")


@strawberry.type(description="A record at its place in a connection.")
class Edge(Generic[T]):
    """One element of a connection, with its cursor."""

    cursor: str = strawberry.field(description="The sealed position of this edge; pass it as `after` or `before`.")
    node: T = strawberry.field(description="The record.")


@strawberry.type(description="A page of records.")
class Connection(Generic[T]):
    """A keyset-paginated list."""

    edges: list[Edge[T]] = strawberry.field(description="The page's records with their cursors.")
    nodes: list[T] = strawberry.field(description="The page's records, for those who need no cursors.")
    page_info: PageInfo = strawberry.field(description="Whether there are more pages, and the cursors to ask for them.")
    total_count: int = strawberry.field(
        description="How many records match in all, of those you may see. Counted only when it is selected, and no"
        " further than the installation says, 10,000 unless it says otherwise: see `totalCountIsExact`."
    )
    total_count_is_exact: bool = strawberry.field(
        description="Whether `totalCount` is all of them; false where counting stopped there and more match."
    )


@strawberry.type
class AggregateOf(Generic[T]):
    """Marks a field of Query as the aggregate of a record; `build.py` puts the derived type in its place."""

    of: T
