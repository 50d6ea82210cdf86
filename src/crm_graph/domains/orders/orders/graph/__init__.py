"""Orders in the schema."""

from __future__ import annotations

from crm_graph.domains.orders.orders import events, model, operations
from crm_graph.domains.orders.orders.graph.mutations import Mutations
from crm_graph.domains.orders.orders.graph.subscriptions import Subscriptions
from crm_graph.domains.orders.orders.graph.types import EXTENSIONS, Order, OrderLine, OrderStatusChange, Queries
from crm_graph.graph.schema.build import Slice
from crm_graph.valuing import kind_of

SLICE = Slice(
    "orders",
    records=(Order, OrderLine, OrderStatusChange),
    queries=(Queries,),
    mutations=(Mutations,),
    subscriptions=(Subscriptions,),
    extensions=EXTENSIONS,
    events=events.EVENTS,
    timers={kind_of(model.Order): operations.restate_orders},
)

__all__ = ["SLICE", "Order", "OrderLine", "OrderStatusChange"]
