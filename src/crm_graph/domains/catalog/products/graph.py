"""Products in the schema."""

from __future__ import annotations

import strawberry

from crm_graph.domains.catalog.products import events, model, operations, policy
from crm_graph.domains.workspace.members.graph import AS_IT_IS, THAT_MATCH, MemberChange
from crm_graph.graph import writes
from crm_graph.graph.records import roots
from crm_graph.graph.records.record import SENT, Node, by_key, column, money, record, watch
from crm_graph.graph.records.types import AggregateOf, Connection, Money
from crm_graph.graph.schema.build import Slice
from crm_graph.graph.writes import Written


@record("prd", model.Product, policy.PRODUCT)
class Product(Node):
    """Something that is sold."""

    name: str = column("The product's name.", SENT)
    sku: str | None = column("The stock keeping unit, unique in the workspace.", SENT)
    series: str | None = column("The family that the product belongs to.", SENT)
    description: str | None = column("What the product is, in a sentence or two.", SENT)
    price: Money | None = money("price", "currency", "The list price of one unit.", SENT)
    active: bool = column("Whether the product is still sold.", SENT)


class Queries:
    """Fields of Query."""

    product: Product | None = roots.one("A product by id.")
    products: Connection[Product] = roots.many("The products of the catalogue.")
    products_aggregate: AggregateOf[Product] = roots.aggregate("Measures over products.")


class Mutations:
    """Fields of Mutation."""

    create_product: Written[Product] = writes.create("Adds a product to the catalogue.", operations.create_product)
    update_product: Written[Product] = writes.update("Changes a product.", operations.update_product)
    delete_product: Written[Product] = writes.delete(
        "Deletes a product that stands on no line.", operations.delete_product
    )


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
