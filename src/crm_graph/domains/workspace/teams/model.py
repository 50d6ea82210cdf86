"""Teams: a tree, each with a manager; the scope TEAM follows it."""

from __future__ import annotations

from sqlalchemy.orm import Mapped

from crm_graph.db.base import Id, Row, indexed, refers, unique


class Team(Row):
    """A team, below `parent_id` where it has one."""

    __tablename__ = "team"
    __table_args__ = (
        refers("workspace_id", "workspace"),
        refers("parent_id", "team"),
        refers("manager_id", "member"),
        unique("name"),
        indexed("team", "parent_id"),
    )

    name: Mapped[str]
    parent_id: Mapped[Id | None]
    manager_id: Mapped[Id | None]
