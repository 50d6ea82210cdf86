"""The types of orders, and the fields that they add to the types below."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from crm_graph.domains.catalog.products.graph import Product
from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.orders.orders import model, policy
from crm_graph.domains.sales.opportunities.graph import Opportunity
from crm_graph.domains.workspace.members.graph import Member
from crm_graph.graph.records import roots
from crm_graph.graph.records.enums import describe
from crm_graph.graph.records.measures import Use, seconds_between
from crm_graph.graph.records.record import SENT, SENT_ONCE, Node, column, money, record, reverse, sent, to_many, to_one
from crm_graph.graph.records.scalars import Currency
from crm_graph.graph.records.types import AggregateOf, Connection, Money

describe(
    model.OrderStatus,
    "Where an order stands. Each step is a mutation of its own.",
    {
        "DRAFT": "Being written; lines and prices can change.",
        "SUBMITTED": "Waits for approval.",
        "APPROVED": "Approved, and ready to be shipped.",
        "REJECTED": "Was not approved; revise it into a draft.",
        "SHIPPED": "On its way.",
        "DELIVERED": "At the customer.",
        "CLOSED": "Done.",
        "CANCELLED": "Called off before it was shipped.",
    },
)


@record(
    "ord",
    model.Order,
    policy.ORDER,
    measures=(
        seconds_between("approvalSeconds", "submittedAt", "approvedAt", "The seconds that it waited for its approval."),
        seconds_between("deliverySeconds", "shippedAt", "deliveredAt", "The seconds that it was on its way."),
    ),
)
class Order(Node):
    """What a customer buys: drafted, submitted, approved, shipped, delivered and closed."""

    number: str = column(
        "The order's number, for people; unique in the workspace.", sent(otherwise="`SO-<year>-<running number>`")
    )
    status: model.OrderStatus = column("Where the order stands; each step is a mutation of its own.")
    customer: Customer | None = to_one("customer_id", "Who buys; changes only in DRAFT.", SENT)
    opportunity: Opportunity | None = to_one("opportunity_id", "The deal that the order came from.", SENT)
    owner: Member | None = to_one("owner_id", "The member who looks after the order.", sent(otherwise="you"))
    currency: Currency | None = column(
        "The currency of all its amounts, for good.", sent(update=False, otherwise="the workspace's base currency")
    )
    subtotal: Money | None = money("subtotal", "currency", "What the lines come to together.")
    discount_percent: Decimal | None = column(
        "What is taken off the subtotal, in percent; changes only in DRAFT.", sent(otherwise="0")
    )
    total: Money | None = money("total", "currency", "The subtotal less the discount.")
    base_total: Decimal | None = column(
        "The total in the workspace's base currency, at `rate`; null while its currency has no exchange rates.",
        like="total",
    )
    rate: Decimal | None = column(
        "What one unit of the order's currency came to in the base currency: 1 within that.",
        like="total",
    )
    rate_on: date | None = column(
        "The day whose rate that is: until the order is approved that of the last change, then that of its approval.",
        like="total",
    )
    lines: Connection[OrderLine] = to_many("order_id", "The products that are bought.")
    status_changes: Connection[OrderStatusChange] = to_many("order_id", "The history of its statuses.")
    ordered_on: date | None = column("The date of the order.", sent(otherwise="today"))
    submitted_at: datetime | None = column("When it was last submitted; null for one to be revised.")
    approved_at: datetime | None = column("When it was approved.")
    approved_by: Member | None = to_one("approved_by_id", "Who approved it.")
    rejected_reason: str | None = column("Why it was rejected; null again when it is revised.", use=Use.DIMENSION)
    cancelled_reason: str | None = column("Why it was cancelled.", use=Use.DIMENSION)
    shipped_at: datetime | None = column("When it was shipped.")
    delivered_at: datetime | None = column("When it reached the customer.")
    closed_at: datetime | None = column("When it was completed.")
    notes: str | None = column("A note about the order.", SENT)
    external_id: str | None = column("The order's id in the system it came from, unique in the workspace.", SENT)


@record("orl", model.OrderLine, policy.ORDER_LINE, called="line")
class OrderLine(Node):
    """A product on an order."""

    order: Order | None = to_one("order_id", "The order; it must be in DRAFT to be changed.", SENT_ONCE)
    product: Product | None = to_one("product_id", "The product.", SENT_ONCE)
    description: str | None = column("A note about the product on this order.", SENT)
    quantity: Decimal | None = column("How many units.", sent(otherwise="1"))
    unit_price: Money | None = money(
        "unit_price",
        "currency",
        "The price of one unit, in the order's currency.",
        sent(otherwise="the list price", bare=True),
    )
    discount_percent: Decimal | None = column("What is taken off, in percent.", sent(otherwise="0"))
    total: Money | None = money("total", "currency", "Quantity times unit price, less the discount.")


@record("osc", model.OrderStatusChange, policy.ORDER_STATUS_CHANGE)
class OrderStatusChange(Node):
    """An entry in the history of an order: out of one status, into another."""

    order: Order | None = to_one("order_id", "The order.")
    from_status: model.OrderStatus | None = column("The status that the order left; null for its first entry.")
    to_status: model.OrderStatus = column("The status that the order entered.")
    member: Member | None = to_one("member_id", "Who changed it.")
    changed_at: datetime = column("When it was changed.")
    reason: str | None = column("Why it was rejected or cancelled.")
    version: int = column("Counts the changes; a history entry has none.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


class Queries:
    """Fields of Query."""

    order: Order | None = roots.one("An order by id.")
    orders: Connection[Order] = roots.many("The orders that you may see.")
    orders_aggregate: AggregateOf[Order] = roots.aggregate("Measures over orders.")


_ORDERS = Connection[Order]
EXTENSIONS = (
    reverse(Customer, "orders", _ORDERS, "customer_id", "What the customer ordered."),
    reverse(Opportunity, "orders", _ORDERS, "opportunity_id", "The orders that came from this deal."),
    reverse(Member, "orders", _ORDERS, "owner_id", "The orders that the member looks after."),
    reverse(Product, "order_lines", Connection[OrderLine], "product_id", "The lines of orders that sell this product."),
)
