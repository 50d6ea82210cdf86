"""The only writers of orders and of the history of their statuses; `lines.py` writes their lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import insert

from crm_graph.db.base import table_of
from crm_graph.db.rows import changes
from crm_graph.db.sending import BY
from crm_graph.db.session import Record
from crm_graph.db.statements import compile_statement
from crm_graph.domains.orders.orders.events import (
    OrderCancelled,
    OrderCreated,
    OrderRejected,
    OrderUpdated,
    StatusEvent,
)
from crm_graph.domains.orders.orders.lines import check_count, may_write_lines, new_line, price, totals_of
from crm_graph.domains.orders.orders.model import Order, OrderCounter, OrderLine, OrderStatus, OrderStatusChange
from crm_graph.domains.orders.orders.policy import ORDER, ORDER_LINE, ORDER_STATUS_CHANGE
from crm_graph.domains.sales.opportunities.policy import OPPORTUNITY, OPPORTUNITY_LINE
from crm_graph.domains.workspace.workspaces.operations import shown_base_currency
from crm_graph.kernel.errors import Forbidden, Refused
from crm_graph.permissions.policy import UUID, Policy, workspace
from crm_graph.referring import Copied, Reads, audited, selected
from crm_graph.refusals import below, required
from crm_graph.valuing import restate, value_again
from crm_graph.work import CREATE, DELETE, Due, Sent, Work

SUBMIT, APPROVE, REJECT, REVISE = "submit", "approve", "reject", "revise"
SHIP, DELIVER, CLOSE, CANCEL = "ship", "deliver", "close", "cancel"
"""The named transitions, which roles can be granted one by one."""

_ORDERS, _COUNTERS = table_of(Order), table_of(OrderCounter)
_COUNT = compile_statement(
    insert(_COUNTERS)
    .values(workspace_id=bindparam("workspace_id", type_=UUID), year=bindparam("year"), last=bindparam(BY))
    .on_conflict_do_update(index_elements=["workspace_id", "year"], set_={"last": _COUNTERS.c.last + bindparam(BY)})
    .returning(_COUNTERS.c.last)
)
_NUMBER_TAKEN = compile_statement(
    select(_ORDERS.c.id).where(_ORDERS.c.workspace_id == workspace(), _ORDERS.c.number == bindparam("number"))
)
_COPIED = {"customer_id": Copied("customer"), "owner_id": Copied("owner")}
_COPIED_OF_LINES = {
    "product_id": Copied("product"),
    "quantity": Copied("quantity"),
    "unit_price": Copied("unitPrice"),
    "discount_percent": Copied("discountPercent"),
}
"""What is copied of an opportunity and its lines beside the currency, which tells no amount."""


async def create_order(work: Work, sent: Sent) -> str:
    """Draft an order with its lines."""
    lines = sent.parts.get("lines", ())
    work.may(ORDER, CREATE, sent.fields)
    of_lines = may_write_lines(work, CREATE, {name for line in lines for name in line.values}) if lines else ()
    check_count(len(lines), "lines")
    await work.check_references(Order, sent.values)
    order = await _draft(work, sent.values)

    async def made(place: int, line: Sent) -> OrderLine:
        with below("lines", place):
            return await new_line(work, order, line.values)

    rows = await work.all_together([partial(made, place, line) for place, line in enumerate(lines)])
    return await _open(work, order, rows, sent, sent.fields, of_lines)


async def create_order_from_opportunity(work: Work, sent: Sent) -> str:
    """Draft an order for an opportunity's customer, with its owner, currency and lines.

    Copying is reading: it takes only what the viewer may see of the opportunity in clear.
    """
    opportunity_id = sent.values["opportunity_id"]
    given = tuple(dict.fromkeys((*sent.fields, "customer", "opportunity", "owner", "currency")))
    work.may(ORDER, CREATE, given)
    of_lines = may_write_lines(work, CREATE, _COPIED_OF_LINES)
    found = await _read(work, OPPORTUNITY, _COPIED, id=opportunity_id)
    if not found:
        raise Refused("NOT_FOUND", "There is no such opportunity.", ("opportunityId",))
    copied = {name: found[0][name] for name in ("customer_id", "owner_id", "currency") if found[0][name] is not None}
    if "customer_id" not in copied:
        message = "This opportunity has no customer that you may see: give it one first."
        raise Refused("REQUIRED", message, ("opportunityId",))
    values = {**sent.values, **copied}
    seen = {"customer_id": copied["customer_id"]}
    await work.check_references(Order, values, seen=seen, path="opportunityId")
    order = await _draft(work, values)
    return await _open(work, order, await _copied_lines(work, order, opportunity_id), sent, given, of_lines)


async def update_order(work: Work, id_: str, sent: Sent, if_version: int | None) -> str:
    """Change an order's data; its discount and customer only in DRAFT."""
    order = await work.revise(Order, ORDER, id_, sent.without("discount_percent"), if_version)
    if "customer_id" in changes(order):
        order.check_draft("The customer of an order", "customerId")
    if "discount_percent" in sent.values:
        order.change_discount(required(sent.values["discount_percent"], "discountPercent"))
    await work.save(order, ORDER, OrderUpdated())
    return order.id


