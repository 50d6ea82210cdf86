"""Deals with their lines and the history of their stages."""

from __future__ import annotations

from crm_graph.demo.catalogue import Catalogue, DemoStage, Item, in_base
from crm_graph.demo.copy import Sheets
from crm_graph.demo.customers import Buyer
from crm_graph.demo.dice import Dice
from crm_graph.demo.organisation import Organisation
from crm_graph.demo.times import DAY, END, day_of
from crm_graph.domains.sales.opportunities.model import Opportunity, OpportunityLine, OpportunityStatus, StageMove

OPPORTUNITIES = (0, 1, 1, 2, 2, 3, 4, 5, 6, 6)
"""How many opportunities each of ten customers has."""
_OPEN, _WON, _LOST = OpportunityStatus.OPEN, OpportunityStatus.WON, OpportunityStatus.LOST
_OF_BUYERS = (*[_OPEN] * 6, *[_WON] * 9, *[_LOST] * 5)
_OF_OTHERS = (*[_OPEN] * 13, *[_LOST] * 7)
"""Who has ordered nothing has not been won either."""
_OPEN_STAGE = (0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3)
_CLOSED_FROM = (0, 1, 1, 2, 2, 3, 3, 3)
_WITH_LINES, _COLLEAGUE, _NO_AMOUNT = 0.35, 0.15, 0.12
DISCOUNTS = (0, 0, 0, 0, 0, 0, 5, 5, 10, 10)
"""Percentages that are taken off."""
_TOPICS = ("采购", "二期项目", "升级改造", "年度框架", "试点项目", "扩容", "续约", "试用转正")
_WESTERN_TOPICS = ("purchase", "rollout", "upgrade", "annual agreement", "pilot", "expansion", "renewal")
_LOST_REASONS = (
    "价格太高",
    "选择了竞争对手",
    "预算取消",
    "项目推迟",
    "无人跟进",
    "功能不符",
    "Price",
    "No budget",
    "Competitor",
)
_NEXT_STEPS = (
    "安排演示",
    "发送报价",
    "拜访客户",
    "等待审批",
    "确认技术方案",
    "签订合同",
    "Call back",
    "Send offer",
    None,
    None,
)
_SOURCES = ("官网", "展会", "转介绍", "老客户", "广告", "Website", "Referral")


