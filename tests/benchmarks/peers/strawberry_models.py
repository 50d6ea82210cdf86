"""The mapped classes of the textbook server, its engine with a pool of 10, and where it works."""

from __future__ import annotations

import os
import uuid
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, DateTime, Identity, Text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

WORKSPACE = uuid.UUID(os.environ["BENCH_WORKSPACE"])
MEMBER = uuid.UUID(os.environ["BENCH_MEMBER"])

engine = create_async_engine(
    os.environ["BENCH_URL"].replace("postgresql:", "postgresql+asyncpg:"), pool_size=10, max_overflow=0
)
Session = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    """The root of the models: every table is keyed by workspace and id."""

    type_annotation_map = {str: Text, datetime: DateTime(timezone=True)}  # noqa: RUF012 - as the ORM wants it


class Row(Base):
    """What all tables have."""

    __abstract__ = True

    workspace_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)


class MemberRow(Row):
    """A member."""

    __tablename__ = "member"
    name: Mapped[str]


class StageRow(Row):
    """A stage of a pipeline."""

    __tablename__ = "stage"
    name: Mapped[str]
    kind: Mapped[str]
    probability: Mapped[int]
    pipeline_id: Mapped[uuid.UUID]
    required_fields: Mapped[list[str]] = mapped_column(ARRAY(Text))


class CustomerRow(Row):
    """A customer."""

    __tablename__ = "customer"
    name: Mapped[str]
    kind: Mapped[str]
    lifecycle: Mapped[str]
    industry: Mapped[str | None]
    city: Mapped[str | None]
    version: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    owner_id: Mapped[uuid.UUID | None]


class OpportunityRow(Row):
    """A deal."""

    __tablename__ = "opportunity"
    name: Mapped[str]
    status: Mapped[str]
    amount: Mapped[Decimal | None]
    currency: Mapped[str]
    probability: Mapped[int]
    expected_close: Mapped[date | None]
    next_step: Mapped[str | None]
    source: Mapped[str | None]
    version: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    stage_since: Mapped[datetime]
    customer_id: Mapped[uuid.UUID | None]
    owner_id: Mapped[uuid.UUID | None]
    stage_id: Mapped[uuid.UUID]
    pipeline_id: Mapped[uuid.UUID]


class TicketRow(Row):
    """A ticket."""

    __tablename__ = "ticket"
    number: Mapped[str]
    subject: Mapped[str]
    status: Mapped[str]
    customer_id: Mapped[uuid.UUID | None]


class OrderRow(Row):
    """An order."""

    __tablename__ = "sales_order"
    number: Mapped[str]
    status: Mapped[str]
    customer_id: Mapped[uuid.UUID]


class OrderLineRow(Row):
    """A line of an order."""

    __tablename__ = "order_line"
    quantity: Mapped[Decimal]
    total: Mapped[Decimal]
    currency: Mapped[str]
    order_id: Mapped[uuid.UUID]


class StageMoveRow(Row):
    """An entry in the history of a deal."""

    __tablename__ = "stage_move"
    opportunity_id: Mapped[uuid.UUID]
    from_stage_id: Mapped[uuid.UUID | None]
    to_stage_id: Mapped[uuid.UUID]
    member_id: Mapped[uuid.UUID]
    moved_at: Mapped[datetime]
    seconds_in_stage: Mapped[int | None]
    version: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class EventRow(Base):
    """An entry in the log of changes."""

    __tablename__ = "event"
    workspace_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    type: Mapped[str]
    entity: Mapped[str]
    entity_id: Mapped[uuid.UUID]
    actor: Mapped[uuid.UUID | None]
    at: Mapped[datetime]
    changes: Mapped[dict[str, Any]] = mapped_column(JSONB)
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)
