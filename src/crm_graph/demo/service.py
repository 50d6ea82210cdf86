"""Tickets with their replies, and the counter that numbers the next one."""

from __future__ import annotations

from crm_graph.demo.catalogue import Catalogue
from crm_graph.demo.copy import Sheets
from crm_graph.demo.customers import Buyer
from crm_graph.demo.dice import Dice
from crm_graph.demo.organisation import Organisation
from crm_graph.demo.times import DAY, END, HOUR
from crm_graph.domains.service.tickets.model import (
    Ticket,
    TicketChannel,
    TicketCounter,
    TicketKind,
    TicketPriority,
    TicketReply,
    TicketStatus,
)

TICKETS = (0, 0, 0, 1, 1, 2, 2, 3, 5, 6)
"""How many tickets each of ten customers has."""
_NEW, _OPEN, _PENDING = TicketStatus.NEW, TicketStatus.OPEN, TicketStatus.PENDING
_RESOLVED, _CLOSED = TicketStatus.RESOLVED, TicketStatus.CLOSED
_STATUSES = (_NEW, _OPEN, _OPEN, _PENDING, *[_RESOLVED] * 3, *[_CLOSED] * 8)
_SETTLED = frozenset({_RESOLVED, _CLOSED})
_KINDS = tuple(kind.value for kind in TicketKind)
_CHANNELS = tuple(channel.value for channel in TicketChannel)
_PRIORITIES = tuple(
    priority.value for priority, often in zip(TicketPriority, (3, 10, 4, 1), strict=True) for _ in range(often)
)
_SUBJECTS = {
    True: (
        "无法登录",
        "发票开具问题",
        "设备报错",
        "如何导出数据",
        "申请上门安装",
        "响应速度太慢",
        "希望增加报表",
        "配件缺失",
        "升级失败",
    ),
    False: (
        "Cannot sign in",
        "Invoice is wrong",
        "Device shows an error",
        "How to export",
        "Please install",
        "Too slow",
    ),
}
_ANSWERS = {
    True: (
        "您好，已收到您的问题，正在处理。",
        "请按照附件中的步骤操作。",
        "我们已安排工程师联系您。",
        "感谢您的反馈，已转给产品部门。",
    ),
    False: ("Thank you, we are looking into it.", "Please follow the attached steps.", "An engineer will call you."),
}
_NOTES = ("已转二线处理", "客户情绪激动，请尽快回访", "与历史工单相同", "Waiting for parts")
_RESOLUTIONS = {
    True: ("已远程解决", "已更换配件", "已重新开票", "已指导客户操作", "已升级到最新版本"),
    False: ("Solved remotely", "Part replaced", "Explained to the customer", "Invoice corrected"),
}


class Tickets:
    """Makes the tickets of customers, who are answered by the service team."""

    def __init__(self, sheets: Sheets, organisation: Organisation, catalogue: Catalogue, dice: Dice) -> None:
        self._workspace = sheets.workspace_id
        self._agents = organisation.agents
        self._catalogue = catalogue
        self._dice = dice
        self._tickets = sheets.open(
            Ticket,
            *("id", "number", "subject", "description", "kind", "channel", "priority", "status", "customer_id"),
            *("contact_id", "product_id", "assignee_id", "first_response_at", "resolved_at", "closed_at"),
            *("resolution", "satisfaction", "version", "created_at", "updated_at"),
        )
        self._replies = sheets.open(
            TicketReply, "id", "ticket_id", "body", "public", "author_id", "version", "created_at", "updated_at"
        )
        self._counter = sheets.open(TicketCounter, "last_number")

    def add(self, buyer: Buyer, count: int) -> None:
        """Write a customer's tickets."""
        for _ in range(count):
            self._add(buyer, self._dice.pick(_STATUSES))

    def write_counter(self) -> None:
        """Write the last number, where the next ticket goes on."""
        self._counter.rows.append((self._workspace, self._tickets.made))

    def _add(self, buyer: Buyer, status: TicketStatus) -> None:
        dice, chinese = self._dice, buyer.company.chinese
        settled = status in _SETTLED
        earliest = buyer.created if settled else max(buyer.created, END - 14 * DAY)
        created = dice.between(earliest, END - (15 * DAY if settled else 2 * DAY))
        id_ = self._tickets.new_id()
        agent = dice.pick(self._agents)
        first_response, updated = self._reply(id_, agent, created, status, chinese)
        resolved = updated + dice.between(HOUR, 3 * DAY) if settled else None
        closed = resolved + dice.between(DAY, 5 * DAY) if resolved is not None and status is _CLOSED else None
        satisfaction = min(5, dice.between(1, 9)) if closed is not None and dice.chance(0.6) else None
        updated = closed or resolved or updated
        assigned = status is not _NEW
        changes = (assigned, assigned, status is _PENDING, resolved, closed, satisfaction)
        subject = dice.pick(_SUBJECTS[chinese])
        self._tickets.rows.append(
            (
                self._workspace,
                id_,
                f"T-{self._tickets.made}",
                subject,
                f"{buyer.company.short}: {subject}",
                dice.pick(_KINDS),
                dice.pick(_CHANNELS),
                dice.pick(_PRIORITIES),
                status.value,
                buyer.id,
                dice.pick(buyer.contact_ids),
                dice.pick(self._catalogue.items).id if dice.chance(0.6) else None,
                agent if assigned else None,
                first_response,
                resolved,
                closed,
                dice.pick(_RESOLUTIONS[chinese]) if settled else None,
                satisfaction,
                1 + sum(1 for change in changes if change),
                created,
                updated,
            )
        )

    def _reply(
        self, ticket_id: str, agent: str, created: int, status: TicketStatus, chinese: bool
    ) -> tuple[int | None, int]:
        """Write one or two replies; returns when the customer was first answered, and when the ticket changed last.

        A new ticket has a note at most: a public reply would have opened it.
        """
        dice = self._dice
        at = dice.between(created + 600, created + DAY)
        if status is _NEW:
            self._say(ticket_id, dice.pick(_NOTES), False, agent, at)
            return None, created
        self._say(ticket_id, dice.pick(_ANSWERS[chinese]), True, agent, at)
        if dice.chance(0.5):
            public = dice.chance(0.7)
            later = dice.between(at, at + DAY)
            self._say(ticket_id, dice.pick(_ANSWERS[chinese] if public else _NOTES), public, agent, later)
            return at, later
        return at, at

    def _say(self, ticket_id: str, body: str, public: bool, agent: str, at: int) -> None:
        replies = self._replies
        replies.rows.append((self._workspace, replies.new_id(), ticket_id, body, public, agent, 1, at, at))
