"""Products in the schema."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import strawberry

from crm_graph.domains.catalog.products import events, model, operations, policy
from crm_graph.domains.workspace.members.graph import AS_IT_IS, THAT_MATCH, MemberChange
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
    spread_money,
)
from crm_graph.graph.reading.sizes import sized
from crm_graph.graph.records import roots
from crm_graph.graph.records.record import Node, by_key, column, money, record, watch
from crm_graph.graph.records.types import AggregateOf, Connection, Money
from crm_graph.graph.schema.build import Slice
from crm_graph.work import Work


@record("prd", model.Product, policy.PRODUCT)
class Product(Node):
    """Something that is sold."""

    name: str = column("The product's name.")
    sku: str | None = column("The stock keeping unit, unique in the workspace.")
    series: str | None = column("The family that the product belongs to.")
    description: str | None = column("What it is, in a sentence or two.")
    price: Money | None = money("price", "currency", "The list price of one unit.")
    active: bool = column("Whether it is still sold.")
    version: int = column("Counts the changes; give it as `ifVersion`.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


class Queries:
    """Fields of Query."""

    product: Product | None = roots.one("A product by id.")
    products: Connection[Product] = roots.many("The products of the catalogue.")
    products_aggregate: AggregateOf[Product] = roots.aggregate("Measures over products.")


@sized(model.Product)
@strawberry.input(description="A new product.")
class CreateProductInput:
    """See `operations.create_product`."""

    id: strawberry.ID | None = strawberry.field(
        description="An id made by the client, `prd_` and a UUIDv7.", default=None
    )
    name: str = strawberry.field(description="The product's name.")
    sku: str | None = strawberry.field(description="The stock keeping unit, unique in the workspace.", default=None)
    series: str | None = strawberry.field(description="The family that the product belongs to.", default=None)
    description: str | None = strawberry.field(description="What it is.", default=None)
    price: MoneyInput | None = strawberry.field(description="The list price of one unit.", default=None)
    active: bool = strawberry.field(description="Whether it is sold.", default=True)


@sized(model.Product)
@strawberry.input(description="Changes to a product; what is left out stays, null clears.")
class UpdateProductInput:
    """See `operations.update_product`."""

    id: strawberry.ID = strawberry.field(description="The product.")
    if_version: int | None = strawberry.field(description="Refuse if the product is at another version.", default=None)
    name: strawberry.Maybe[str] = strawberry.field(description="The product's name.")
    sku: strawberry.Maybe[str | None] = strawberry.field(description="The stock keeping unit.")
    series: strawberry.Maybe[str | None] = strawberry.field(description="The family that the product belongs to.")
    description: strawberry.Maybe[str | None] = strawberry.field(description="What it is.")
    price: strawberry.Maybe[MoneyInput | None] = strawberry.field(description="The list price of one unit.")
    active: strawberry.Maybe[bool] = strawberry.field(description="Whether it is still sold.")


@strawberry.input(description="A product to delete.")
class DeleteProductInput:
    """See `operations.delete_product`."""

    id: strawberry.ID = strawberry.field(description="The product.")
    if_version: int | None = strawberry.field(description="Refuse if the product is at another version.", default=None)


@strawberry.type(description="A product, or why not.")
class ProductPayload(Payload):
    """What mutations of products return."""

    product: Product | None = by_key("record_id", "The product; null when refused.")


class Mutations:
    """Fields of Mutation."""

    @strawberry.mutation(description="Adds a product to the catalogue.")
    async def create_product(self, info: Info, input: CreateProductInput) -> ProductPayload:
        return await perform(info, ProductPayload, lambda work: _create(work, input))

    @strawberry.mutation(description="Changes a product.")
    async def update_product(self, info: Info, input: UpdateProductInput) -> ProductPayload:
        return await perform(info, ProductPayload, lambda work: _update(work, input))

    @strawberry.mutation(description="Deletes a product that stands on no line.")
    async def delete_product(self, info: Info, input: DeleteProductInput) -> DeletePayload:
        return await perform_delete(
            info, input.id, lambda work: operations.delete_product(work, key_of(Product, input.id), input.if_version)
        )


async def _create(work: Work, input_: CreateProductInput) -> str:
    values = _values(given(input_, "id"))
    values["id"] = new_key(Product, input_.id)
    return await operations.create_product(work, values, field_names(input_, "id"))


async def _update(work: Work, input_: UpdateProductInput) -> str:
    values = _values(given(input_, "id", "if_version"))
    names = field_names(input_, "id", "if_version")
    return await operations.update_product(work, key_of(Product, input_.id), values, names, input_.if_version)


def _values(values: dict[str, Any]) -> dict[str, Any]:
    return spread_money(values, "price", "currency")


@strawberry.type(description="Something that happened to a product that you may see.")
class ProductChange(MemberChange):
    """One event of the log with the current record."""

    product: Product | None = by_key("key", f"The product {AS_IT_IS}")


class Subscriptions:
    """Fields of Subscription."""

    product_changed: ProductChange = watch(Product, f"Every change of the products {THAT_MATCH}")


SLICE = Slice(
    "products",
    records=(Product,),
    queries=(Queries,),
    mutations=(Mutations,),
    subscriptions=(Subscriptions,),
    events=events.EVENTS,
)
