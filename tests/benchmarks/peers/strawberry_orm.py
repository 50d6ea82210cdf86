"""Textbook Strawberry: SQLAlchemy's ORM on asyncpg, aiodataloader, parser and validation caches, orjson for the answer.

Resolvers return mapped rows, which saves a copy into Strawberry's types. The models map only the columns that these
operations need, so the ORM loads no more than the other servers do. A session is used by one task at a time, so each
resolver and each batch opens its own.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from typing import Any

import orjson
import strawberry
from aiodataloader import DataLoader
from sqlalchemy import Select, func, select
from sqlalchemy.orm import aliased
from strawberry.asgi import GraphQL
from strawberry.extensions import ParserCache, ValidationCache

from tests.benchmarks.peers.strawberry_models import (
    WORKSPACE,
    CustomerRow,
    MemberRow,
    OpportunityRow,
    OrderLineRow,
    OrderRow,
    Row,
    Session,
    StageRow,
    TicketRow,
)
from tests.benchmarks.peers.strawberry_move import move


async def fetch(statement: Select[Any]) -> Sequence[Any]:
    """Return the mapped rows of a statement."""
    async with Session() as session:
        found: Sequence[Any] = (await session.scalars(statement)).all()
        return found


def by_id(model: type[Row]) -> DataLoader[uuid.UUID, Any]:
    """Return a loader of rows by id."""

    async def load(keys: list[uuid.UUID]) -> list[Any]:
        rows = await fetch(select(model).where(model.workspace_id == WORKSPACE, model.id.in_(keys)))
        found = {row.id: row for row in rows}
        return [found.get(key) for key in keys]

    return DataLoader(load)


def by_parent(model: Any, column: str, first: int | None) -> DataLoader[uuid.UUID, list[Any]]:
    """Return a loader of the first rows of each parent, or of all of them."""

    async def load(keys: list[uuid.UUID]) -> list[list[Any]]:
        parent = getattr(model, column)
        mine = select(model).where(model.workspace_id == WORKSPACE, parent.in_(keys))
        if first is None:
            statement = mine.order_by(model.id)
        else:
            place = func.row_number().over(partition_by=parent, order_by=model.id).label("place")
            numbered = mine.add_columns(place).subquery()
            chosen = aliased(model, numbered)
            statement = select(chosen).where(numbered.c.place <= first).order_by(chosen.id)
        found = defaultdict(list)
        for row in await fetch(statement):
            found[getattr(row, column)].append(row)
        return [found[key] for key in keys]

    return DataLoader(load)


class Loaders:
    """The loaders of one request."""

    def __init__(self) -> None:
        self._children: dict[tuple[Any, str, int | None], DataLoader[uuid.UUID, list[Any]]] = {}

    @cached_property
    def members(self) -> DataLoader[uuid.UUID, Any]:
        """Members by id."""
        return by_id(MemberRow)

    @cached_property
    def customers(self) -> DataLoader[uuid.UUID, Any]:
        """Customers by id."""
        return by_id(CustomerRow)

    @cached_property
    def stages(self) -> DataLoader[uuid.UUID, Any]:
        """Stages by id."""
        return by_id(StageRow)

    def children(self, model: Any, column: str, first: int | None = None) -> DataLoader[uuid.UUID, list[Any]]:
        """Rows by the parent that they point to."""
        key = (model, column, first)
        if key not in self._children:
            self._children[key] = by_parent(*key)
        return self._children[key]


def loaders(info: strawberry.Info[Any, Any]) -> Loaders:
    """Return the loaders of the request."""
    found: Loaders = info.context["loaders"]
    return found


def edge(column: str, loader: Callable[[Loaders], DataLoader[uuid.UUID, Any]]) -> Any:
    """Return the resolver of an edge to one row."""

    async def resolve(root: strawberry.Parent[Any], info: strawberry.Info[Any, Any]) -> Any:
        key = getattr(root, column)
        return None if key is None else await loader(loaders(info)).load(key)

    return resolve


@strawberry.type
class Member:
    """A member."""

    id: uuid.UUID
    name: str


@strawberry.type
class Stage:
    """A stage of a pipeline."""

    id: uuid.UUID
    name: str


@strawberry.type
class Ticket:
    """A ticket."""

    id: uuid.UUID
    number: str
    subject: str
    status: str


@strawberry.type
class OrderLine:
    """A line of an order."""

    id: uuid.UUID
    quantity: Decimal
    total: Decimal
    currency: str


@strawberry.type
class Order:
    """An order."""

    id: uuid.UUID
    number: str
    status: str

    @strawberry.field
    async def lines(self, info: strawberry.Info[Any, Any]) -> list[OrderLine]:
        """Its lines."""
        return await loaders(info).children(OrderLineRow, "order_id").load(self.id)


@strawberry.type
class Customer:
    """A customer."""

    id: uuid.UUID
    name: str
    kind: str
    lifecycle: str
    industry: str | None
    city: str | None
    version: int
    created_at: datetime
    owner: Member | None = strawberry.field(resolver=edge("owner_id", lambda each: each.members))

    @strawberry.field
    async def opportunities(self, info: strawberry.Info[Any, Any], first: int) -> list[Opportunity]:
        """Its deals."""
        return await loaders(info).children(OpportunityRow, "customer_id", first).load(self.id)

    @strawberry.field
    async def tickets(self, info: strawberry.Info[Any, Any], first: int) -> list[Ticket]:
        """Its tickets."""
        return await loaders(info).children(TicketRow, "customer_id", first).load(self.id)

    @strawberry.field
    async def orders(self, info: strawberry.Info[Any, Any], first: int) -> list[Order]:
        """Its orders."""
        return await loaders(info).children(OrderRow, "customer_id", first).load(self.id)


@strawberry.type
class Opportunity:
    """A deal."""

    id: uuid.UUID
    name: str
    status: str
    amount: Decimal | None
    currency: str
    probability: int
    expected_close: date | None
    source: str | None
    created_at: datetime
    customer: Customer | None = strawberry.field(resolver=edge("customer_id", lambda each: each.customers))
    owner: Member | None = strawberry.field(resolver=edge("owner_id", lambda each: each.members))
    stage: Stage = strawberry.field(resolver=edge("stage_id", lambda each: each.stages))


@strawberry.type
class Opportunities:
    """A page of deals."""

    where: strawberry.Private[list[Any]]
    order: strawberry.Private[list[Any]]
    first: strawberry.Private[int]

    @strawberry.field
    async def total_count(self) -> int:
        """How many there are in all."""
        async with Session() as session:
            return await session.scalar(select(func.count()).select_from(OpportunityRow).where(*self.where)) or 0

    @strawberry.field
    async def nodes(self) -> list[Opportunity]:
        """The deals."""
        return list(await fetch(select(OpportunityRow).where(*self.where).order_by(*self.order).limit(self.first)))


@strawberry.type
class StageGroup:
    """The deals of a stage, summed up."""

    stage_id: strawberry.Private[uuid.UUID]
    count: int
    amount: Decimal | None
    stage: Stage = strawberry.field(resolver=edge("stage_id", lambda each: each.stages))


@strawberry.type
class Query:
    """The root of queries."""

    @strawberry.field
    async def customer(self, id: uuid.UUID) -> Customer | None:
        """A customer by id."""
        async with Session() as session:
            found: Any = await session.get(CustomerRow, (WORKSPACE, id))
            return found  # type: ignore[no-any-return]

    @strawberry.field
    async def customers(self, first: int) -> list[Customer]:
        """The first customers."""
        mine = select(CustomerRow).where(CustomerRow.workspace_id == WORKSPACE)
        return list(await fetch(mine.order_by(CustomerRow.id).limit(first)))

    @strawberry.field
    def opportunities(
        self, first: int, status: str | None = None, min_amount: Decimal | None = None, largest_first: bool = False
    ) -> Opportunities:
        """A page of deals."""
        where = [OpportunityRow.workspace_id == WORKSPACE]
        if status is not None:
            where.append(OpportunityRow.status == status)
        if min_amount is not None:
            where.append(OpportunityRow.amount >= min_amount)
        largest = OpportunityRow.amount.desc()
        if min_amount is None:
            largest = largest.nulls_last()  # with a least amount there are no nulls, and the index serves
        order: list[Any] = [largest] if largest_first else []
        return Opportunities(where=where, order=[*order, OpportunityRow.id], first=first)

    @strawberry.field
    async def opportunities_by_stage(self) -> list[StageGroup]:
        """The deals by stage."""
        stage = OpportunityRow.stage_id
        grouped = select(stage, func.count(), func.sum(OpportunityRow.amount))
        async with Session() as session:
            mine = grouped.where(OpportunityRow.workspace_id == WORKSPACE).group_by(stage).order_by(stage)
            rows = (await session.execute(mine)).all()
        return [StageGroup(stage_id=row[0], count=row[1], amount=row[2]) for row in rows]


@strawberry.type
class Mutation:
    """The root of mutations."""

    @strawberry.mutation
    async def move_opportunity(self, id: uuid.UUID, stage_id: uuid.UUID) -> Opportunity:
        """Move a deal to another stage."""
        async with Session() as session, session.begin():
            moved: Any = await move(session, id, stage_id)
        return moved  # type: ignore[no-any-return]


class Endpoint(GraphQL[Any, Any]):
    """The HTTP endpoint: loaders per request, and a fast JSON encoder."""

    async def get_context(self, request: Any, response: Any) -> dict[str, Any]:
        """Return a context with fresh loaders."""
        return {"request": request, "response": response, "loaders": Loaders()}

    def encode_json(self, data: object) -> bytes:
        """Encode the answer."""
        return orjson.dumps(data)


schema = strawberry.Schema(Query, Mutation, extensions=[ParserCache, ValidationCache])
app = Endpoint(schema, graphql_ide=None)
