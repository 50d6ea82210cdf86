"""The audit trail: an entry for each event of the log, chained, and the end of each workspace's chain."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Base, Id, indexed
from crm_graph.db.placement import DISTRIBUTED, LOCAL
from crm_graph.db.sizes import SizedList


class AuditEntry(Base):
    """One entry: what the log says, where it says it, and the seal over both. Only the chainer writes it, once.

    `number` counts a workspace's entries from 1 without gaps. Hashes are hex digits. No foreign key: an entry outlives
    the member and the client that it names.
    """

    __tablename__ = "audit_entry"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        UniqueConstraint("workspace_id", "id"),
        UniqueConstraint("workspace_id", "event_seq"),
        indexed("audit_entry", "record_id"),
        indexed("audit_entry", "actor_id"),
        indexed("audit_entry", "type"),
        Index("ix_audit_entry_at", "workspace_id", "at", "id"),
    )

    workspace_id: Mapped[Id] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    id: Mapped[Id]
    event_xid: Mapped[int] = mapped_column(BigInteger)
    event_seq: Mapped[int] = mapped_column(BigInteger)
    type: Mapped[str]
    entity: Mapped[str]
    record_id: Mapped[str]
    """As the API spells it, `cus_...`; the bare digits where the entity is no type of the schema."""
    record_ids: Mapped[list[str]] = mapped_column(SizedList(200, 40))
    fields: Mapped[list[str]] = mapped_column(SizedList(200, 100))
    actor_id: Mapped[Id | None]
    client_id: Mapped[Id | None]
    address: Mapped[str | None]
    request_id: Mapped[str | None]
    at: Mapped[datetime]
    sealed_at: Mapped[datetime]
    key_id: Mapped[str]
    digest: Mapped[str]
    previous_hash: Mapped[str]
    hash: Mapped[str]
    actor_kind: Mapped[str | None]
    """Who did it (`identity.viewer.ActorKind`). None in entries of the first release."""


class AuditHead(Base):
    """The end of a workspace's chain, under a seal of its own: whoever cuts the chain cannot make the head of the rest.

    The greatest position of all heads is how far the chainer has come.
    """

    __tablename__ = "audit_head"
    __placement__ = LOCAL
    __table_args__ = (Index("ix_audit_head_position", "event_xid", "event_seq"),)

    workspace_id: Mapped[Id] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str]
    event_xid: Mapped[int] = mapped_column(BigInteger)
    event_seq: Mapped[int] = mapped_column(BigInteger)
    key_id: Mapped[str]
    seal: Mapped[str]


class AuditDeferral(Base):
    """A workspace whose worker of a cluster is down: the chainer has gone on, and its events behind this position are
    yet to be sealed. None on a plain Postgres."""

    __tablename__ = "audit_deferral"
    __placement__ = LOCAL

    workspace_id: Mapped[Id] = mapped_column(primary_key=True)
    event_xid: Mapped[int] = mapped_column(BigInteger)
    event_seq: Mapped[int] = mapped_column(BigInteger)
