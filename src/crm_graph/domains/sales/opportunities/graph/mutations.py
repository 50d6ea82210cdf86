"""The inputs, payloads and mutations of opportunities."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import strawberry

from crm_graph.domains.catalog.products.graph import Product
from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.sales.opportunities import lines, model, operations
from crm_graph.domains.sales.opportunities.graph.types import Opportunity, OpportunityLine
from crm_graph.domains.sales.pipelines.graph import Stage
from crm_graph.domains.workspace.members.graph import Member
from crm_graph.graph.context import Info
from crm_graph.graph.payloads import (
    DeletePayload,
    MoneyInput,
    Payload,
    field_names,
    given,
    key_of,
    new_key,
    perform,
    perform_delete,
    refer,
    spread_money,
)
from crm_graph.graph.reading.sizes import sized
from crm_graph.graph.records.record import by_key
from crm_graph.work import Work

_PROBABILITY = "How likely it is to be won, in percent; the stage's unless given. Needed where you may not read that."


@sized(model.Opportunity)
@strawberry.input(description="A new opportunity.")
class CreateOpportunityInput:
    """See `operations.create_opportunity`."""

    id: strawberry.ID | None = strawberry.field(
        description="An id made by the client, `opp_` and a UUIDv7.", default=None
    )
    name: str = strawberry.field(description="What the deal is called.")
    customer_id: strawberry.ID | None = strawberry.field(description="Who may buy.", default=None)
    stage_id: strawberry.ID | None = strawberry.field(
        description="The open stage it starts in; the first of the first pipeline unless given.", default=None
    )
    owner_id: strawberry.ID | None = strawberry.field(description="Who works on it; you unless given.", default=None)
    amount: MoneyInput | None = strawberry.field(description="What the deal is worth.", default=None)
    probability: int | None = strawberry.field(description=_PROBABILITY, default=None)
    expected_close: date | None = strawberry.field(description="When it is expected to be decided.", default=None)
    next_step: str | None = strawberry.field(description="What is to be done next.", default=None)
    source: str | None = strawberry.field(description="Where the opportunity came from.", default=None)
    external_id: str | None = strawberry.field(description="The opportunity's id in another system.", default=None)


@sized(model.Opportunity)
@strawberry.input(description="Changes to an opportunity; what is left out stays, null clears.")
class UpdateOpportunityInput:
    """See `operations.update_opportunity`."""

    id: strawberry.ID = strawberry.field(description="The opportunity.")
    if_version: int | None = strawberry.field(description="Refuse if it is at another version.", default=None)
    name: strawberry.Maybe[str] = strawberry.field(description="What the deal is called.")
    customer_id: strawberry.Maybe[strawberry.ID | None] = strawberry.field(description="Who may buy.")
    owner_id: strawberry.Maybe[strawberry.ID | None] = strawberry.field(description="Who works on it.")
    amount: strawberry.Maybe[MoneyInput | None] = strawberry.field(description="What the deal is worth.")
    probability: strawberry.Maybe[int] = strawberry.field(description="How likely it is to be won, in percent.")
    expected_close: strawberry.Maybe[date | None] = strawberry.field(description="When it is expected to be decided.")
    next_step: strawberry.Maybe[str | None] = strawberry.field(description="What is to be done next.")
    source: strawberry.Maybe[str | None] = strawberry.field(description="Where the opportunity came from.")
    external_id: strawberry.Maybe[str | None] = strawberry.field(description="The id in another system.")


@sized(model.Opportunity)
@strawberry.input(description="A move to another stage, with what the stage requires.")
class MoveOpportunityInput:
    """See `operations.move_opportunity`."""

    id: strawberry.ID = strawberry.field(description="The opportunity.")
    if_version: int | None = strawberry.field(description="Refuse if it is at another version.", default=None)
    stage_id: strawberry.ID = strawberry.field(description="The stage it moves to, of the same pipeline.")
    amount: strawberry.Maybe[MoneyInput] = strawberry.field(description="What the deal is worth.")
    probability: int | None = strawberry.field(description=_PROBABILITY, default=None)
    expected_close: strawberry.Maybe[date] = strawberry.field(description="When it is expected to be decided.")
    next_step: strawberry.Maybe[str] = strawberry.field(description="What is to be done next.")
    lost_reason: strawberry.Maybe[str] = strawberry.field(description="Why it was lost; lost stages require it.")


@strawberry.input(description="A won or lost opportunity to open again.")
class ReopenOpportunityInput:
    """See `operations.reopen_opportunity`."""

    id: strawberry.ID = strawberry.field(description="The opportunity.")
    if_version: int | None = strawberry.field(description="Refuse if it is at another version.", default=None)
    stage_id: strawberry.ID = strawberry.field(description="The open stage it goes back to.")
    probability: int | None = strawberry.field(description=_PROBABILITY, default=None)


@strawberry.input(description="An opportunity to delete.")
class DeleteOpportunityInput:
    """See `operations.delete_opportunity`."""

    id: strawberry.ID = strawberry.field(description="The opportunity.")
    if_version: int | None = strawberry.field(description="Refuse if it is at another version.", default=None)


@strawberry.input(description="A product to put on an opportunity.")
class AddOpportunityLineInput:
    """See `lines.add_line`."""

    opportunity_id: strawberry.ID = strawberry.field(description="The opportunity.")
    product_id: strawberry.ID = strawberry.field(description="The product.")
    quantity: Decimal = strawberry.field(description="How many units.", default=Decimal(1))
    unit_price: Decimal | None = strawberry.field(
        description="The price of one unit in the opportunity's currency; the list price unless given.", default=None
    )
    discount_percent: Decimal = strawberry.field(description="What is taken off, in percent.", default=Decimal(0))


@strawberry.input(description="Changes to a line of an opportunity; what is left out stays.")
class UpdateOpportunityLineInput:
    """See `lines.update_line`."""

    id: strawberry.ID = strawberry.field(description="The line.")
    if_version: int | None = strawberry.field(description="Refuse if it is at another version.", default=None)
    quantity: Decimal | None = strawberry.field(description="How many units.", default=None)
    unit_price: Decimal | None = strawberry.field(description="The price of one unit.", default=None)
    discount_percent: Decimal | None = strawberry.field(description="What is taken off, in percent.", default=None)


@strawberry.input(description="A line to take off an opportunity.")
class RemoveOpportunityLineInput:
    """See `lines.remove_line`."""

    id: strawberry.ID = strawberry.field(description="The line.")
    if_version: int | None = strawberry.field(description="Refuse if it is at another version.", default=None)


@strawberry.type(description="An opportunity, or why not.")
class OpportunityPayload(Payload):
    """What mutations of opportunities return."""

    opportunity: Opportunity | None = by_key("record_id", "The opportunity; null when refused.")


@strawberry.type(description="A line of an opportunity, or why not.")
class OpportunityLinePayload(Payload):
    """What mutations of lines return."""

    line: OpportunityLine | None = by_key("record_id", "The line; null when refused.")


class Mutations:
    """Fields of Mutation."""

    @strawberry.mutation(description="Opens an opportunity.")
    async def create_opportunity(self, info: Info, input: CreateOpportunityInput) -> OpportunityPayload:
        return await perform(info, OpportunityPayload, lambda work: _create(work, input))

    @strawberry.mutation(description="Changes an opportunity's data; `moveOpportunity` changes its stage.")
    async def update_opportunity(self, info: Info, input: UpdateOpportunityInput) -> OpportunityPayload:
        return await perform(info, OpportunityPayload, lambda work: _update(work, input))

    @strawberry.mutation(description="Moves an opportunity to another stage of its pipeline, won and lost included.")
    async def move_opportunity(self, info: Info, input: MoveOpportunityInput) -> OpportunityPayload:
        return await perform(info, OpportunityPayload, lambda work: _move(work, input))

    @strawberry.mutation(description="Opens a won or lost opportunity again.")
    async def reopen_opportunity(self, info: Info, input: ReopenOpportunityInput) -> OpportunityPayload:
        return await perform(
            info,
            OpportunityPayload,
            lambda work: operations.reopen_opportunity(
                work,
                key_of(Opportunity, input.id),
                key_of(Stage, input.stage_id, "stageId"),
                input.probability,
                input.if_version,
            ),
        )

    @strawberry.mutation(description="Deletes an opportunity with its lines and history.")
    async def delete_opportunity(self, info: Info, input: DeleteOpportunityInput) -> DeletePayload:
        return await perform_delete(
            info,
            input.id,
            lambda work: operations.delete_opportunity(work, key_of(Opportunity, input.id), input.if_version),
        )

    @strawberry.mutation(description="Puts a product on an opportunity.")
    async def add_opportunity_line(self, info: Info, input: AddOpportunityLineInput) -> OpportunityLinePayload:
        return await perform(
            info,
            OpportunityLinePayload,
            lambda work: lines.add_line(
                work,
                key_of(Opportunity, input.opportunity_id, "opportunityId"),
                key_of(Product, input.product_id, "productId"),
                input.quantity,
                input.unit_price,
                input.discount_percent,
            ),
        )

    @strawberry.mutation(description="Changes a line of an opportunity.")
    async def update_opportunity_line(self, info: Info, input: UpdateOpportunityLineInput) -> OpportunityLinePayload:
        return await perform(
            info,
            OpportunityLinePayload,
            lambda work: lines.update_line(
                work,
                key_of(OpportunityLine, input.id),
                input.quantity,
                input.unit_price,
                input.discount_percent,
                input.if_version,
            ),
        )

    @strawberry.mutation(description="Takes a line off an opportunity.")
    async def remove_opportunity_line(self, info: Info, input: RemoveOpportunityLineInput) -> DeletePayload:
        return await perform_delete(
            info, input.id, lambda work: lines.remove_line(work, key_of(OpportunityLine, input.id), input.if_version)
        )


async def _create(work: Work, input_: CreateOpportunityInput) -> str:
    values = _values(given(input_, "id"))
    refer(values, "stage_id", Stage)
    values["id"] = new_key(Opportunity, input_.id)
    return await operations.create_opportunity(work, values, field_names(input_, "id"))


async def _update(work: Work, input_: UpdateOpportunityInput) -> str:
    values = _values(given(input_, "id", "if_version"))
    names = field_names(input_, "id", "if_version")
    return await operations.update_opportunity(work, key_of(Opportunity, input_.id), values, names, input_.if_version)


async def _move(work: Work, input_: MoveOpportunityInput) -> str:
    values = _values(given(input_, "id", "if_version", "stage_id"))
    return await operations.move_opportunity(
        work,
        key_of(Opportunity, input_.id),
        key_of(Stage, input_.stage_id, "stageId"),
        values,
        field_names(input_, "id", "if_version"),
        input_.if_version,
    )


def _values(values: dict[str, Any]) -> dict[str, Any]:
    refer(values, "customer_id", Customer)
    refer(values, "owner_id", Member)
    return spread_money(values, "amount", "currency", clears_currency=False)
