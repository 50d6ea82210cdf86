"""Who may see and change orders. `approve` and `reject` are granted by name: they would follow `update` otherwise."""

from __future__ import annotations

from crm_graph.db.base import table_of
from crm_graph.domains.orders.orders.events import OrderUpdated
from crm_graph.domains.orders.orders.model import Order, OrderLine, OrderStatusChange
from crm_graph.permissions.grants import ALL, MEASURED, NONE, OWN, TEAM, Level, grant
from crm_graph.permissions.policy import Policy, mask_amount, owned_by
from crm_graph.permissions.roles import ANALYST, INTEGRATION, MARKETER, SALES_MANAGER, SALES_REP, SUPPORT_AGENT

ORDER = Policy(
    "Order",
    table_of(Order),
    scopes=owned_by("owner_id"),
    masks={"subtotal": mask_amount, "total": mask_amount},
    transitions=("submit", "approve", "reject", "revise", "ship", "deliver", "close", "cancel"),
    defaults={
        SALES_MANAGER: grant(read=ALL, create=ALL, update=TEAM, delete=TEAM, approve=ALL, reject=ALL),
        SALES_REP: grant(read=TEAM, create=OWN, update=OWN, delete=OWN, approve=NONE, reject=NONE),
        MARKETER: grant(read=ALL, default=Level.READ, fields={"subtotal": MEASURED, "total": MEASURED}),
        SUPPORT_AGENT: grant(read=ALL, default=Level.READ),
        ANALYST: grant(read=ALL, default=Level.READ),
        INTEGRATION: grant(read=ALL, create=ALL, update=ALL),
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
