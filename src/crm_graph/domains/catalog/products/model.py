"""Products: what can stand on a line of an opportunity or order."""

from __future__ import annotations

from sqlalchemy import true
from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import CurrencyCode, Kept, Key, LongText, UnitPrice, refers, unique_kept
from crm_graph.db.lists import Text, found_by, ordered_by, searched
from crm_graph.db.placement import DISTRIBUTED
from crm_graph.db.rules import between, in_currency


class Product(Kept):
    """A product with its list price."""

    __tablename__ = "product"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("workspace_id", "workspace"),
        unique_kept("product", "sku"),
        ordered_by("product", "name", Text),
        ordered_by("product", "sku", Text),
        ordered_by("product", "series", Text),
        ordered_by("product", "price"),
        ordered_by("product", "created_at"),
        ordered_by("product", "updated_at"),
        found_by("product", "name"),
        searched("product", "name", "sku"),
        between("price", 0),
        in_currency("currency", "price", name="price_has_currency"),
    )

    name: Mapped[str]
    sku: Mapped[Key | None]
    series: Mapped[str | None]
    description: Mapped[LongText | None]
    price: Mapped[UnitPrice | None]
    currency: Mapped[CurrencyCode | None]
    active: Mapped[bool] = mapped_column(default=True, server_default=true())
