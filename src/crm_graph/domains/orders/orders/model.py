"""Orders: what a customer buys, their lines and the history of their statuses."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from zoneinfo import ZoneInfo

from sqlalchemy import BigInteger, CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import (
    Amount,
    Base,
    BaseAmount,
    CurrencyCode,
    Id,
    Kept,
    KeptPart,
    Key,
    LongText,
    Paragraph,
    Rate,
    UnitPrice,
    indexed,
    refers,
    unique_kept,
)
from crm_graph.db.coherence import agrees, held_by, stands
from crm_graph.db.currencies import rounded
from crm_graph.db.history import keeps_history
from crm_graph.db.lists import Text, ordered_by, searched
from crm_graph.db.placement import DISTRIBUTED
from crm_graph.db.rules import between, closed_in, one_of
from crm_graph.db.valued import Valued
from crm_graph.domains.orders.orders.events import (
    OrderApproved,
    OrderCancelled,
    OrderClosed,
    OrderDeleted,
    OrderDelivered,
    OrderRejected,
    OrderRevised,
    OrderShipped,
    OrderSubmitted,
    OrderTotalsChanged,
)
from crm_graph.domains.sales.opportunities.model import SOLD, OpportunityStatus
from crm_graph.kernel.errors import Refused
from crm_graph.kernel.money import MAX_AMOUNT
from crm_graph.refusals import undeletable

HUNDRED = Decimal(100)
MAX_LINES = 500
"""Lines of one order: every change of one adds them all up, under the order's lock."""


class OrderStatus(Enum):
    """Where an order stands."""

    DRAFT = "DRAFT"
    SUBMITTED = "SUBMITTED"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"
    CLOSED = "CLOSED"
    CANCELLED = "CANCELLED"


_NEXT: dict[OrderStatus, tuple[OrderStatus, ...]] = {
    OrderStatus.DRAFT: (OrderStatus.SUBMITTED, OrderStatus.CANCELLED),
    OrderStatus.SUBMITTED: (OrderStatus.APPROVED, OrderStatus.REJECTED, OrderStatus.CANCELLED),
    OrderStatus.APPROVED: (OrderStatus.SHIPPED, OrderStatus.CANCELLED),
    OrderStatus.REJECTED: (OrderStatus.DRAFT,),
    OrderStatus.SHIPPED: (OrderStatus.DELIVERED,),
    OrderStatus.DELIVERED: (OrderStatus.CLOSED,),
    OrderStatus.CLOSED: (),
    OrderStatus.CANCELLED: (),
}
_DELETABLE = (OrderStatus.DRAFT.value, OrderStatus.CANCELLED.value)