class Deals:
    """Makes the opportunities of customers."""

    def __init__(self, sheets: Sheets, organisation: Organisation, catalogue: Catalogue, dice: Dice) -> None:
        self._workspace = sheets.workspace_id
        self._organisation = organisation
        self._catalogue = catalogue
        self._dice = dice
        self._opportunities = sheets.open(
            Opportunity,
            *("id", "name", "customer_id", "pipeline_id", "stage_id", "stage_since", "status", "amount", "currency"),
            *("base_amount", "rate", "rate_on"),
            *("probability", "expected_close", "opened_on", "closed_on", "next_step", "source", "lost_reason"),
            *("owner_id", "version", "created_at", "updated_at"),
        )
        self._lines = sheets.open(
            OpportunityLine,
            *("id", "opportunity_id", "product_id", "quantity", "unit_price", "discount_percent", "currency", "total"),
            *("version", "created_at", "updated_at"),
        )
        self._moves = sheets.open(
            StageMove,
            *("id", "opportunity_id", "from_stage_id", "to_stage_id", "member_id", "moved_at", "seconds_in_stage"),
            *("version", "created_at", "updated_at"),
        )

    def add(self, buyer: Buyer, count: int, *, buys: bool) -> list[str]:
        """Write a customer's opportunities; returns those that were won."""
        won = []
        statuses = _OF_BUYERS if buys else _OF_OTHERS
        for _ in range(count):
            status = self._dice.pick(statuses)
            id_ = self._add(buyer, status)
            if status is _WON:
                won.append(id_)
        return won

    def _add(self, buyer: Buyer, status: OpportunityStatus) -> str:
        dice, catalogue, created = self._dice, self._catalogue, buyer.created
        owner = self._organisation.colleague(dice, buyer.owner) if dice.chance(_COLLEAGUE) else buyer.owner
        if status is _OPEN:
            opened = dice.between(max(created, END - 150 * DAY), END - DAY)
            reached = dice.pick(_OPEN_STAGE)
            stage, entry = catalogue.open_stages[reached], dice.between(0, reached)
            moved = None if reached == 0 else dice.between(opened, END)
            expected = day_of(END) + dice.between(-20, 120)
        else:
            opened = dice.between(created, END - 10 * DAY)
            stage, entry = (catalogue.won if status is _WON else catalogue.lost), dice.pick(_CLOSED_FROM)
            moved = min(opened + dice.between(3 * DAY, 120 * DAY), dice.between(END - 9 * DAY, END))
            expected = day_of(moved) + dice.between(-20, 20)
        since = opened if moved is None else moved
        id_ = self._opportunities.new_id()
        topic, amount = self._content(buyer, id_, opened)
        if status is _OPEN and "amount" not in stage.required_fields and dice.chance(_NO_AMOUNT):
            amount = None
        self._opportunities.rows.append(
            (
                self._workspace,
                id_,
                topic,
                buyer.id,
                catalogue.pipeline_id,
                stage.id,
                since,
                status.value,
                amount,
                buyer.currency,
                *in_base(amount, buyer.currency, day_of(since)),
                stage.probability,
                expected,
                day_of(opened),
                None if status is _OPEN else day_of(since),
                dice.pick(_NEXT_STEPS) if status is _OPEN else None,
                dice.pick(_SOURCES),
                dice.pick(_LOST_REASONS) if status is _LOST else None,
                owner.id,
                1 if moved is None else 2,
                opened,
                since,
            )
        )
        self._remember(id_, owner.id, catalogue.open_stages[entry], opened, stage, moved)
        if buyer.first_deal is None or opened < buyer.first_deal:
            buyer.first_deal = opened
        if status is _WON and (buyer.bought is None or since < buyer.bought):
            buyer.bought = since
        buyer.last_seen = max(buyer.last_seen, since)
        return id_

    def _content(self, buyer: Buyer, id_: str, opened: int) -> tuple[str, int | None]:
        """Return an opportunity's name and amount: that of its lines, where it has some."""
        dice = self._dice
        item = dice.pick(self._catalogue.items)
        if buyer.company.chinese:
            name = f"{buyer.company.short}{item.series}{dice.pick(_TOPICS)}"
        else:
            name = f"{buyer.company.short} {dice.pick(_WESTERN_TOPICS)}"
        if not dice.chance(_WITH_LINES):
            return name, dice.pick(self._catalogue.items).prices[buyer.currency] * dice.between(1, 25)
        amount = self._add_line(buyer, id_, item, opened)
        if dice.chance(0.5):
            amount += self._add_line(buyer, id_, dice.pick(self._catalogue.items), opened)
        return name, amount

    def _add_line(self, buyer: Buyer, id_: str, item: Item, opened: int) -> int:
        price, quantity, discount = item.prices[buyer.currency], self._dice.between(1, 20), self._dice.pick(DISCOUNTS)
        total = line_total(quantity, price, discount)
        row = (id_, item.id, quantity * 100, price, discount * 100, buyer.currency, total, 1, opened, opened)
        self._lines.rows.append((self._workspace, self._lines.new_id(), *row))
        return total

    def _remember(
        self, id_: str, member_id: str, entry: DemoStage, opened: int, stage: DemoStage, moved: int | None
    ) -> None:
        """Write the history: opened in one stage, and moved from there to where it is now."""
        moves = self._moves
        row: tuple[object, ...] = (id_, None, entry.id, member_id, opened, None, 1, opened, opened)
        moves.rows.append((self._workspace, moves.new_id(), *row))
        if moved is not None:
            row = (id_, entry.id, stage.id, member_id, moved, moved - opened, 1, moved, moved)
            moves.rows.append((self._workspace, moves.new_id(), *row))


def line_total(quantity: int, price: int, discount: int) -> int:
    """Return what a line comes to in hundredths. Exact: see `catalogue._STEP`."""
    return quantity * price * (100 - discount) // 100
