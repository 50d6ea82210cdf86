"""Exchange rates: what one unit of a currency is worth in the workspace's base currency, from a day on."""

from __future__ import annotations

from datetime import date

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from crm_graph.db.base import CurrencyCode, Rate, Row, refers
from crm_graph.db.lists import ordered_by
from crm_graph.db.placement import DISTRIBUTED
from crm_graph.db.rules import between


class ExchangeRate(Row):
    """The rate of a currency, which is valid until the next one of it is."""

    __tablename__ = "exchange_rate"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("workspace_id", "workspace"),
        UniqueConstraint("workspace_id", "currency", "valid_from"),
        ordered_by("exchange_rate", "valid_from"),
        ordered_by("exchange_rate", "created_at"),
        ordered_by("exchange_rate", "updated_at"),
        between("rate", above=0),
    )

    currency: Mapped[CurrencyCode]
    valid_from: Mapped[date]
    rate: Mapped[Rate]
