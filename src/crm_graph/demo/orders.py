"""Orders with their lines and the history of their statuses, and the counter that numbers the next one."""

from __future__ import annotations

from collections.abc import Sequence

from crm_graph.demo.catalogue import Catalogue, in_base
from crm_graph.demo.copy import Sheets
from crm_graph.demo.customers import Buyer
from crm_graph.demo.dice import Dice
from crm_graph.demo.sales import DISCOUNTS, line_total
from crm_graph.demo.times import DAY, END, HOUR, day_of, year_of
from crm_graph.domains.orders.orders.model import Order, OrderCounter, OrderLine, OrderStatus, OrderStatusChange

ORDERS = (0, 0, 0, 0, 1, 2, 3, 4, 5, 5)
"""How many orders each of ten customers has."""
LINES = 3

_DRAFT, _SUBMITTED, _APPROVED = OrderStatus.DRAFT, OrderStatus.SUBMITTED, OrderStatus.APPROVED
_SHIPPED, _DELIVERED, _CLOSED = OrderStatus.SHIPPED, OrderStatus.DELIVERED, OrderStatus.CLOSED
_REJECTED, _CANCELLED = OrderStatus.REJECTED, OrderStatus.CANCELLED
_DONE = (_DRAFT, _SUBMITTED, _APPROVED, _SHIPPED, _DELIVERED, _CLOSED)
_PATHS: tuple[tuple[OrderStatus, ...], ...] = (
    *[_DONE[:1]] * 2,
    *[_DONE[:2]] * 2,
    *[_DONE[:3]] * 2,
    *[_DONE[:4]] * 2,
    *[_DONE[:5]] * 3,
    *[_DONE] * 7,
    (_DRAFT, _SUBMITTED, _REJECTED),
    (_DRAFT, _CANCELLED),
)
"""The ways that orders went, so often each."""
_RECENT = frozenset({_DRAFT, _SUBMITTED, _APPROVED, _SHIPPED})
_SOLD = frozenset({_APPROVED, _SHIPPED, _DELIVERED, _CLOSED})
_REJECTIONS = ("折扣过高", "客户信用不足", "库存不足", "Discount too high")
_CANCELLATIONS = ("客户取消", "重复下单", "价格调整", "Cancelled by the customer")


class Orders:
    """Makes the orders of customers. Numbers run per year, as the operations give them."""

    def __init__(self, sheets: Sheets, catalogue: Catalogue, dice: Dice) -> None:
        self._workspace = sheets.workspace_id
        self._catalogue = catalogue
        self._dice = dice
        self._numbers: dict[int, int] = {}
        self._orders = sheets.open(
            Order,
            *("id", "number", "customer_id", "opportunity_id", "owner_id", "status", "currency", "subtotal"),
            *(
                "discount_percent",
                "total",
                "base_total",
                "rate",
                "rate_on",
                "ordered_on",
                "submitted_at",
                "approved_at",
            ),
            "approved_by_id",
            *("rejected_reason", "cancelled_reason", "shipped_at", "delivered_at", "closed_at"),
            *("version", "created_at", "updated_at"),
        )
        self._lines = sheets.open(
            OrderLine,
            *("id", "order_id", "product_id", "quantity", "unit_price", "discount_percent", "currency", "total"),
            *("version", "created_at", "updated_at"),
        )
        self._changes = sheets.open(
            OrderStatusChange,
            *("id", "order_id", "from_status", "to_status", "member_id", "changed_at", "reason"),
            *("version", "created_at", "updated_at"),
        )
        self._counters = sheets.open(OrderCounter, "year", "last")

    def add(self, buyer: Buyer, count: int, won: Sequence[str]) -> None:
        """Write a customer's orders; the first ones are for the opportunities that were won."""
        for index in range(count):
            self._add(buyer, won[index] if index < len(won) else None)

    def write_counters(self) -> None:
        """Write the last number of each year, where the next order goes on."""
        self._counters.rows.extend((self._workspace, year, last) for year, last in sorted(self._numbers.items()))

    def _add(self, buyer: Buyer, opportunity_id: str | None) -> None:
        dice, owner = self._dice, buyer.owner
        path = dice.pick(_PATHS)
        status = path[-1]
        earliest = max(buyer.created, END - 40 * DAY) if status in _RECENT else buyer.created
        created = dice.between(earliest, END - 20 * DAY if status not in _RECENT else END - DAY)
        id_ = self._orders.new_id()
        subtotal = sum([self._add_line(buyer.currency, id_, created) for _ in range(LINES)])
        discount = dice.pick(DISCOUNTS)
        total = subtotal * (100 - discount) // 100
        reason = None
        if status is _REJECTED:
            reason = dice.pick(_REJECTIONS)
        elif status is _CANCELLED:
            reason = dice.pick(_CANCELLATIONS)
        at = self._remember(id_, path, created, owner.id, owner.manager_id, reason)
        approved = at.get(_APPROVED)
        updated = at[status]
        self._orders.rows.append(
            (
                self._workspace,
                id_,
                self._number(created),
                buyer.id,
                opportunity_id,
                owner.id,
                status.value,
                buyer.currency,
                subtotal,
                discount * 100,
                total,
                *in_base(total, buyer.currency, day_of(updated if approved is None else approved)),
                day_of(created),
                at.get(_SUBMITTED),
                approved,
                None if approved is None else owner.manager_id,
                reason if status is _REJECTED else None,
                reason if status is _CANCELLED else None,
                at.get(_SHIPPED),
                at.get(_DELIVERED),
                at.get(_CLOSED),
                len(path),
                created,
                updated,
            )
        )
        if status in _SOLD and approved is not None and (buyer.bought is None or approved < buyer.bought):
            buyer.bought = approved
        buyer.last_seen = max(buyer.last_seen, updated)

    def _number(self, created: int) -> str:
        year = year_of(created)
        last = self._numbers[year] = self._numbers.get(year, 0) + 1
        return f"SO-{year}-{last}"

    def _add_line(self, currency: str, order_id: str, created: int) -> int:
        dice, lines = self._dice, self._lines
        item = dice.pick(self._catalogue.items)
        price, quantity, discount = item.prices[currency], dice.between(1, 12), dice.pick(DISCOUNTS)
        total = line_total(quantity, price, discount)
        row = (order_id, item.id, quantity * 100, price, discount * 100, currency, total, 1, created, created)
        lines.rows.append((self._workspace, lines.new_id(), *row))
        return total

    def _remember(
        self, id_: str, path: Sequence[OrderStatus], created: int, owner_id: str, manager_id: str, reason: str | None
    ) -> dict[OrderStatus, int]:
        """Write the history of an order and return when it came to each status."""
        dice, changes = self._dice, self._changes
        at: dict[OrderStatus, int] = {}
        moment, before = created, None
        for status in path:
            if before is not None:
                moment = min(moment + dice.between(HOUR, 4 * DAY), END)
            by = manager_id if status in (_APPROVED, _REJECTED) else owner_id
            told = reason if status in (_REJECTED, _CANCELLED) else None
            row = (id_, before, status.value, by, moment, told, 1, moment, moment)
            changes.rows.append((self._workspace, changes.new_id(), *row))
            at[status], before = moment, status.value
        return at
