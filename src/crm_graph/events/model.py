"""The tables of the event log. What reads and writes it is text, and needs no SQLAlchemy."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Identity, Index, SmallInteger, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import UserDefinedType

from crm_graph.db.base import Base, Id
from crm_graph.db.placement import LOCAL
from crm_graph.db.sizes import SizedText

PERSONAL_LETTERS = 200_000
"""What the personal values of a record, old and new, take at most."""


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
    xid: Mapped[int] = mapped_column(Xid8, server_default=text("crm_log_position()"))
    """The transaction's position in the log: its id, behind those of earlier epochs (`events/epoch.py`)."""
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
    actor_kind: Mapped[str | None]
    """Who did it (`identity.viewer.ActorKind`). None in events from before this was kept: a member, where there is an
    actor, and else the system."""
    cause_seq: Mapped[int | None] = mapped_column(BigInteger)
    """The number of the event that this one follows from, where no request made it."""
    depth: Mapped[int | None] = mapped_column(SmallInteger)
    """How many causes it has behind it, one after another; None for none."""
    personal: Mapped[str | None] = mapped_column(SizedText(PERSONAL_LETTERS))
    """The personal values of `changes`, under the key of the person (`vault/persons.py`); None for none."""


class LogEpoch(Base):
    """A stretch of the log's life in one cluster. One row for each, of the installation. Local on Citus."""

    __tablename__ = "log_epoch"
    __placement__ = LOCAL

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """The high bits of its positions (`kernel.cursor.XID_BITS`). 0 is the first; later ones are any larger number."""
    known_xid: Mapped[int] = mapped_column(BigInteger)
    """Up to here all that the epoch before had is here; what it had behind this is possibly lost."""
    system_identifier: Mapped[int | None] = mapped_column(BigInteger)
    """The cluster whose transactions its positions are; None where that is not known."""
    timeline: Mapped[int | None] = mapped_column(BigInteger)
    relation: Mapped[int | None] = mapped_column(BigInteger)
    """The oid of this table there: a dump makes the table anew, also within a cluster."""
    backup_label: Mapped[str | None]
    """The digest of the label of the base backup that the cluster was made from; empty for none; None where we may not
    read it."""
    began_at: Mapped[datetime]


class HistoryPosition(Base):
    """How far the projector has come: all of the log up to here is in the tables of versions. One row, written in the
    transaction that writes these; none until it has begun."""

    __tablename__ = "history_position"
    __placement__ = LOCAL

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    xid: Mapped[int] = mapped_column(BigInteger)
    seq: Mapped[int] = mapped_column(BigInteger)


class HistoryType(Base):
    """A table whose versions are kept, and since when they are whole. None until that has begun."""

    __tablename__ = "history_type"
    __placement__ = LOCAL

    name: Mapped[str] = mapped_column(primary_key=True)
    """The name of the table."""
    began_at: Mapped[datetime]
