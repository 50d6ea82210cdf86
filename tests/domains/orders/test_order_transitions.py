"""The pure model of orders: what may follow what, what each step needs, and how amounts add up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from crm_graph.db.base import table_of
from crm_graph.domains.orders.orders.events import (
    EVENTS,
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
from crm_graph.domains.orders.orders.lines import check_count, price
from crm_graph.domains.orders.orders.model import MAX_LINES, Order, OrderLine, OrderStatus
from crm_graph.kernel.errors import Refused
from crm_graph.refusals import below

AT = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
EARLIER = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
MEMBER = "0" * 31 + "7"


@dataclass(frozen=True)
class Step:
    """A transition: how it is asked for, from where it is legal, and all that it changes."""

    name: str
    do: Callable[[Order], object]
    legal_from: frozenset[str]
    event: object
    changed: dict[str, Any] = field(default_factory=dict)


STEPS = (
    Step(
        "submit",
        lambda order: order.submit(1, AT),
        frozenset({"DRAFT"}),
        OrderSubmitted(),
        {"status": "SUBMITTED", "submitted_at": AT},
    ),
    Step(
        "approve",
        lambda order: order.approve(MEMBER, AT),
        frozenset({"SUBMITTED"}),
        OrderApproved(),
        {"status": "APPROVED", "approved_at": AT, "approved_by_id": MEMBER},
    ),
    Step(
        "reject",
        lambda order: order.reject(" too cheap "),
        frozenset({"SUBMITTED"}),
        OrderRejected("too cheap"),
        {"status": "REJECTED", "rejected_reason": "too cheap"},
    ),
    Step(
        "revise",
        lambda order: order.revise(),
        frozenset({"REJECTED"}),
        OrderRevised(),
        {"status": "DRAFT", "submitted_at": None, "rejected_reason": None},
    ),
    Step(
        "ship",
        lambda order: order.ship(AT),
        frozenset({"APPROVED"}),
        OrderShipped(),
        {"status": "SHIPPED", "shipped_at": AT},
    ),
    Step(
        "deliver",
        lambda order: order.deliver(AT),
        frozenset({"SHIPPED"}),
        OrderDelivered(),
        {"status": "DELIVERED", "delivered_at": AT},
    ),
    Step(
        "close",
        lambda order: order.close(AT),
        frozenset({"DELIVERED"}),
        OrderClosed(),
        {"status": "CLOSED", "closed_at": AT},
    ),
    Step(
        "cancel",
        lambda order: order.cancel("changed their mind"),
        frozenset({"DRAFT", "SUBMITTED", "APPROVED"}),
        OrderCancelled("changed their mind"),
        {"status": "CANCELLED", "cancelled_reason": "changed their mind"},
    ),
    Step("delete", lambda order: order.delete(), frozenset({"DRAFT", "CANCELLED"}), OrderDeleted()),
)
MATRIX = [
    pytest.param(step, status.value, id=f"{step.name}-{status.value}") for step in STEPS for status in OrderStatus
]
NEXT = {
    "DRAFT": "SUBMITTED, CANCELLED",
    "SUBMITTED": "APPROVED, REJECTED, CANCELLED",
    "APPROVED": "SHIPPED, CANCELLED",
    "REJECTED": "DRAFT",
    "SHIPPED": "DELIVERED",
    "DELIVERED": "CLOSED",
    "CLOSED": "nothing else",
    "CANCELLED": "nothing else",
}


def order_in(status: str = "DRAFT", **values: Any) -> Order:
    """Return an order of 100 as it stands in a status."""
    order: Order = Order.make(
        **{
            "number": "SO-2026-1",
            "customer_id": "0" * 31 + "1",
            "status": status,
            "currency": "CNY",
            "subtotal": Decimal(100),
            "discount_percent": Decimal(0),
            "total": Decimal(100),
            "ordered_on": date(2026, 11, 20),
            "submitted_at": None if status == "DRAFT" else EARLIER,
            "rejected_reason": "too dear" if status == "REJECTED" else None,
            **values,
        }
    )
    return order


def line_of(quantity: str, unit_price: str, discount: str = "0") -> OrderLine:
    """Return a line that has not been priced."""
    line: OrderLine = OrderLine.make(
        quantity=Decimal(quantity), unit_price=Decimal(unit_price), discount_percent=Decimal(discount), currency="CNY"
    )
    return line


def row(order: Order | OrderLine) -> dict[str, Any]:
    """Return all columns of a row."""
    return {column.name: getattr(order, column.name) for column in table_of(type(order)).columns}


@pytest.mark.parametrize(("step", "status"), MATRIX)
def test_step(step: Step, status: str) -> None:
    order = order_in(status)
    before = row(order)
    if status in step.legal_from:
        assert step.do(order) == step.event
        assert row(order) == {**before, **step.changed}
        return
    with pytest.raises(Refused) as refused:
        step.do(order)
    assert (refused.value.code, refused.value.field) == ("ILLEGAL_TRANSITION", ("id",))
    if step.name == "delete":
        assert refused.value.message == f"This order cannot be deleted, since it is {status}: archive it."
    else:
        assert refused.value.message == (
            f"An order that is {status} can become {NEXT[status]}, not {step.changed['status']}."
        )
    assert row(order) == before


def test_every_step_has_its_event() -> None:
    assert {type(step.event) for step in STEPS} <= set(EVENTS)


def test_submitting_needs_a_line() -> None:
    order = order_in()
    before = row(order)
    with pytest.raises(Refused) as refused:
        order.submit(0, AT)
    assert (refused.value.code, refused.value.field) == ("REQUIRED", ("lines",))
    assert row(order) == before


@pytest.mark.parametrize("reason", ["", " ", "\n\t", "\u3000"])
@pytest.mark.parametrize("name", ["reject", "cancel"])
def test_a_reason_is_required(name: str, reason: str) -> None:
    order = order_in("SUBMITTED")
    before = row(order)
    with pytest.raises(Refused) as refused:
        getattr(order, name)(reason)
    assert (refused.value.code, refused.value.field) == ("REQUIRED", ("reason",))
    assert row(order) == before


@pytest.mark.parametrize(("name", "status"), [("reject", "DRAFT"), ("cancel", "SHIPPED")])
def test_an_illegal_step_is_refused_before_its_reason(name: str, status: str) -> None:
    with pytest.raises(Refused) as refused:
        getattr(order_in(status), name)("")
    assert refused.value.code == "ILLEGAL_TRANSITION"


def test_a_rejected_order_can_be_revised_and_pass() -> None:
    order = order_in()
    order.submit(2, EARLIER)
    order.reject("too dear")
    order.revise()
    order.submit(1, AT)
    order.approve(MEMBER, AT)
    order.ship(AT)
    order.deliver(AT)
    order.close(AT)
    assert (order.status, order.submitted_at, order.rejected_reason) == ("CLOSED", AT, None)


@pytest.mark.parametrize(
    ("lines", "discount", "subtotal", "total"),
    [
        ([], "0", "0", "0"),
        ([], "10", "0", "0"),
        (["10.5", "0.25"], "0", "10.75", "10.75"),
        (["19.99", "0.01"], "12.5", "20", "17.5"),
        (["0.01", "0.01"], "50", "0.02", "0.01"),
        (["0.01"], "50", "0.01", "0.01"),  # half up
        (["0.03"], "50", "0.03", "0.02"),
        (["33.3333", "33.3333", "33.3333"], "100", "100", "0"),  # lines from before amounts had minor units
        (["99999999999999.99"], "0", "99999999999999.99", "99999999999999.99"),
    ],
)
def test_totals_add_up(lines: list[str], discount: str, subtotal: str, total: str) -> None:
    order = order_in(discount_percent=Decimal(discount))
    assert order.add_up((Decimal(each) for each in lines), "lines") == OrderTotalsChanged()
    assert (order.subtotal, order.total) == (Decimal(subtotal), Decimal(total))


def test_too_large_a_sum_is_refused() -> None:
    order = order_in()
    before = row(order)
    with pytest.raises(Refused) as refused:
        order.add_up([Decimal("99999999999999.9999"), Decimal("0.0001")], "quantity")
    assert (refused.value.code, refused.value.field) == ("INVALID", ("quantity",))
    assert row(order) == before


def test_a_discount_lowers_the_total() -> None:
    order = order_in()
    order.change_discount(Decimal("33.333"))
    assert (order.subtotal, order.discount_percent, order.total) == (Decimal(100), Decimal("33.333"), Decimal("66.67"))


@pytest.mark.parametrize("percent", ["-0.01", "100.01"])
def test_a_discount_is_a_percentage(percent: str) -> None:
    with pytest.raises(Refused) as refused:
        order_in().change_discount(Decimal(percent))
    assert (refused.value.code, refused.value.field) == ("INVALID", ("discountPercent",))


@pytest.mark.parametrize("status", [status.value for status in OrderStatus if status is not OrderStatus.DRAFT])
def test_discount_and_lines_change_only_in_draft(status: str) -> None:
    order = order_in(status)
    before = row(order)
    with pytest.raises(Refused) as refused:
        order.change_discount(Decimal(5))
    assert (refused.value.code, refused.value.field) == ("ILLEGAL_TRANSITION", ("discountPercent",))
    with pytest.raises(Refused) as refused:
        order.check_draft("The lines of an order", "orderId")
    assert (refused.value.code, refused.value.field) == ("ILLEGAL_TRANSITION", ("orderId",))
    assert refused.value.message == f"The lines of an order can only be changed in DRAFT; it is {status}."
    assert row(order) == before


def test_giving_the_same_discount_again_is_no_change() -> None:
    order = order_in("APPROVED")
    before = row(order)
    order.change_discount(Decimal("0.00"))
    order_in().check_draft("The lines of an order", "orderId")
    assert row(order) == before


@pytest.mark.parametrize(
    ("quantity", "unit_price", "discount", "total"),
    [
        ("3", "19.99", "0", "59.97"),
        ("2.5", "10", "10", "22.5"),
        ("1", "100", "100", "0"),
        ("3", "0.3333", "50", "0.5"),
    ],
)
def test_a_line_is_priced(quantity: str, unit_price: str, discount: str, total: str) -> None:
    line = line_of(quantity, unit_price, discount)
    price(line)
    assert line.total == Decimal(total)


@pytest.mark.parametrize(
    ("quantity", "unit_price", "discount", "field_name"),
    [
        ("0", "1", "0", "quantity"),
        ("-1", "1", "0", "quantity"),
        ("1", "-1", "0", "unitPrice"),
        ("1", "1", "101", "discountPercent"),
        ("99999999999999", "99999999999999", "0", "quantity"),
    ],
)
def test_a_line_out_of_range_is_refused(quantity: str, unit_price: str, discount: str, field_name: str) -> None:
    with pytest.raises(Refused) as refused:
        price(line_of(quantity, unit_price, discount))
    assert (refused.value.code, refused.value.field) == ("INVALID", (field_name,))


def test_the_number_of_lines_is_limited() -> None:
    check_count(MAX_LINES, "lines")
    with pytest.raises(Refused) as refused:
        check_count(MAX_LINES + 1, "lines")
    assert (refused.value.code, refused.value.field) == ("INVALID", ("lines",))


def test_a_refused_line_is_named_by_its_place() -> None:
    with pytest.raises(Refused) as refused, below("lines", 3):
        price(line_of("0", "1"))
    assert refused.value.field == ("lines", "3", "quantity")
