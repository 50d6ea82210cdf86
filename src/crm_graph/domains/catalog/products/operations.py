"""The only writers of products."""

from __future__ import annotations

from crm_graph.domains.catalog.products.events import ProductCreated, ProductDeleted, ProductUpdated
from crm_graph.domains.catalog.products.model import Product
from crm_graph.domains.catalog.products.policy import PRODUCT
from crm_graph.work import DELETE, Sent, Work


async def create_product(work: Work, sent: Sent) -> str:
    """Add a product to the catalogue."""
    product = await work.draft(Product, PRODUCT, sent)
    await work.create(product, PRODUCT, ProductCreated(), sent.fields)
    return product.id


async def update_product(work: Work, id_: str, sent: Sent, if_version: int | None) -> str:
    """Change a product."""
    product = await work.revise(Product, PRODUCT, id_, sent, if_version)
    await work.save(product, PRODUCT, ProductUpdated())
    return product.id


async def delete_product(work: Work, id_: str, if_version: int | None) -> None:
    """Remove a product that stands on no line. Raises Refused IN_USE otherwise: make it inactive instead."""
    product = await work.get(Product, PRODUCT, id_, DELETE, if_version)
    await work.delete(product, PRODUCT, ProductDeleted())
