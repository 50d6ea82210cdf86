"""Products from files."""

from __future__ import annotations

from collections.abc import Sequence

from crm_graph.domains.catalog.products.events import ProductCreated, ProductUpdated
from crm_graph.domains.catalog.products.model import Product
from crm_graph.domains.catalog.products.policy import PRODUCT
from crm_graph.domains.workspace.workspaces.operations import base_currency
from crm_graph.transfer.spec import Draft, ImportSpec, Target, currency, decimal, string, truth
from crm_graph.work import Work

PRODUCT_TARGET = Target(Product, PRODUCT, "prd", ("sku", "name"))


async def _currency(work: Work, _: Sequence[Draft]) -> str:
    return await base_currency(work)


def _complete(_: Work, draft: Draft, base: str) -> None:
    """A price without currency is in the workspace's; a currency without price says nothing and is left out."""
    if "price" in draft.values or "currency" in draft.values:
        if draft.get("price") is None:
            draft.values["currency"] = None
        elif draft.get("currency") is None:
            draft.values["currency"] = base


IMPORTS = (
    ImportSpec(
        entity="product",
        model=Product,
        policy=PRODUCT,
        prefix="prd",
        columns=(
            string("sku"),
            string("name", required=True),
            string("series"),
            string("description"),
            decimal("price"),
            currency("price"),
            truth("active", default=True),
        ),
        matches=(("sku",), ("name",)),
        unique=(("sku",),),
        created=lambda _: ProductCreated(),
        updated=lambda _draft, _changes: ProductUpdated(),
        gather=_currency,
        complete=_complete,
    ),
)
