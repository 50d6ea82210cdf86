"""Who may see and set exchange rates: everybody sees them; who keeps the books sets them."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.domains.workspace.rates.model import ExchangeRate
from crm_graph.permissions.grants import ALL, Level, grant, read_only
from crm_graph.permissions.policy import Policy
from crm_graph.permissions.roles import ANALYST, FINANCE, INTEGRATION, STAFF

_SEE = grant(read=ALL, default=Level.READ)

EXCHANGE_RATE = Policy(
    "ExchangeRate",
    table_of(ExchangeRate),
    defaults={
        **dict.fromkeys(STAFF, _SEE),
        ANALYST: read_only(),
        FINANCE: grant(read=ALL, create=ALL, update=ALL, delete=ALL),
        INTEGRATION: grant(read=ALL, create=ALL, update=ALL, export=ALL),
    },
)