@keeps_history("owner_id", "customer_id", "opportunity_id")
class Order(Kept):
    """An order. `subtotal` is the sum of its lines, `total` that less the order's discount: kept by `add_up`.

    The table is not called `order`, which SQL reserves.
    """

    __tablename__ = "sales_order"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("customer_id", "customer"),
        refers("opportunity_id", "opportunity"),
        refers("owner_id", "member"),
        refers("approved_by_id", "member"),
        unique_kept("sales_order", "number"),
        unique_kept("sales_order", "external_id"),
        indexed("sales_order", "customer_id"),
        indexed("sales_order", "opportunity_id"),
        indexed("sales_order", "owner_id"),
        ordered_by("sales_order", "ordered_on", within="status"),
        ordered_by("sales_order", "ordered_on"),
        ordered_by("sales_order", "number", Text),
        ordered_by("sales_order", "total"),
        ordered_by("sales_order", "status", OrderStatus),
        ordered_by("sales_order", "created_at"),
        ordered_by("sales_order", "updated_at"),
        searched("sales_order", "number"),
        one_of("status", OrderStatus),
        between("discount_percent", 0, 100, name="discount"),
        CheckConstraint("total BETWEEN 0 AND subtotal", name="totals"),
    )

    __closed__ = (
        closed_in(
            "status",
            *(OrderStatus.SUBMITTED, OrderStatus.APPROVED, OrderStatus.SHIPPED, OrderStatus.DELIVERED),
            *(OrderStatus.CLOSED, OrderStatus.CANCELLED),
            but=("owner_id", "notes", "external_id"),
        ),
    )

    __valued__ = Valued("total", lambda get, zone: _day_of(get("approved_at"), zone))
    __coherent__ = (
        agrees("opportunity_id", "customer_id"),
        stands("opportunity_id", "status", OpportunityStatus.OPEN, OpportunityStatus.WON, otherwise="is lost"),
        *held_by("owner_id"),
    )

    number: Mapped[Key]
    customer_id: Mapped[Id]
    opportunity_id: Mapped[Id | None]
    owner_id: Mapped[Id | None]
    status: Mapped[str]
    currency: Mapped[CurrencyCode]
    subtotal: Mapped[Amount]
    discount_percent: Mapped[Decimal]
    total: Mapped[Amount]
    base_total: Mapped[BaseAmount | None]
    rate: Mapped[Rate | None]
    rate_on: Mapped[date | None]
    ordered_on: Mapped[date]
    submitted_at: Mapped[datetime | None]
    approved_at: Mapped[datetime | None]
    approved_by_id: Mapped[Id | None]
    rejected_reason: Mapped[Paragraph | None]
    cancelled_reason: Mapped[Paragraph | None]
    shipped_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    notes: Mapped[LongText | None]
    external_id: Mapped[Key | None]

    def submit(self, lines: int, at: datetime) -> OrderSubmitted:
        """Hand a draft in for approval; `lines` is how many it has.

        Raises Refused: ILLEGAL_TRANSITION from another status, REQUIRED without a line.
        """
        self._check_next(OrderStatus.SUBMITTED)
        if lines < 1:
            raise Refused("REQUIRED", "An order is submitted with at least one line: add one first.", ("lines",))
        self.status, self.submitted_at = OrderStatus.SUBMITTED.value, at
        return OrderSubmitted()

    def approve(self, by: str, at: datetime) -> OrderApproved:
        """Approve a submitted order in the name of a member. Raises Refused ILLEGAL_TRANSITION."""
        self._check_next(OrderStatus.APPROVED)
        self.status, self.approved_at, self.approved_by_id = OrderStatus.APPROVED.value, at, by
        return OrderApproved()

    def reject(self, reason: str) -> OrderRejected:
        """Turn a submitted order down. Raises Refused: ILLEGAL_TRANSITION, REQUIRED without a reason."""
        self._check_next(OrderStatus.REJECTED)
        reason = _stated(reason, "Say why the order is rejected.")
        self.status, self.rejected_reason = OrderStatus.REJECTED.value, reason
        return OrderRejected(reason)

    def revise(self) -> OrderRevised:
        """Make a rejected order a draft again; why it was rejected stays in its history.

        Raises Refused ILLEGAL_TRANSITION.
        """
        self._check_next(OrderStatus.DRAFT)
        self.status, self.submitted_at, self.rejected_reason = OrderStatus.DRAFT.value, None, None
        return OrderRevised()

    def ship(self, at: datetime) -> OrderShipped:
        """Note that an approved order left. Raises Refused ILLEGAL_TRANSITION."""
        self._check_next(OrderStatus.SHIPPED)
        self.status, self.shipped_at = OrderStatus.SHIPPED.value, at
        return OrderShipped()

    def deliver(self, at: datetime) -> OrderDelivered:
        """Note that a shipped order arrived. Raises Refused ILLEGAL_TRANSITION."""
        self._check_next(OrderStatus.DELIVERED)
        self.status, self.delivered_at = OrderStatus.DELIVERED.value, at
        return OrderDelivered()

    def close(self, at: datetime) -> OrderClosed:
        """Complete a delivered order. Raises Refused ILLEGAL_TRANSITION."""
        self._check_next(OrderStatus.CLOSED)
        self.status, self.closed_at = OrderStatus.CLOSED.value, at
        return OrderClosed()

    def cancel(self, reason: str) -> OrderCancelled:
        """Call off an unshipped order, for good. Raises Refused: ILLEGAL_TRANSITION, REQUIRED without a reason."""
        self._check_next(OrderStatus.CANCELLED)
        reason = _stated(reason, "Say why the order is cancelled.")
        self.status, self.cancelled_reason = OrderStatus.CANCELLED.value, reason
        return OrderCancelled(reason)

    def delete(self) -> OrderDeleted:
        """Return the event of the removal of a draft, or of an order that was cancelled before it was approved. Raises
        Refused ILLEGAL_TRANSITION for others."""
        if self.status not in _DELETABLE:
            raise undeletable("Order", f"it is {self.status}")
        if self.approved_at is not None:
            raise undeletable("Order", "it was approved")
        return OrderDeleted()

    def check_draft(self, what: str, path: str) -> None:
        """Raise Refused ILLEGAL_TRANSITION at `path` when the order is no draft, where `what` is to be changed."""
        if self.status != OrderStatus.DRAFT.value:
            raise Refused(
                "ILLEGAL_TRANSITION",
                f"{what} can only be changed in {OrderStatus.DRAFT.value}; it is {self.status}.",
                (path,),
            )

    def add_up(self, line_totals: Iterable[Decimal], path: str) -> OrderTotalsChanged:
        """Take subtotal and total from the totals of all lines. Raises Refused INVALID at `path` when they come to too
        much."""
        subtotal = rounded(sum(line_totals, Decimal(0)), self.currency)
        if subtotal >= MAX_AMOUNT:
            message = f"The lines of an order must come to less than {MAX_AMOUNT:f} in all."
            raise Refused("INVALID", message, (path,))
        self.subtotal = subtotal
        self._discount()
        return OrderTotalsChanged()

    def change_discount(self, percent: Decimal) -> None:
        """Take another percentage off the subtotal. Raises Refused: ILLEGAL_TRANSITION outside DRAFT, INVALID."""
        if percent == self.discount_percent:
            return
        self.check_draft("The discount of an order", "discountPercent")
        self.discount_percent = percent
        self._discount()

    def _discount(self) -> None:
        if not 0 <= self.discount_percent <= HUNDRED:
            raise Refused("INVALID", "A discount is a percentage from 0 to 100.", ("discountPercent",))
        self.subtotal = rounded(self.subtotal, self.currency)  # of lines from before amounts had minor units
        self.total = rounded(self.subtotal * (HUNDRED - self.discount_percent) / HUNDRED, self.currency)

    def _check_next(self, to: OrderStatus) -> None:
        before = OrderStatus(self.status)
        if to not in _NEXT[before]:
            allowed = ", ".join(step.value for step in _NEXT[before]) or "nothing else"
            raise Refused(
                "ILLEGAL_TRANSITION", f"An order that is {before.value} can become {allowed}, not {to.value}.", ("id",)
            )


