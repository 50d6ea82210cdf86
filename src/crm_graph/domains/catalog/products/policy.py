"""Who may see and change products: everybody sees the catalogue; who keeps it changes it."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.domains.catalog.products.model import Product
from crm_graph.permissions.grants import ALL, Level, grant
from crm_graph.permissions.policy import Policy
from crm_graph.permissions.roles import ANALYST, INTEGRATION, MARKETER, SALES_MANAGER, SALES_REP, SUPPORT_AGENT

_SEE = grant(read=ALL, default=Level.READ)

PRODUCT = Policy(
    "Product",
    table_of(Product),
    defaults={
        **dict.fromkeys((SALES_REP, MARKETER, SUPPORT_AGENT, ANALYST), _SEE),
        SALES_MANAGER: grant(read=ALL, create=ALL, update=ALL),
        INTEGRATION: grant(read=ALL, create=ALL, update=ALL),
    },
)
