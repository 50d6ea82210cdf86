"""Members: the people who work in a workspace, their roles, and the tree of their teams."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Any

from sqlalchemy import ForeignKeyConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Base, Email, Id, Key, RoleName, Row, indexed, refers, unique
from crm_graph.db.lists import Text, found_by, ordered_by, searched
from crm_graph.db.placement import DISTRIBUTED, LOCAL
from crm_graph.db.rules import Address, held_to, one_of
from crm_graph.db.sizes import SizedJson, SizedText
from crm_graph.domains.workspace.members.events import MemberReactivated, MemberSuspended
from crm_graph.kernel.errors import Refused


class MemberStatus(Enum):
    """Whether a member may sign in."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"


class MemberKind(Enum):
    """Who stands behind a member."""

    PERSON = "PERSON"
    SERVICE = "SERVICE"


class Member(Row):
    """A person who works in the workspace, or an API client at work; `email` is unique in it, in any case."""

    __tablename__ = "member"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("workspace_id", "workspace"),
        ForeignKeyConstraint(
            ["workspace_id", "team_id"], ["team.workspace_id", "team.id"], use_alter=True, name="fk_member_team_id"
        ),
        refers("manager_id", "member"),
        unique("external_id"),
        Index("uq_member_email", "workspace_id", text("lower(email)"), unique=True),
        indexed("member", "team_id"),
        indexed("member", "manager_id"),
        ordered_by("member", "name", Text),
        ordered_by("member", "email", Text),
        ordered_by("member", "created_at"),
        ordered_by("member", "updated_at"),
        found_by("member", "name"),
        searched("member", "name", "email"),
        one_of("status", MemberStatus),
        one_of("kind", MemberKind),
    )

    name: Mapped[str]
    email: Mapped[Email] = mapped_column(info=held_to(Address()))
    kind: Mapped[str] = mapped_column(default=MemberKind.PERSON.value, server_default=MemberKind.PERSON.value)
    status: Mapped[str] = mapped_column(default=MemberStatus.ACTIVE.value, server_default="ACTIVE")
    team_id: Mapped[Id | None]
    manager_id: Mapped[Id | None]
    external_id: Mapped[Key | None]
    not_before: Mapped[datetime | None]
    """When the member was suspended last: what was given out before does not let in again, whatever became of them."""

    def suspend(self) -> MemberSuspended:
        """Keep the member from signing in; what they own stays theirs. Raises Refused when they are suspended."""
        if self.status == MemberStatus.SUSPENDED.value:
            raise Refused("ILLEGAL_TRANSITION", f"{self.name} is suspended already.", ("id",))
        self.status = MemberStatus.SUSPENDED.value
        return MemberSuspended()

    def reactivate(self) -> MemberReactivated:
        """Let a suspended member sign in again. Raises Refused when they are active."""
        if self.status == MemberStatus.ACTIVE.value:
            raise Refused("ILLEGAL_TRANSITION", f"{self.name} is active.", ("id",))
        self.status = MemberStatus.ACTIVE.value
        return MemberReactivated()


class MemberAddress(Base):
    """In which workspaces somebody has an address: who signs in may not say in which, and to ask all members would be
    to ask every node of a cluster. Written by whoever writes a member's e-mail, in its transaction; what it leads to is
    still asked of the member."""

    __tablename__ = "member_address"
    __placement__ = LOCAL
    __table_args__ = (Index("ix_member_address_email", "email"),)

    workspace_id: Mapped[Id] = mapped_column(primary_key=True)
    email: Mapped[Email] = mapped_column(primary_key=True)
    """In small letters, as Postgres' `lower` makes them."""


class MemberRole(Base):
    """That a member has a role. A member has any number of them and gets the union of their grants."""

    __tablename__ = "member_role"
    __placement__ = DISTRIBUTED
    __table_args__ = (refers("member_id", "member", on_delete="CASCADE"),)

    workspace_id: Mapped[Id] = mapped_column(primary_key=True)
    member_id: Mapped[Id] = mapped_column(primary_key=True)
    role: Mapped[RoleName] = mapped_column(primary_key=True)


class RoleRow(Row):
    """A role that the workspace defines, or a built-in one that it redefines; `grants` is in the form of role files."""

    __tablename__ = "role"
    __placement__ = DISTRIBUTED
    __table_args__ = (refers("workspace_id", "workspace"), unique("name"))

    name: Mapped[RoleName]
    description: Mapped[str | None] = mapped_column(SizedText(1_000))
    grants: Mapped[dict[str, Any]] = mapped_column(SizedJson(128 * 1024))


class Team(Row):
    """A team, below `parent_id` where it has one."""

    __tablename__ = "team"
    __placement__ = DISTRIBUTED
    __few__ = True
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
