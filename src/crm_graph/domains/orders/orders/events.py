"""What happens to orders."""

from __future__ import annotations

from crm_graph.events.effects import Changes, Creates, Removes


class OrderCreated(Creates):
    """An order was drafted, with the lines it came with."""


class OrderUpdated(Changes):
    """An order's data changed, its status did not."""


class OrderSubmitted(Changes):
    """A draft was handed in for approval."""


class OrderApproved(Changes):
    """A submitted order was approved."""


class OrderRejected(Changes):
    """A submitted order was turned down."""

    reason: str


class OrderRevised(Changes):
    """A rejected order became a draft again."""


class OrderShipped(Changes):
    """An approved order left for the customer."""


class OrderDelivered(Changes):
    """A shipped order reached the customer."""


class OrderClosed(Changes):
    """A delivered order was completed."""


class OrderCancelled(Changes):
    """An order was called off before it was shipped."""

    reason: str


class OrderDeleted(Removes):
    """A draft or cancelled order was removed, with its lines and history."""


class OrderTotalsChanged(Changes):
    """An order's subtotal and total were added up again after a change of its lines."""


class OrderLineAdded(Creates):
    """A product was put on an order."""

    product_id: str


class OrderLineUpdated(Changes):
    """A line's quantity, price, discount or description changed."""


class OrderLineRemoved(Removes):
    """A product was taken off an order."""

    product_id: str


StatusEvent = (
    OrderSubmitted
    | OrderApproved
    | OrderRejected
    | OrderRevised
    | OrderShipped
    | OrderDelivered
    | OrderClosed
    | OrderCancelled
)

EVENTS = (
    OrderCreated,
    OrderUpdated,
    OrderSubmitted,
    OrderApproved,
    OrderRejected,
    OrderRevised,
    OrderShipped,
    OrderDelivered,
    OrderClosed,
    OrderCancelled,
    OrderDeleted,
    OrderTotalsChanged,
    OrderLineAdded,
    OrderLineUpdated,
    OrderLineRemoved,
)
