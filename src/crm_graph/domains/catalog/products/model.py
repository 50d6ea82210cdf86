"""Products: what can stand on a line of an opportunity or order."""

from __future__ import annotations

from sqlalchemy import true
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import Amount, CurrencyCode, Kept, LongText, refers, unique_kept
from crm_graph.db.placement import DISTRIBUTED
from crm_graph.db.rules import between, in_currency


class Product(Kept):
    """A product with its list price."""

    __tablename__ = "product"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("workspace_id", "workspace"),
        unique_kept("product", "sku"),
        between("price", 0),
        in_currency("currency", "price", name="price_has_currency"),
    )

    name: Mapped[str]
    sku: Mapped[str | None]
    series: Mapped[str | None]
    description: Mapped[LongText | None]
    price: Mapped[Amount | None]
    currency: Mapped[CurrencyCode | None]
    active: Mapped[bool] = mapped_column(default=True, server_default=true())