async def submit_order(work: Work, id_: str, if_version: int | None) -> str:
    """Hand a draft with at least one line in for approval."""
    order = await work.get(Order, ORDER, id_, SUBMIT, if_version)
    lines = await totals_of(work, order)
    return await _save_status(work, order, order.submit(len(lines), work.now))


async def approve_order(work: Work, id_: str, if_version: int | None) -> str:
    """Approve a submitted order."""
    order = await work.get(Order, ORDER, id_, APPROVE, if_version)
    return await _save_status(work, order, order.approve(work.viewer.member_id, work.now))


async def reject_order(work: Work, id_: str, reason: str, if_version: int | None) -> str:
    """Turn a submitted order down, with a reason."""
    order = await work.get(Order, ORDER, id_, REJECT, if_version, given=("rejectedReason",))
    return await _save_status(work, order, order.reject(reason))


async def revise_order(work: Work, id_: str, if_version: int | None) -> str:
    """Make a rejected order a draft again."""
    order = await work.get(Order, ORDER, id_, REVISE, if_version)
    return await _save_status(work, order, order.revise())


async def ship_order(work: Work, id_: str, if_version: int | None) -> str:
    """Note that an approved order left for the customer."""
    order = await work.get(Order, ORDER, id_, SHIP, if_version)
    return await _save_status(work, order, order.ship(work.now))


async def deliver_order(work: Work, id_: str, if_version: int | None) -> str:
    """Note that a shipped order reached the customer."""
    order = await work.get(Order, ORDER, id_, DELIVER, if_version)
    return await _save_status(work, order, order.deliver(work.now))


async def close_order(work: Work, id_: str, if_version: int | None) -> str:
    """Complete a delivered order."""
    order = await work.get(Order, ORDER, id_, CLOSE, if_version)
    return await _save_status(work, order, order.close(work.now))


async def cancel_order(work: Work, id_: str, reason: str, if_version: int | None) -> str:
    """Call off an order that has not been shipped, with a reason."""
    order = await work.get(Order, ORDER, id_, CANCEL, if_version, given=("cancelledReason",))
    return await _save_status(work, order, order.cancel(reason))


async def delete_order(work: Work, id_: str, if_version: int | None) -> None:
    """Put a draft, or an order that was cancelled before it was approved, into the recycle bin, with its lines and
    history."""
    order = await work.get(Order, ORDER, id_, DELETE, if_version)
    await work.delete(order, ORDER, order.delete())


async def restate_orders(work: Work, due: Due) -> None:
    """Value again what is open in a currency whose rates have changed."""

    async def again(id_: str) -> None:
        order = await work.get(Order, ORDER, id_)
        if await value_again(work, order):
            await work.save(order, ORDER, OrderUpdated())

    await restate(work, Order, due, again)


async def _draft(work: Work, values: Mapping[str, Any]) -> Order:
    """Return a new order without a number unless one is given, not written yet."""
    order: Order = Order.make(
        **{
            "owner_id": work.viewer.member_id,
            "status": OrderStatus.DRAFT.value,
            "discount_percent": Decimal(0),
            "ordered_on": work.today,
            **values,
        }
    )
    if "currency" not in values:
        order.currency = await shown_base_currency(work, "currency")
    return order


