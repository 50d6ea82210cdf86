"""What happens to orders."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OrderCreated:
    """An order was drafted, with the lines it came with."""


@dataclass(frozen=True, slots=True)
class OrderUpdated:
    """An order's data changed, its status did not."""


@dataclass(frozen=True, slots=True)
class OrderSubmitted:
    """A draft was handed in for approval."""


@dataclass(frozen=True, slots=True)
class OrderApproved:
    """A submitted order was approved."""


@dataclass(frozen=True, slots=True)
class OrderRejected:
    """A submitted order was turned down."""

    reason: str


@dataclass(frozen=True, slots=True)
class OrderRevised:
    """A rejected order became a draft again."""


@dataclass(frozen=True, slots=True)
class OrderShipped:
    """An approved order left for the customer."""


@dataclass(frozen=True, slots=True)
class OrderDelivered:
    """A shipped order reached the customer."""


@dataclass(frozen=True, slots=True)
class OrderClosed:
    """A delivered order was completed."""


@dataclass(frozen=True, slots=True)
class OrderCancelled:
    """An order was called off before it was shipped."""

    reason: str


@dataclass(frozen=True, slots=True)
class OrderDeleted:
    """A draft or cancelled order was removed, with its lines and history."""


@dataclass(frozen=True, slots=True)
class OrderTotalsChanged:
    """An order's subtotal and total were added up again after a change of its lines."""


@dataclass(frozen=True, slots=True)
class OrderLineAdded:
    """A product was put on an order."""

    product_id: str


@dataclass(frozen=True, slots=True)
class OrderLineUpdated:
    """A line's quantity, price, discount or description changed."""


@dataclass(frozen=True, slots=True)
class OrderLineRemoved:
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
