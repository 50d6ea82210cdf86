"""The workspace: the tenant that every other row belongs to."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import CurrencyCode, Row


class Workspace(Row):
    """A tenant. Its `workspace_id` is its own id, so that it is filtered like every other row."""

    __tablename__ = "workspace"
    __table_args__ = (
        CheckConstraint("workspace_id = id", name="is_its_own"),
        Index("uq_workspace_slug", "slug", unique=True),
    )

    name: Mapped[str]
    slug: Mapped[str]
    base_currency: Mapped[CurrencyCode]
    time_zone: Mapped[str]
    directory_version: Mapped[int] = mapped_column(BigInteger, server_default="0")
    """Counts the changes of members and teams: what a process remembers of them is good while this stays."""