class OrderLine(KeptPart):
    """A product on an order. `total` is quantity times unit price less the discount, kept by `lines.py`."""

    __tablename__ = "order_line"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("order_id", "sales_order", on_delete="CASCADE"),
        refers("product_id", "product"),
        indexed("order_line", "order_id"),
        indexed("order_line", "product_id"),
        between("quantity", above=0),
        between("unit_price", 0),
        between("discount_percent", 0, 100, name="discount"),
    )

    __coherent__ = (SOLD,)

    order_id: Mapped[Id]
    product_id: Mapped[Id]
    description: Mapped[Paragraph | None]
    quantity: Mapped[Decimal]
    unit_price: Mapped[UnitPrice]
    discount_percent: Mapped[Decimal]
    currency: Mapped[CurrencyCode]
    total: Mapped[Amount]


class OrderStatusChange(KeptPart):
    """One entry of an order's history: out of a status (None when it was drafted) into another."""

    __tablename__ = "order_status_change"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("order_id", "sales_order", on_delete="CASCADE"),
        refers("member_id", "member"),
        indexed("order_status_change", "order_id"),
        one_of("from_status", OrderStatus),
        one_of("to_status", OrderStatus),
    )

    order_id: Mapped[Id]
    from_status: Mapped[str | None]
    to_status: Mapped[str]
    member_id: Mapped[Id]
    changed_at: Mapped[datetime]
    reason: Mapped[Paragraph | None]


class OrderCounter(Base):
    """The last running number that was given to an order of a year."""

    __tablename__ = "order_counter"
    __placement__ = DISTRIBUTED
    __table_args__ = (refers("workspace_id", "workspace"),)

    workspace_id: Mapped[Id] = mapped_column(primary_key=True)
    year: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last: Mapped[int] = mapped_column(BigInteger)


def _day_of(moment: datetime | None, zone: ZoneInfo) -> date | None:
    return None if moment is None else moment.astimezone(zone).date()


def _stated(reason: str, otherwise: str) -> str:
    if not reason.strip():
        raise Refused("REQUIRED", otherwise, ("reason",))
    return reason.strip()
