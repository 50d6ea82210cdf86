"""The workspace: the tenant that every other row belongs to."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, ForeignKeyConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Base, CurrencyCode, Id, Row
from crm_graph.db.placement import DISTRIBUTED, REFERENCE
from crm_graph.db.rules import TimeZone, between, held_to


class Workspace(Row):
    """A tenant. Its `workspace_id` is its own id, so that it is filtered like every other row."""

    __tablename__ = "workspace"
    __placement__ = REFERENCE
    __table_args__ = (
        CheckConstraint("workspace_id = id", name="is_its_own"),
        Index("uq_workspace_slug", "slug", unique=True),
        between("fiscal_year_start", 1, 12),
    )

    name: Mapped[str]
    slug: Mapped[str]
    base_currency: Mapped[CurrencyCode]
    time_zone: Mapped[str] = mapped_column(info=held_to(TimeZone()))
    fiscal_year_start: Mapped[int] = mapped_column(default=1, server_default="1")
    """The month in which the fiscal year begins."""


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
