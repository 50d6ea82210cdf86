"""The workspace: the tenant that every other row belongs to."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Base, CurrencyCode, Id, Row
from crm_graph.db.placement import DISTRIBUTED, REFERENCE


class Workspace(Row):
    """A tenant. Its `workspace_id` is its own id, so that it is filtered like every other row."""

    __tablename__ = "workspace"
    __placement__ = REFERENCE
    __table_args__ = (
        CheckConstraint("workspace_id = id", name="is_its_own"),
        Index("uq_workspace_slug", "slug", unique=True),
    )

    name: Mapped[str]
    slug: Mapped[str]
    base_currency: Mapped[CurrencyCode]
    time_zone: Mapped[str]


class WorkspaceDirectory(Base):
    """Counts the changes of a workspace's members, teams, roles and clients, and of the workspace itself: what a
    process remembers of them is good while this stays. A table of its own, because `workspace` lies on every node of a
    cluster, and each change of a member would wait for all of them. Without a row it is 0."""

    __tablename__ = "workspace_directory"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        ForeignKeyConstraint(
            ["workspace_id", "workspace_id"], ["workspace.workspace_id", "workspace.id"], ondelete="CASCADE"
        ),
    )

    workspace_id: Mapped[Id] = mapped_column(primary_key=True)
    directory_version: Mapped[int] = mapped_column(BigInteger)