async def _open(
    work: Work, order: Order, lines: Sequence[OrderLine], sent: Sent, given: tuple[str, ...], of_lines: tuple[str, ...]
) -> str:
    """Write a new order with its lines and the first entry of its history, under the number that was sent, or the next;
    `given` and `of_lines` are the GraphQL fields of both that were asked for."""
    order.add_up((line.total for line in lines), "lines")
    for place, line in enumerate(lines):
        with below("lines", place):
            work.check_fit(line)
    work.check_fit(order)
    await work.check_new(order, ORDER, given, [(ORDER_LINE, of_lines)])
    if "number" not in sent.values:
        order.number = await _next_number(work, order.ordered_on)
    await work.create(order, ORDER, OrderCreated(), given)
    await work.add_parts(lines, ORDER_LINE)
    await _remember(work, order, None, None)
    return order.id


async def _next_number(work: Work, day: date) -> str:
    """Return `SO-<year>-<running number>`, skipping numbers that were given by hand.

    The counter's row stays locked until the transaction ends, so drafts of a workspace queue here: called last. A draft
    that is rolled back gives its number back.
    """
    while True:
        number = f"SO-{day.year}-{await work.session.count(_COUNT, {**work.viewer.binds, 'year': day.year})}"
        if not await work.session.fetch(_NUMBER_TAKEN, {**work.viewer.binds, "number": number}):
            return number


async def _copied_lines(work: Work, order: Order, opportunity_id: str) -> list[OrderLine]:
    """Return lines for an order as an opportunity has them. Raises Forbidden where the viewer may not read them."""
    rows = await _read(work, OPPORTUNITY_LINE, _COPIED_OF_LINES, opportunity_id=opportunity_id)
    check_count(len(rows), "opportunityId")
    made: list[OrderLine] = []
    for row in rows:
        for column, read in _COPIED_OF_LINES.items():
            if row[column] is None:
                raise Forbidden(
                    f"Your roles do not allow to read {OPPORTUNITY_LINE.type}.{read.field}, which would be copied."
                )
        if row["currency"] != order.currency:
            message = "This opportunity has a line in another currency than its own: make them one first."
            raise Refused("INVALID", message, ("opportunityId",))
        line: OrderLine = OrderLine.make(
            order_id=order.id,
            product_id=row["product_id"],
            quantity=Decimal(row["quantity"]),
            unit_price=Decimal(row["unit_price"]),
            discount_percent=Decimal(row["discount_percent"]),
            currency=order.currency,
        )
        price(line)
        made.append(line)
    await work.all_together([partial(work.check_coherent, line, path="opportunityId") for line in made])
    return made


async def _read(work: Work, policy: Policy, reads: Reads, **where: str) -> list[Record]:
    """Return the rows of a type that the viewer may see, oldest first; what they may not read in clear is null, and
    what is audited is noted. `where` maps columns to ids. The currency comes along."""
    access, rows = work.access.of(policy.type), policy.table
    conditions = [*access.conditions(rows), *(rows.c[name] == bindparam(f"w_{name}", type_=UUID) for name in where)]
    columns = selected(access, rows, ("id", "currency"), reads)
    query = select(*columns).where(*conditions).order_by(rows.c.id)
    found = await work.session.query(query, **work.viewer.binds, **{f"w_{name}": id_ for name, id_ in where.items()})
    for row in found:
        work.note(policy, row["id"], *audited(access, row, reads))
    return found


async def _save_status(work: Work, order: Order, event: StatusEvent) -> str:
    before, _ = changes(order)["status"]
    await work.save(order, ORDER, event)
    await _remember(work, order, before, event.reason if isinstance(event, OrderRejected | OrderCancelled) else None)
    return order.id


async def _remember(work: Work, order: Order, before: str | None, reason: str | None) -> None:
    change: OrderStatusChange = OrderStatusChange.make(
        order_id=order.id,
        from_status=before,
        to_status=order.status,
        member_id=work.viewer.member_id,
        changed_at=work.now,
        reason=reason,
    )
    await work.add_part(change, ORDER_STATUS_CHANGE)
