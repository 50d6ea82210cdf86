"""The wrapped keys of each workspace, and of each person of whom the log keeps values."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Base, Id
from crm_graph.db.placement import DISTRIBUTED, LOCAL
from crm_graph.vault.columns import sealed


class WorkspaceKey(Base):
    """A key of a workspace, wrapped. The highest version of a purpose is in use; the others open what is older.

    `retired_at` says that no column holds anything of this version any more: the log and backups still do. There is no
    foreign key to the workspace: the keys are made in a transaction of their own, when the workspace need not have been
    committed yet.
    """

    __tablename__ = "workspace_key"
    __placement__ = DISTRIBUTED

    workspace_id: Mapped[Id] = mapped_column(primary_key=True)
    purpose: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    wrapped: Mapped[bytes] = mapped_column(LargeBinary)
    wrapped_by: Mapped[str]
    created_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]


PERSON_KEY = "person key"
"""What the keys of persons are sealed for."""


class PersonKey(Base):
    """A key of a person, sealed under the workspace's: what the log keeps of them is under it. Deleting it erases that.
    Local on Citus, as the log is. `subject_id` is their record; two that wrote of them at once may have made two keys.
    """

    __tablename__ = "person_key"
    __placement__ = LOCAL
    __table_args__ = (Index("ix_person_key_subject_id", "workspace_id", "subject_id"),)

    workspace_id: Mapped[Id] = mapped_column(primary_key=True)
    id: Mapped[Id] = mapped_column(primary_key=True)
    subject_id: Mapped[Id]
    wrapped: Mapped[str] = mapped_column(info=sealed(PERSON_KEY, "id"))
    created_at: Mapped[datetime]
