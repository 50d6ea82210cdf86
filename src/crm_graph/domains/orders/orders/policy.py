"""Who may see and change orders, and who decides on them."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.domains.customers.customers.policy import ACCOUNT, with_accounts
from crm_graph.domains.orders.orders.events import OrderUpdated
from crm_graph.domains.orders.orders.model import Order, OrderLine, OrderStatusChange
from crm_graph.permissions.grants import ALL, MEASURED, OWN, TEAM, Level, grant, read_only
from crm_graph.permissions.policy import Policy, mask_amount
from crm_graph.permissions.roles import (
    ANALYST,
    FINANCE,
    INTEGRATION,
    MARKETER,
    SALES_MANAGER,
    SALES_REP,
    SERVICE_MANAGER,
    SUPPORT_AGENT,
)

ORDER = Policy(
    "Order",
    table_of(Order),
    scopes=with_accounts("owner_id"),
    around_own=frozenset({TEAM, ACCOUNT}),
    masks={"subtotal": mask_amount, "total": mask_amount},
    following=("submit", "revise", "ship", "deliver", "close"),
    by_name=("approve", "reject", "cancel"),
    defaults={
        SALES_MANAGER: grant(
            read=ALL, create=TEAM, update=TEAM, delete=TEAM, export=TEAM, approve=ALL, reject=ALL, cancel=TEAM
        ),
        SALES_REP: grant(read=(OWN, TEAM, ACCOUNT), create=OWN, update=OWN, delete=OWN),
        MARKETER: grant(read=ALL, default=Level.READ, fields={"subtotal": MEASURED, "total": MEASURED}),
        **dict.fromkeys((SUPPORT_AGENT, SERVICE_MANAGER), grant(read=ALL, default=Level.READ)),
        FINANCE: grant(read=ALL, ship=ALL, close=ALL, default=Level.READ),
        ANALYST: read_only(),
        INTEGRATION: grant(read=ALL, create=ALL, update=ALL, export=ALL),
    },
)
ORDER_LINE = Policy(
    "OrderLine",
    table_of(OrderLine),
    parent=(ORDER, "order_id"),
    in_version=OrderUpdated,
    unsaid=True,
    defaults={MARKETER: grant()},  # prices would tell the totals that are hidden from them
)
ORDER_STATUS_CHANGE = Policy(
    "OrderStatusChange", table_of(OrderStatusChange), parent=(ORDER, "order_id"), in_version=False, unsaid=True
)
