"""Exchange rates in the schema."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from crm_graph.domains.workspace.rates import events, model, operations, policy
from crm_graph.graph import writes
from crm_graph.graph.records import roots
from crm_graph.graph.records.record import SENT, Node, column, record
from crm_graph.graph.records.scalars import Currency
from crm_graph.graph.records.types import AggregateOf, Connection
from crm_graph.graph.schema.build import Slice
from crm_graph.graph.writes import Written


@record("fxr", model.ExchangeRate, policy.EXCHANGE_RATE)
class ExchangeRate(Node):
    """What one unit of a currency is worth in the workspace's base currency, from a day on until its next rate."""

    currency: Currency = column("The currency that is worth something: never the base currency.", SENT)
    valid_from: date = column("The first day on which the rate counts.", SENT)
    rate: Decimal = column(
        "What one unit comes to in the base currency, with up to 10 digits after the point: 7.1 where the base currency"
        " is CNY, and this one USD.",
        SENT,
    )


class Queries:
    """Fields of Query."""

    exchange_rate: ExchangeRate | None = roots.one("An exchange rate by id.")
    exchange_rates: Connection[ExchangeRate] = roots.many("The exchange rates of the workspace.")
    exchange_rates_aggregate: AggregateOf[ExchangeRate] = roots.aggregate("Measures over exchange rates.")


class Mutations:
    """Fields of Mutation."""

    set_exchange_rate: Written[ExchangeRate] = writes.create(
        "Gives a currency a rate from a day on, in place of the one that this day has. What is open in the currency is"
        " valued again within seconds; what is closed keeps the rate of the day that closed it.",
        operations.set_exchange_rate,
        about="The rate of a currency from a day on.",
    )
    delete_exchange_rate: Written[ExchangeRate] = writes.delete(
        "Takes the rate of a day away: the one before it is valid on.", operations.delete_exchange_rate
    )


SLICE = Slice(
    "exchange rates", records=(ExchangeRate,), queries=(Queries,), mutations=(Mutations,), events=events.EVENTS
)
