"""Who works here: teams in a tree, and members, among them one account per built-in role with an easy address.

company            admin, analyst
  East China       manager            Shanghai: rep and colleagues, Hangzhou
  South China      manager.south      Shenzhen, Overseas
  Service          support
  Marketing        marketer
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import asyncpg

from crm_graph.demo.copy import Sheets
from crm_graph.demo.dice import Dice
from crm_graph.demo.names import chinese_person, western_person
from crm_graph.demo.times import START
from crm_graph.domains.workspace.members.model import Member, MemberAddress, MemberRole, MemberStatus, Team
from crm_graph.permissions.roles import (
    ADMIN,
    ANALYST,
    FINANCE,
    INTEGRATION,
    MARKETER,
    SALES_MANAGER,
    SALES_REP,
    SERVICE_MANAGER,
    SUPPORT_AGENT,
)

CUSTOMERS_PER_MEMBER = 500
_KEY_ACCOUNTS = 0.04
COMPANY, EAST, SOUTH, SERVICE, MARKETING = "总公司 Headquarters", "华东区", "华南区", "客户服务部", "市场部"
SHANGHAI, HANGZHOU, SHENZHEN, OVERSEAS = "上海销售组", "杭州销售组", "深圳销售组", "海外销售组"
SALES_TEAMS = (SHANGHAI, HANGZHOU, SHENZHEN, OVERSEAS)

_TEAMS = (  # name, the one above, the mailbox of the manager
    (COMPANY, None, "admin"),
    (EAST, COMPANY, "manager"),
    (SOUTH, COMPANY, "manager.south"),
    (SHANGHAI, EAST, "manager"),
    (HANGZHOU, EAST, "manager"),
    (SHENZHEN, SOUTH, "manager.south"),
    (OVERSEAS, SOUTH, "manager.south"),
    (SERVICE, COMPANY, "support"),
    (MARKETING, COMPANY, "marketer"),
)
_MEMBERS = (  # mailbox, name, role, team; a role's easy address comes first, since the first account of a role is shown
    ("admin", "陈晓明", ADMIN, COMPANY),
    ("manager", "王丽华", SALES_MANAGER, EAST),
    ("rep", "李强", SALES_REP, SHANGHAI),
    ("marketer", "林雨桐", MARKETER, MARKETING),
    ("support", "周海燕", SUPPORT_AGENT, SERVICE),
    ("analyst", "Nina Keller", ANALYST, COMPANY),
    ("integration", "Integration", INTEGRATION, None),
    ("manager.south", "黄志强", SALES_MANAGER, SOUTH),
    ("rep2", "赵静", SALES_REP, SHANGHAI),
    ("rep3", "吴文博", SALES_REP, HANGZHOU),
    ("rep4", "郑佳琪", SALES_REP, SHENZHEN),
    ("rep5", "Olivia Reed", SALES_REP, OVERSEAS),
)
_OFFICE = (("service", "沈雅文", SERVICE_MANAGER, SERVICE), ("finance", "许文博", FINANCE, COMPANY))
"""Who comes last, so that the ids of the others stay as they are."""
_HIRED = (  # role and team of those that come with more customers, in turn
    *((SALES_REP, team) for team in SALES_TEAMS),
    (SUPPORT_AGENT, SERVICE),
    *((SALES_REP, team) for team in SALES_TEAMS),
    (MARKETER, MARKETING),
)
_MAILBOX = {SALES_REP: "rep", SUPPORT_AGENT: "support", MARKETER: "marketer"}


@dataclass(frozen=True, slots=True)
class Seller:
    """Who owns customers and deals, and who approves their orders."""

    id: str
    team: str
    manager_id: str


@dataclass(slots=True)
class Organisation:
    """The members by what they do."""

    admin_id: str = ""
    sellers: list[Seller] = field(default_factory=list)
    managers: list[Seller] = field(default_factory=list)
    by_team: dict[str, list[Seller]] = field(default_factory=dict)
    agents: list[str] = field(default_factory=list)
    marketers: list[str] = field(default_factory=list)
    team_managers: list[tuple[str, str]] = field(default_factory=list)
    """Team and manager: set once both are there, since a team has a manager and a manager has a team."""

    def owner(self, dice: Dice) -> Seller:
        """Return who looks after a new customer: now and then a manager, mostly a representative."""
        return dice.pick(self.managers if dice.chance(_KEY_ACCOUNTS) else self.sellers)

    def colleague(self, dice: Dice, seller: Seller) -> Seller:
        """Return somebody of the same team."""
        return dice.pick(self.by_team[seller.team])


def organise(sheets: Sheets, dice: Dice, customers: int) -> Organisation:
    """Write teams and members for a number of customers."""
    teams = sheets.open(Team, "id", "name", "parent_id", "version", "created_at", "updated_at")
    members = sheets.open(
        Member, "id", "name", "email", "status", "team_id", "manager_id", "version", "created_at", "updated_at"
    )
    roles = sheets.open(MemberRole, "member_id", "role")
    addresses = sheets.open(MemberAddress, "email")
    team_ids: dict[str, str] = {}
    for name, parent, _ in _TEAMS:
        team_ids[name] = teams.new_id()
        above = None if parent is None else team_ids[parent]
        teams.rows.append((sheets.workspace_id, team_ids[name], name, above, 1, START, START))
    organisation = Organisation()
    ids: dict[str, str] = {}
    for mailbox, name, role, team in (*_MEMBERS, *_hired(dice, customers // CUSTOMERS_PER_MEMBER), *_OFFICE):
        boss = _boss_of(team) if mailbox != _boss_of(team) else "admin"
        manager_id = ids.get(boss) if mailbox != "admin" else None
        ids[mailbox] = id_ = members.new_id()
        team_id = None if team is None else team_ids[team]
        row = (id_, name, f"{mailbox}@example.com", MemberStatus.ACTIVE.value, team_id, manager_id, 1, START, START)
        members.rows.append((sheets.workspace_id, *row))
        roles.rows.append((sheets.workspace_id, id_, role))
        addresses.rows.append((sheets.workspace_id, f"{mailbox}@example.com"))
        _employ(organisation, id_, role, team, manager_id)
    organisation.admin_id = ids["admin"]
    organisation.team_managers = [(team_ids[name], ids[manager]) for name, _, manager in _TEAMS]
    return organisation


def _hired(dice: Dice, count: int) -> list[tuple[str, str, str, str]]:
    accounts = []
    numbers = {SALES_REP: 6, SUPPORT_AGENT: 2, MARKETER: 2}
    for index in range(count):
        role, team = _HIRED[index % len(_HIRED)]
        who = western_person(dice) if team == OVERSEAS else chinese_person(dice)
        accounts.append((f"{_MAILBOX[role]}{numbers[role]}", who.name, role, team))
        numbers[role] += 1
    return accounts


def _boss_of(team: str | None) -> str:
    return next((manager for name, _, manager in _TEAMS if name == team), "admin")


def _employ(organisation: Organisation, id_: str, role: str, team: str | None, manager_id: str | None) -> None:
    if role in (SALES_REP, SALES_MANAGER):
        assert team is not None
        assert manager_id is not None
        seller = Seller(id_, team, manager_id)
        (organisation.sellers if role == SALES_REP else organisation.managers).append(seller)
        organisation.by_team.setdefault(team, []).append(seller)
    elif role == SUPPORT_AGENT:
        organisation.agents.append(id_)
    elif role == MARKETER:
        organisation.marketers.append(id_)


async def appoint_managers(connection: asyncpg.Connection[Any], workspace_id: str, organisation: Organisation) -> None:
    """Set the managers of the teams."""
    await connection.executemany(
        "UPDATE team SET manager_id = $3 WHERE workspace_id = $1 AND id = $2",
        [(workspace_id, team_id, manager_id) for team_id, manager_id in organisation.team_managers],
    )
