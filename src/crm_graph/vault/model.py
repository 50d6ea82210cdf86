"""The wrapped keys of each workspace."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Base, Id
from crm_graph.db.placement import DISTRIBUTED


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
