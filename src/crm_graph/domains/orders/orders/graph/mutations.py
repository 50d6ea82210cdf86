"""The inputs, payloads and mutations of orders."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date
from decimal import Decimal
from typing import Any, Protocol

import strawberry

from crm_graph.db.sizes import Items
from crm_graph.domains.catalog.products.graph import Product
from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.orders.orders import lines, model, operations
from crm_graph.domains.orders.orders.graph.types import Order, OrderLine
from crm_graph.domains.sales.opportunities.graph import Opportunity
from crm_graph.domains.workspace.members.graph import Member
from crm_graph.graph.context import Info
from crm_graph.graph.payloads import (
    DeletePayload,
    Payload,
    field_names,
    given,
    key_of,
    new_key,
    perform,
    perform_delete,
    refer,
)
from crm_graph.graph.reading.sizes import sized
from crm_graph.graph.records.record import by_key
from crm_graph.graph.records.scalars import Currency
from crm_graph.work import Work


@sized(model.OrderLine)
@strawberry.input(description="A line of a new order.")
class OrderLineInput:
    """See `lines.new_line`."""

    product_id: strawberry.ID = strawberry.field(description="The product.")
    description: str | None = strawberry.field(description="What is to be known about it on this order.", default=None)
    quantity: Decimal | None = strawberry.field(description="How many units; 1 unless given.", default=None)
    unit_price: Decimal | None = strawberry.field(
        description="The price of one unit in the order's currency; the list price unless given.", default=None
    )
    discount_percent: Decimal | None = strawberry.field(description="What is taken off, in percent.", default=None)


@sized(model.Order, lines=Items(model.MAX_LINES))
@strawberry.input(description="A new order, with its lines.")
class CreateOrderInput:
    """See `operations.create_order`."""

    id: strawberry.ID | None = strawberry.field(
        description="An id made by the client, `ord_` and a UUIDv7.", default=None
    )
    number: str | None = strawberry.field(
        description="The order's number, unique in the workspace; `SO-<year>-<running number>` unless given.",
        default=None,
    )
    customer_id: strawberry.ID = strawberry.field(description="Who buys.")
    opportunity_id: strawberry.ID | None = strawberry.field(
        description="The deal that the order comes from.", default=None
    )
    owner_id: strawberry.ID | None = strawberry.field(description="Who looks after it; you unless given.", default=None)
    currency: Currency | None = strawberry.field(
        description="The currency of all its amounts, for good; the workspace's base currency unless given.",
        default=None,
    )
    discount_percent: Decimal | None = strawberry.field(
        description="What is taken off the sum of the lines, in percent.", default=None
    )
    ordered_on: date | None = strawberry.field(description="The date of the order; today unless given.", default=None)
    notes: str | None = strawberry.field(description="What else is to be known about it.", default=None)
    external_id: str | None = strawberry.field(description="The order's id in another system.", default=None)
    lines: list[OrderLineInput] | None = strawberry.field(
        description="The products, at most 500; `addOrderLine` adds more later.", default=None
    )


@sized(model.Order)
@strawberry.input(description="A new order with the customer, owner, currency and lines of an opportunity.")
class CreateOrderFromOpportunityInput:
    """See `operations.create_order_from_opportunity`."""

    id: strawberry.ID | None = strawberry.field(
        description="An id made by the client, `ord_` and a UUIDv7.", default=None
    )
    opportunity_id: strawberry.ID = strawberry.field(description="The deal that the order comes from.")
    number: str | None = strawberry.field(
        description="The order's number, unique in the workspace; `SO-<year>-<running number>` unless given.",
        default=None,
    )
    discount_percent: Decimal | None = strawberry.field(
        description="What is taken off the sum of the lines, in percent.", default=None
    )
    ordered_on: date | None = strawberry.field(description="The date of the order; today unless given.", default=None)
    notes: str | None = strawberry.field(description="What else is to be known about it.", default=None)
    external_id: str | None = strawberry.field(description="The order's id in another system.", default=None)


@sized(model.Order)
@strawberry.input(description="Changes to an order; what is left out stays, null clears.")
class UpdateOrderInput:
    """See `operations.update_order`."""

    id: strawberry.ID = strawberry.field(description="The order.")
    if_version: int | None = strawberry.field(description="Refuse if it is at another version.", default=None)
    number: strawberry.Maybe[str] = strawberry.field(description="The order's number, unique in the workspace.")
    customer_id: strawberry.Maybe[strawberry.ID] = strawberry.field(description="Who buys; changes only in DRAFT.")
    opportunity_id: strawberry.Maybe[strawberry.ID | None] = strawberry.field(description="The deal it came from.")
    owner_id: strawberry.Maybe[strawberry.ID | None] = strawberry.field(description="Who looks after it.")
    discount_percent: strawberry.Maybe[Decimal] = strawberry.field(
        description="What is taken off the sum of the lines, in percent; changes only in DRAFT."
    )
    ordered_on: strawberry.Maybe[date] = strawberry.field(description="The date of the order.")
    notes: strawberry.Maybe[str | None] = strawberry.field(description="What else is to be known about it.")
    external_id: strawberry.Maybe[str | None] = strawberry.field(description="The id in another system.")


@strawberry.input(description="An order to act on.")
class OrderInput:
    """See the transitions in `operations`."""

    id: strawberry.ID = strawberry.field(description="The order.")
    if_version: int | None = strawberry.field(description="Refuse if it is at another version.", default=None)


@strawberry.input(description="An order to delete; it must be in DRAFT or CANCELLED.")
class DeleteOrderInput:
    """See `operations.delete_order`."""

    id: strawberry.ID = strawberry.field(description="The order.")
    if_version: int | None = strawberry.field(description="Refuse if it is at another version.", default=None)


@sized(model.OrderStatusChange)
@strawberry.input(description="A submitted order to turn down.")
class RejectOrderInput:
    """See `operations.reject_order`."""

    id: strawberry.ID = strawberry.field(description="The order.")
    if_version: int | None = strawberry.field(description="Refuse if it is at another version.", default=None)
    reason: str = strawberry.field(description="Why, for the one who revises it.")


@sized(model.OrderStatusChange)
@strawberry.input(description="An order to call off.")
class CancelOrderInput:
    """See `operations.cancel_order`."""

    id: strawberry.ID = strawberry.field(description="The order.")
    if_version: int | None = strawberry.field(description="Refuse if it is at another version.", default=None)
    reason: str = strawberry.field(description="Why it is called off.")


@sized(model.OrderLine)
@strawberry.input(description="A product to put on an order.")
class AddOrderLineInput:
    """See `lines.add_order_line`."""

    id: strawberry.ID | None = strawberry.field(
        description="An id made by the client, `orl_` and a UUIDv7.", default=None
    )
    order_id: strawberry.ID = strawberry.field(description="The order; it must be in DRAFT.")
    product_id: strawberry.ID = strawberry.field(description="The product.")
    description: str | None = strawberry.field(description="What is to be known about it on this order.", default=None)
    quantity: Decimal | None = strawberry.field(description="How many units; 1 unless given.", default=None)
    unit_price: Decimal | None = strawberry.field(
        description="The price of one unit in the order's currency; the list price unless given.", default=None
    )
    discount_percent: Decimal | None = strawberry.field(description="What is taken off, in percent.", default=None)


@sized(model.OrderLine)
@strawberry.input(description="Changes to a line of an order in DRAFT; what is left out stays, null clears.")
class UpdateOrderLineInput:
    """See `lines.update_order_line`."""

    id: strawberry.ID = strawberry.field(description="The line.")
    if_version: int | None = strawberry.field(description="Refuse if the line is at another version.", default=None)
    description: strawberry.Maybe[str | None] = strawberry.field(description="What is to be known about it here.")
    quantity: strawberry.Maybe[Decimal] = strawberry.field(description="How many units.")
    unit_price: strawberry.Maybe[Decimal] = strawberry.field(description="The price of one unit.")
    discount_percent: strawberry.Maybe[Decimal] = strawberry.field(description="What is taken off, in percent.")


@strawberry.input(description="A line to take off an order in DRAFT.")
class RemoveOrderLineInput:
    """See `lines.remove_order_line`."""

    id: strawberry.ID = strawberry.field(description="The line.")
    if_version: int | None = strawberry.field(description="Refuse if the line is at another version.", default=None)


@strawberry.type(description="An order, or why not.")
class OrderPayload(Payload):
    """What mutations of orders return."""

    order: Order | None = by_key("record_id", "The order; null when refused.")


@strawberry.type(description="A line of an order, or why not.")
class OrderLinePayload(Payload):
    """What mutations of lines return."""

    line: OrderLine | None = by_key("record_id", "The line; null when refused.")


class Mutations:
    """Fields of Mutation."""

    @strawberry.mutation(description="Drafts an order, with its lines.")
    async def create_order(self, info: Info, input: CreateOrderInput) -> OrderPayload:
        return await perform(info, OrderPayload, lambda work: _create(work, input))

    @strawberry.mutation(description="Drafts an order with the customer, owner, currency and lines of an opportunity.")
    async def create_order_from_opportunity(self, info: Info, input: CreateOrderFromOpportunityInput) -> OrderPayload:
        return await perform(info, OrderPayload, lambda work: _create_from_opportunity(work, input))

    @strawberry.mutation(description="Changes an order's data; mutations of their own change its status and lines.")
    async def update_order(self, info: Info, input: UpdateOrderInput) -> OrderPayload:
        return await perform(info, OrderPayload, lambda work: _update(work, input))

    @strawberry.mutation(description="Deletes an order in DRAFT or CANCELLED, with its lines and history.")
    async def delete_order(self, info: Info, input: DeleteOrderInput) -> DeletePayload:
        return await perform_delete(
            info, input.id, lambda work: operations.delete_order(work, key_of(Order, input.id), input.if_version)
        )

    @strawberry.mutation(description="Hands a draft in for approval; it needs at least one line.")
    async def submit_order(self, info: Info, input: OrderInput) -> OrderPayload:
        return await _step(info, input, operations.submit_order)

    @strawberry.mutation(description="Approves a submitted order, in your name.")
    async def approve_order(self, info: Info, input: OrderInput) -> OrderPayload:
        return await _step(info, input, operations.approve_order)

    @strawberry.mutation(description="Turns a submitted order down, with a reason; it can be revised.")
    async def reject_order(self, info: Info, input: RejectOrderInput) -> OrderPayload:
        return await _reasoned_step(info, input, operations.reject_order)

    @strawberry.mutation(description="Makes a rejected order a draft again.")
    async def revise_order(self, info: Info, input: OrderInput) -> OrderPayload:
        return await _step(info, input, operations.revise_order)

    @strawberry.mutation(description="Notes that an approved order left for the customer.")
    async def ship_order(self, info: Info, input: OrderInput) -> OrderPayload:
        return await _step(info, input, operations.ship_order)

    @strawberry.mutation(description="Notes that a shipped order reached the customer.")
    async def deliver_order(self, info: Info, input: OrderInput) -> OrderPayload:
        return await _step(info, input, operations.deliver_order)

    @strawberry.mutation(description="Completes a delivered order.")
    async def close_order(self, info: Info, input: OrderInput) -> OrderPayload:
        return await _step(info, input, operations.close_order)

    @strawberry.mutation(description="Calls off an order that has not been shipped, with a reason; for good.")
    async def cancel_order(self, info: Info, input: CancelOrderInput) -> OrderPayload:
        return await _reasoned_step(info, input, operations.cancel_order)

    @strawberry.mutation(description="Puts a product on an order in DRAFT.")
    async def add_order_line(self, info: Info, input: AddOrderLineInput) -> OrderLinePayload:
        return await perform(info, OrderLinePayload, lambda work: _add_line(work, input))

    @strawberry.mutation(description="Changes a line of an order in DRAFT.")
    async def update_order_line(self, info: Info, input: UpdateOrderLineInput) -> OrderLinePayload:
        return await perform(
            info,
            OrderLinePayload,
            lambda work: lines.update_order_line(
                work, key_of(OrderLine, input.id), given(input, "id", "if_version"), input.if_version
            ),
        )

    @strawberry.mutation(description="Takes a line off an order in DRAFT.")
    async def remove_order_line(self, info: Info, input: RemoveOrderLineInput) -> DeletePayload:
        return await perform_delete(
            info, input.id, lambda work: lines.remove_order_line(work, key_of(OrderLine, input.id), input.if_version)
        )


class _ReasonedInput(Protocol):
    """What `RejectOrderInput` and `CancelOrderInput` share."""

    id: strawberry.ID
    if_version: int | None
    reason: str


async def _step(
    info: Info, input_: OrderInput, operation: Callable[[Work, str, int | None], Awaitable[str]]
) -> OrderPayload:
    return await perform(info, OrderPayload, lambda work: operation(work, key_of(Order, input_.id), input_.if_version))


async def _reasoned_step(
    info: Info, input_: _ReasonedInput, operation: Callable[[Work, str, str, int | None], Awaitable[str]]
) -> OrderPayload:
    return await perform(
        info, OrderPayload, lambda work: operation(work, key_of(Order, input_.id), input_.reason, input_.if_version)
    )


async def _create(work: Work, input_: CreateOrderInput) -> str:
    values = _values(given(input_, "id", "lines"))
    values["id"] = new_key(Order, input_.id)
    made = []
    for index, line in enumerate(input_.lines or ()):
        with lines.at_line(index):
            made.append(_line_values(given(line)))
    return await operations.create_order(work, values, made, field_names(input_, "id", "lines"))


async def _create_from_opportunity(work: Work, input_: CreateOrderFromOpportunityInput) -> str:
    values = given(input_, "id", "opportunity_id")
    values["id"] = new_key(Order, input_.id)
    opportunity_id = key_of(Opportunity, input_.opportunity_id, "opportunityId")
    names = field_names(input_, "id", "opportunity_id")
    return await operations.create_order_from_opportunity(work, opportunity_id, values, names)


async def _update(work: Work, input_: UpdateOrderInput) -> str:
    values = _values(given(input_, "id", "if_version"))
    names = field_names(input_, "id", "if_version")
    return await operations.update_order(work, key_of(Order, input_.id), values, names, input_.if_version)


async def _add_line(work: Work, input_: AddOrderLineInput) -> str:
    values = _line_values(given(input_, "id", "order_id"))
    values["id"] = new_key(OrderLine, input_.id)
    return await lines.add_order_line(work, key_of(Order, input_.order_id, "orderId"), values)


def _values(values: dict[str, Any]) -> dict[str, Any]:
    refer(values, "customer_id", Customer)
    refer(values, "opportunity_id", Opportunity)
    refer(values, "owner_id", Member)
    return values


def _line_values(values: dict[str, Any]) -> dict[str, Any]:
    refer(values, "product_id", Product)
    return values
