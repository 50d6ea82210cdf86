"""Watching orders."""

from __future__ import annotations

import strawberry

from crm_graph.domains.orders.orders.graph.types import Order
from crm_graph.domains.workspace.members.graph import AS_IT_IS, THAT_MATCH, MemberChange
from crm_graph.graph.records.record import by_key, watch


@strawberry.type(description="Something that happened to an order that you may see.")
class OrderChange(MemberChange):
    """One event of the log with the current record."""

    order: Order | None = by_key("key", f"The order {AS_IT_IS}")


class Subscriptions:
    """Fields of Subscription."""

    order_changed: OrderChange = watch(Order, f"Every change of the orders {THAT_MATCH}")
