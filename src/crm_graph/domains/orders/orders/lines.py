"""The lines of orders: their one writer. Every change adds the order up again, in the same transaction.

The order is locked before its lines are read or written, by all of these and by every transition: so what is added up
is all there is, and two of them never wait for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import bindparam, select

from crm_graph.db.base import table_of
from crm_graph.db.statements import compile_statement
from crm_graph.domains.catalog.products.model import Product
from crm_graph.domains.catalog.products.policy import PRODUCT
from crm_graph.domains.orders.orders.events import OrderLineAdded, OrderLineRemoved, OrderLineUpdated
from crm_graph.domains.orders.orders.model import MAX_LINES, Order, OrderLine
from crm_graph.domains.orders.orders.policy import ORDER, ORDER_LINE
from crm_graph.domains.sales.opportunities.lines import LIST_PRICE, line_total, list_price
from crm_graph.kernel.errors import Refused
from crm_graph.kernel.money import MAX_AMOUNT, scaled
from crm_graph.permissions.policy import UUID, workspace
from crm_graph.refusals import refuse_unfit
from crm_graph.work import UPDATE, Sent, Work

_FIELDS = {
    "product_id": "product",
    "description": "description",
    "quantity": "quantity",
    "unit_price": "unitPrice",
    "discount_percent": "discountPercent",
}
"""The GraphQL fields behind the values of a line, by which writing them is granted."""

_LINES = table_of(OrderLine)
_TOTALS = compile_statement(
    select(_LINES.c.total).where(
        _LINES.c.workspace_id == workspace(), _LINES.c.order_id == bindparam("order_id", type_=UUID)
    )
)


async def add_order_line(work: Work, sent: Sent) -> str:
    """Put a product on a draft, at its list price unless another is given."""
    given = may_write_lines(work, UPDATE, sent.values)
    order = await work.get(Order, ORDER, sent.values["order_id"], UPDATE, path="orderId")
    order.check_draft("The lines of an order", "orderId")
    check_count(len(await totals_of(work, order)) + 1, "orderId")
    line = await new_line(work, order, sent.values)
    await work.create(line, ORDER_LINE, OrderLineAdded(line.product_id), given)
    await _add_up(work, order)
    return line.id


async def update_order_line(work: Work, id_: str, sent: Sent, if_version: int | None) -> str:
    """Change a line of a draft: its quantity, price, discount or description."""
    order, line = await _get(work, id_, if_version, may_write_lines(work, UPDATE, sent.values))
    for name, value in sent.values.items():
        setattr(line, name, value)
    refuse_unfit(line, sent.values)
    price(line)
    await work.save(line, ORDER_LINE, OrderLineUpdated())
    await _add_up(work, order)
    return line.id


async def remove_order_line(work: Work, id_: str, if_version: int | None) -> None:
    """Take a product off a draft."""
    order, line = await _get(work, id_, if_version)
    await work.delete(line, ORDER_LINE, OrderLineRemoved(line.product_id))
    await _add_up(work, order)


async def new_line(work: Work, order: Order, values: Mapping[str, Any]) -> OrderLine:
    """Return a line for an order, not written yet. Raises Refused with the path within the line's input."""
    product = await work.refer(
        Product, PRODUCT, values["product_id"], "productId", LIST_PRICE, as_=(OrderLine, "product_id")
    )
    unit_price = values.get("unit_price")
    line: OrderLine = OrderLine.make(
        **{
            "quantity": Decimal(1),
            "discount_percent": Decimal(0),
            **values,
            "order_id": order.id,
            "currency": order.currency,
            "unit_price": list_price(product, order.currency) if unit_price is None else unit_price,
        }
    )
    price(line)
    return line


def price(line: OrderLine) -> None:
    """Set what a line comes to. Raises Refused INVALID for a quantity, price or discount out of range."""
    line.unit_price = scaled(line.unit_price)
    if line.quantity * line.unit_price >= MAX_AMOUNT:
        raise Refused("INVALID", f"A line must come to less than {MAX_AMOUNT:f}.", ("quantity",))
    line.total = line_total(line.quantity, line.unit_price, line.discount_percent, line.currency)


def may_write_lines(work: Work, verb: str, names: Collection[str]) -> tuple[str, ...]:
    """Check a verb on lines, and writing these values of one; returns their GraphQL fields. Raises Forbidden."""
    given = tuple(field for name, field in _FIELDS.items() if name in names)
    work.may(ORDER_LINE, verb, given)
    return given


def check_count(count: int, path: str) -> None:
    """Raise Refused INVALID at `path` for more lines than an order may have."""
    if count > MAX_LINES:
        raise Refused("INVALID", f"An order may have at most {MAX_LINES} lines.", (path,))


async def totals_of(work: Work, order: Order) -> list[Decimal]:
    """Return what each line of a locked order comes to: of all lines, not only of those the viewer may see."""
    rows = await work.session.fetch(_TOTALS, {**work.viewer.binds, "order_id": order.id})
    return [Decimal(row["total"]) for row in rows]


async def _get(work: Work, id_: str, if_version: int | None, given: tuple[str, ...] = ()) -> tuple[Order, OrderLine]:
    """Return a line that the viewer may change, with its draft, both locked: the order first."""
    line = await work.get(OrderLine, ORDER_LINE, id_, UPDATE, if_version, given=given)
    order = await work.get(Order, ORDER, line.order_id, UPDATE)
    order.check_draft("The lines of an order", "id")
    return order, line


async def _add_up(work: Work, order: Order) -> None:
    await work.save(order, ORDER, order.add_up(await totals_of(work, order), "quantity"))
