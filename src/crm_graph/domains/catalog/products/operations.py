"""The only writers of products."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm_graph.domains.catalog.products.events import ProductCreated, ProductDeleted, ProductUpdated
from crm_graph.domains.catalog.products.model import Product
from crm_graph.domains.catalog.products.policy import PRODUCT
from crm_graph.kernel.errors import Refused
from crm_graph.work import CREATE, DELETE, UPDATE, Work


async def create_product(work: Work, values: Mapping[str, Any], given: tuple[str, ...]) -> str:
    """Add a product to the catalogue."""
    work.may(PRODUCT, CREATE, given)
    product: Product = Product.make(**{"active": True, **values})
    _check(product)
    await work.create(product, PRODUCT, ProductCreated(), given)
    return product.id


async def update_product(
    work: Work, id_: str, values: Mapping[str, Any], given: tuple[str, ...], if_version: int | None
) -> str:
    """Change a product."""
    product = await work.get(Product, PRODUCT, id_, UPDATE, if_version, given=given)
    for name, value in values.items():
        setattr(product, name, value)
    _check(product)
    await work.save(product, PRODUCT, ProductUpdated())
    return product.id


async def delete_product(work: Work, id_: str, if_version: int | None) -> None:
    """Remove a product that stands on no line. Raises Refused IN_USE otherwise: make it inactive instead."""
    product = await work.get(Product, PRODUCT, id_, DELETE, if_version)
    await work.delete(product, PRODUCT, ProductDeleted())


def _check(product: Product) -> None:
    if product.price is not None and product.price < 0:
        raise Refused("INVALID", "A price cannot be negative.", ("price", "amount"))
