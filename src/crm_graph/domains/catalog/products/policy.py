"""Who may see and change products: everybody sees the catalogue; who keeps it changes it."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.domains.catalog.products.model import Product
from crm_graph.permissions.grants import ALL, Level, grant, read_only
from crm_graph.permissions.policy import Policy
from crm_graph.permissions.roles import ANALYST, FINANCE, INTEGRATION, SALES_MANAGER, STAFF

_SEE = grant(read=ALL, default=Level.READ)

PRODUCT = Policy(
    "Product",
    table_of(Product),
    defaults={
        **dict.fromkeys(STAFF, _SEE),
        ANALYST: read_only(),
        **dict.fromkeys((SALES_MANAGER, FINANCE), grant(read=ALL, create=ALL, update=ALL)),
        INTEGRATION: grant(read=ALL, create=ALL, update=ALL, export=ALL),
    },
)
