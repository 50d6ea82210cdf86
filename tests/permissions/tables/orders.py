"""Orders, their lines, and every transition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.permissions.tables.table import (
    NOBODY,
    ROW,
    Id,
    Table,
    Without,
    Write,
    no_such,
    no_verb,
    not_this,
)


def _without(verb: str, of: str = "order") -> list[Without]:
    """Return who may not: those without the verb, and a representative outside of what they own, and see."""
    return [
        Without(NOBODY, no_verb(verb, f"{of}s")),
        Without("marketer", no_verb(verb, f"{of}s")),
        Without("support_agent", no_verb(verb, f"{of}s")),
        Without("sales_rep", not_this(verb, of), place="team"),
        Without("sales_rep", no_such(of), place="outside"),
        Without("sales_manager", not_this(verb, of), place="outside"),
    ]


_WITHOUT_LINES = [
    *(Without(role, no_verb("update", "order lines")) for role in (NOBODY, "marketer", "support_agent")),
    Without("sales_rep", not_this("update", "order line"), place="team"),
    Without("sales_rep", no_such("order line"), place="outside"),
    Without("sales_manager", not_this("update", "order line"), place="outside"),
]
"""A line is refused as what it is, in the words of the line."""


def _transition(verb: str, before: str, event: str, **more: Any) -> Write:
    """Return a transition that follows `update`: a representative does it to their own orders."""
    return Write(
        f"{verb}Order",
        verb,
        {"id": ROW, **more},
        right="sales_rep",
        without=_without(verb),
        stranger=no_such("order"),
        events=[event],
        tables=["sales_order", "order_status_change"],
        given={"status": before},
    )


def _decision(verb: str, event: str, **more: Any) -> Write:
    """Return a transition that is granted by name: a representative does not decide on their own order."""
    return Write(
        f"{verb}Order",
        verb,
        {"id": ROW, **more},
        right="sales_manager",
        without=[Without(role, no_verb(verb, "orders")) for role in (NOBODY, "sales_rep", "marketer", "support_agent")],
        stranger=no_such("order"),
        events=[event],
        tables=["sales_order", "order_status_change"],
        given={"status": "SUBMITTED"},
    )


_DRAFT: Mapping[Id, Mapping[str, Any]] = {
    Id("Order", place): {"status": "DRAFT"} for place in ("own", "team", "outside", "foreign")
}

ORDERS = Table(
    "Order",
    reads=("order", "orders", "ordersAggregate"),
    watches=("orderChanged",),
    seen_by="sales_rep",
    unseen_by=[(NOBODY, "own"), ("sales_rep", "outside")],
    writes=[
        Write(
            "createOrder",
            "create",
            {
                "customerId": Id("Customer"),
                "currency": "MRU",
                "lines": [{"productId": Id("Product"), "quantity": "2", "unitPrice": "5"}],
            },
            right="sales_rep",
            without=[Without(role, no_verb("create", "orders")) for role in (NOBODY, "marketer", "support_agent")],
            stranger=no_such("customer", "customerId"),
            events=["OrderCreated"],
            tables=["sales_order", "order_line", "order_status_change", "order_counter"],
        ),
        Write(
            "createOrderFromOpportunity",
            "create",
            {"opportunityId": Id("Opportunity")},
            right="sales_rep",
            without=[Without(role, no_verb("create", "orders")) for role in (NOBODY, "marketer", "support_agent")],
            stranger=no_such("opportunity", "opportunityId"),
            events=["OrderCreated"],
            tables=["sales_order", "order_line", "order_status_change", "order_counter"],
        ),
        Write(
            "updateOrder",
            "update",
            {"id": ROW, "notes": "Zebra"},
            right="sales_rep",
            without=_without("update"),
            stranger=no_such("order"),
            events=["OrderUpdated"],
            tables=["sales_order"],
        ),
        Write(
            "deleteOrder",
            "delete",
            {"id": ROW},
            right="sales_rep",
            without=[
                *(Without(role, no_verb("delete", "orders")) for role in (NOBODY, "marketer", "support_agent")),
                Without("sales_rep", not_this("delete", "order"), place="team"),
                Without("sales_rep", no_such("order"), place="outside"),
                Without("sales_manager", not_this("delete", "order"), place="outside"),
            ],
            stranger=no_such("order"),
            events=["OrderDeleted"],
            tables=["sales_order"],
            given={"approved_at": None},
            fresh=True,
        ),
        _transition("submit", "DRAFT", "OrderSubmitted"),
        _decision("approve", "OrderApproved"),
        _decision("reject", "OrderRejected", reason="Zebra"),
        _transition("revise", "REJECTED", "OrderRevised"),
        _transition("ship", "APPROVED", "OrderShipped"),
        _transition("deliver", "SHIPPED", "OrderDelivered"),
        _transition("close", "DELIVERED", "OrderClosed"),
        replace(
            _decision("cancel", "OrderCancelled", reason="Zebra"),
            without=[
                *(Without(role, no_verb("cancel", "orders")) for role in (NOBODY, "sales_rep", "integration")),
                Without("sales_manager", not_this("cancel", "order"), place="outside"),
            ],
        ),
    ],
)

LINES = Table(
    "OrderLine",
    reads=("orderLine", "orderLines", "orderLinesAggregate"),
    seen_by="sales_rep",
    unseen_by=[(NOBODY, "own"), ("marketer", "own"), ("sales_rep", "outside")],
    writes=[
        Write(
            "addOrderLine",
            "update",
            {"orderId": Id("Order"), "productId": Id("Product"), "unitPrice": "5"},
            right="sales_rep",
            without=[Without(role, no_verb("update", "order lines")) for role in (NOBODY, "marketer", "support_agent")],
            stranger=no_such("order", "orderId"),
            events=["OrderLineAdded", "OrderTotalsChanged"],
            tables=["sales_order", "order_line"],
            also=_DRAFT,
        ),
        Write(
            "updateOrderLine",
            "update",
            {"id": ROW, "description": "Zebra"},
            right="sales_rep",
            without=_WITHOUT_LINES,
            stranger=no_such("order line"),
            events=["OrderLineUpdated", "OrderTotalsChanged"],
            tables=["sales_order", "order_line"],
            also=_DRAFT,
        ),
        Write(
            "removeOrderLine",
            "update",
            {"id": ROW},
            right="sales_rep",
            without=_WITHOUT_LINES,
            stranger=no_such("order line"),
            events=["OrderLineRemoved", "OrderTotalsChanged"],
            tables=["sales_order", "order_line"],
            also=_DRAFT,
        ),
    ],
)

STATUS_CHANGES = Table(
    "OrderStatusChange",
    reads=("orderStatusChange", "orderStatusChanges", "orderStatusChangesAggregate"),
    seen_by="sales_rep",
    unseen_by=[(NOBODY, "own"), ("sales_rep", "outside")],
)

TABLES = (ORDERS, LINES, STATUS_CHANGES)
