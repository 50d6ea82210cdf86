"""The table of the event log. What reads and writes it is text, and needs no SQLAlchemy."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Identity, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

from crm_graph.db.base import Base, Id
from crm_graph.db.placement import LOCAL


class Xid8(UserDefinedType[int]):
    """Postgres' 64-bit transaction id, which never wraps."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """Return the type's name in DDL."""
        return "xid8"


class EventRow(Base):
    """The log's table. Local (undistributed) on Citus; never updated."""

    __tablename__ = "event"
    __placement__ = LOCAL
    __table_args__ = (
        Index("ix_event_position", "xid", "seq"),
        Index("ix_event_entity", "workspace_id", "entity_id", "xid", "seq"),
        Index("ix_event_workspace", "workspace_id", "xid", "seq"),
    )

    workspace_id: Mapped[Id] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    xid: Mapped[int] = mapped_column(Xid8, server_default=text("pg_current_xact_id()"))
    type: Mapped[str]
    entity: Mapped[str]
    entity_id: Mapped[Id]
    actor: Mapped[Id | None]
    at: Mapped[datetime]
    changes: Mapped[dict[str, Any]] = mapped_column(JSONB)
    data: Mapped[dict[str, Any]] = mapped_column(JSONB)
    client_id: Mapped[Id | None]
    """The API client by which it was done."""
    address: Mapped[str | None]
    request_id: Mapped[Id | None]
