"""Products from files."""

from __future__ import annotations

from crm_graph.domains.catalog.products.events import ProductCreated, ProductUpdated
from crm_graph.domains.catalog.products.model import Product
from crm_graph.domains.catalog.products.policy import PRODUCT
from crm_graph.domains.workspace.workspaces.imports import gather_currency
from crm_graph.transfer.spec import Draft, ImportSpec, Target, columns_of, settle_currencies
from crm_graph.work import Work

PRODUCT_TARGET = Target(Product, PRODUCT, "prd", ("sku", "name"))


def _complete(_: Work, draft: Draft, base: str) -> None:
    settle_currencies(Product, draft, base)


IMPORTS = (
    ImportSpec(
        entity="product",
        model=Product,
        policy=PRODUCT,
        prefix="prd",
        columns=columns_of(Product, required=("name",), money={"currency": "price"}),
        matches=(("sku",), ("name",)),
        unique=(("sku",),),
        created=lambda _: ProductCreated(),
        updated=lambda _draft, _changes: ProductUpdated(),
        gather=gather_currency,
        complete=_complete,
    ),
)
