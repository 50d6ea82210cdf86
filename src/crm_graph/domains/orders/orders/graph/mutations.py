"""The mutations of orders."""

from __future__ import annotations

import strawberry

from crm_graph.domains.orders.orders import lines, model, operations
from crm_graph.domains.orders.orders.graph.types import Order, OrderLine
from crm_graph.graph import writes
from crm_graph.graph.reading.sizes import sized
from crm_graph.graph.writes import Written


@strawberry.input(description="An order to act on.")
class OrderInput(writes.OneOf):
    """See the transitions in `operations`."""


@sized(model.OrderStatusChange)
@strawberry.input(description="A submitted order to turn down.")
class RejectOrderInput(writes.OneOf):
    """See `operations.reject_order`."""

    reason: str = strawberry.field(description="Why the order is turned down, for whoever revises it.")


@sized(model.OrderStatusChange)
@strawberry.input(description="An order to call off.")
class CancelOrderInput(writes.OneOf):
    """See `operations.cancel_order`."""

    reason: str = strawberry.field(description="Why it is called off.")


class Mutations:
    """Fields of Mutation."""

    create_order: Written[Order] = writes.create(
        "Drafts an order, with its lines.", operations.create_order, parts={"lines": (OrderLine, model.MAX_LINES)}
    )
    create_order_from_opportunity: Written[Order] = writes.create(
        "Drafts an order with the customer, owner, currency and lines of an opportunity.",
        operations.create_order_from_opportunity,
        needs=("opportunity",),
        takes=("number", "discount_percent", "ordered_on", "notes", "external_id"),
        about="A new order with the customer, owner, currency and lines of an opportunity.",
    )
    update_order: Written[Order] = writes.update(
        "Changes an order's data; mutations of their own change its status and lines.", operations.update_order
    )
    delete_order: Written[Order] = writes.delete(
        "Deletes an order in DRAFT or CANCELLED, with its lines and history.", operations.delete_order
    )
    submit_order: Written[Order] = writes.transition(
        "Hands a draft in for approval; it needs at least one line.",
        operations.SUBMIT,
        operations.submit_order,
        input_=OrderInput,
    )
    approve_order: Written[Order] = writes.transition(
        "Approves a submitted order, in your name.", operations.APPROVE, operations.approve_order, input_=OrderInput
    )
    reject_order: Written[Order] = writes.asked(
        "Turns a submitted order down, with a reason; it can be revised.",
        operations.REJECT,
        RejectOrderInput,
        lambda work, id_, input_: operations.reject_order(work, id_, input_.reason, input_.if_version),
    )
    revise_order: Written[Order] = writes.transition(
        "Makes a rejected order a draft again.", operations.REVISE, operations.revise_order, input_=OrderInput
    )
    ship_order: Written[Order] = writes.transition(
        "Notes that an approved order left for the customer.",
        operations.SHIP,
        operations.ship_order,
        input_=OrderInput,
    )
    deliver_order: Written[Order] = writes.transition(
        "Notes that a shipped order reached the customer.",
        operations.DELIVER,
        operations.deliver_order,
        input_=OrderInput,
    )
    close_order: Written[Order] = writes.transition(
        "Completes a delivered order.", operations.CLOSE, operations.close_order, input_=OrderInput
    )
    cancel_order: Written[Order] = writes.asked(
        "Calls off an order that has not been shipped, with a reason; for good.",
        operations.CANCEL,
        CancelOrderInput,
        lambda work, id_, input_: operations.cancel_order(work, id_, input_.reason, input_.if_version),
    )
    add_order_line: Written[OrderLine] = writes.create("Puts a product on an order in DRAFT.", lines.add_order_line)
    update_order_line: Written[OrderLine] = writes.update(
        "Changes a line of an order in DRAFT.", lines.update_order_line
    )
    remove_order_line: Written[OrderLine] = writes.delete(
        "Takes a line off an order in DRAFT.", lines.remove_order_line
    )
