"""The types of opportunities, and the fields that they add to the types below."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Date, Numeric, String, bindparam, case, cast, func

from crm_graph.domains.catalog.products.graph import Product
from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.sales.opportunities import model, policy
from crm_graph.domains.sales.pipelines.graph import Pipeline, Stage
from crm_graph.domains.workspace.members.graph import Member
from crm_graph.graph.records import roots
from crm_graph.graph.records.enums import describe
from crm_graph.graph.records.measures import Measure, Use, product
from crm_graph.graph.records.record import SENT, SENT_ONCE, Node, column, money, record, reverse, sent, to_many, to_one
from crm_graph.graph.records.types import AggregateOf, Connection, Money

describe(
    model.OpportunityStatus,
    "Whether an opportunity is still to be decided; follows from its stage.",
    {
        "OPEN": "Still to be decided.",
        "WON": "The deal was made.",
        "LOST": "The deal was not made.",
    },
)


def _age_days(status: Any, opened_on: Any, closed_on: Any) -> Any:
    """Return the days from the opening to the decision, or to today."""
    today = cast(func.timezone(bindparam("time_zone", type_=String()), func.now()), Date)
    return case((status == model.OpportunityStatus.OPEN.value, today - opened_on), else_=closed_on - opened_on)


def _days_in_stage(status: Any, stage_since: Any) -> Any:
    """Return the days since an open deal entered its stage."""
    seconds = cast(func.extract("epoch", func.now() - stage_since), Numeric)
    return case((status == model.OpportunityStatus.OPEN.value, func.round(seconds / 86_400, 4)))


@record(
    "opp",
    model.Opportunity,
    policy.OPPORTUNITY,
    measures=(
        product(
            "weightedAmount",
            "amount",
            "probability",
            "The amount times the probability: the weighted pipeline.",
            percent=True,
        ),
        product(
            "weightedBaseAmount",
            "baseAmount",
            "probability",
            "The base amount times the probability: the weighted pipeline over all currencies.",
            percent=True,
        ),
        Measure(
            "ageDays",
            ("status", "openedOn", "closedOn"),
            _age_days,
            "The days from its opening to its decision, or to today.",
        ),
        Measure(
            "daysInStage",
            ("status", "stageSince"),
            _days_in_stage,
            "The days since it entered its stage, while it is open.",
        ),
    ),
)
class Opportunity(Node):
    """A possible deal: it moves through the stages of a pipeline until it is won or lost."""

    name: str = column("What the deal is called.", SENT)
    status: model.OpportunityStatus = column("Whether the opportunity is open, won or lost.")
    amount: Money | None = money("amount", "currency", "What the deal is worth.", SENT)
    base_amount: Decimal | None = column(
        "What the deal is worth in the workspace's base currency, at `rate`; null while its currency has no exchange"
        " rates.",
        like="amount",
    )
    rate: Decimal | None = column(
        "What one unit of the amount's currency came to in the base currency: 1 within that.",
        like="amount",
    )
    rate_on: date | None = column(
        "The day whose rate that is: while the opportunity is open that of the last change, else that of its decision.",
        like="amount",
    )
    probability: int | None = column(
        "How likely the opportunity is to be won, in percent; the stage's probability when it enters one and no"
        " other is given.",
        sent(required=False),
        use=Use.DIMENSION | Use.MEASURE,
    )
    expected_close: date | None = column("When the decision is expected.", SENT)
    opened_on: date | None = column("When the opportunity was opened.")
    closed_on: date | None = column("When the opportunity was won or lost.")
    stage_since: datetime | None = column("When the opportunity entered its stage.")
    next_step: str | None = column("What is to be done next.", SENT)
    source: str | None = column("Where the opportunity came from.", SENT)
    lost_reason: str | None = column("Why the opportunity was lost.", use=Use.DIMENSION)
    customer: Customer | None = to_one("customer_id", "The customer who could buy.", SENT)
    owner: Member | None = to_one("owner_id", "The member who works on it.", sent(otherwise="you"))
    stage: Stage | None = to_one(
        "stage_id", "The opportunity's stage.", sent(update=False, otherwise="the first open one of the first pipeline")
    )
    pipeline: Pipeline | None = to_one("pipeline_id", "The pipeline that the opportunity moves through.")
    lines: Connection[OpportunityLine] = to_many("opportunity_id", "The products that the deal is about.")
    stage_moves: Connection[StageMove] = to_many("opportunity_id", "The history of its stages.")
    external_id: str | None = column("The opportunity's id in the system it came from, unique in the workspace.", SENT)


@record("opl", model.OpportunityLine, policy.OPPORTUNITY_LINE, called="line")
class OpportunityLine(Node):
    """A product on an opportunity."""

    opportunity: Opportunity | None = to_one("opportunity_id", "The opportunity.", SENT_ONCE)
    product: Product | None = to_one("product_id", "The product.", SENT_ONCE)
    quantity: Decimal | None = column("How many units.", SENT)
    unit_price: Money | None = money(
        "unit_price", "currency", "The price of one unit.", sent(otherwise="the list price", bare=True)
    )
    discount_percent: Decimal | None = column("What is taken off, in percent.", SENT)
    total: Money | None = money("total", "currency", "Quantity times unit price, less the discount.")


@record("stm", model.StageMove, policy.STAGE_MOVE)
class StageMove(Node):
    """An entry in the history of an opportunity: out of one stage, into another."""

    opportunity: Opportunity | None = to_one("opportunity_id", "The opportunity.")
    from_stage: Stage | None = to_one(
        "from_stage_id",
        "The stage that the opportunity left; null for its first entry, and where the stage was retired since.",
    )
    retired_from: str | None = column(
        "The name of the stage that the opportunity left, where the stage was retired since."
    )
    to_stage: Stage | None = to_one(
        "to_stage_id", "The stage that the opportunity entered; null where the stage was retired since."
    )
    retired_to: str | None = column(
        "The name of the stage that the opportunity entered, where the stage was retired since."
    )
    member: Member | None = to_one("member_id", "Who moved it.")
    moved_at: datetime = column("When it was moved.")
    seconds_in_stage: int | None = column("How long the opportunity had been in the stage that it left, in seconds.")
    version: int = column("Counts the changes; a history entry has none.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


class Queries:
    """Fields of Query."""

    opportunity: Opportunity | None = roots.one("An opportunity by id.")
    opportunities: Connection[Opportunity] = roots.many("The opportunities that you may see.")
    opportunities_aggregate: AggregateOf[Opportunity] = roots.aggregate("Measures over opportunities.")


_DEALS = Connection[Opportunity]
EXTENSIONS = (
    reverse(Customer, "opportunities", _DEALS, "customer_id", "The deals with this customer."),
    reverse(Member, "opportunities", _DEALS, "owner_id", "The deals that the member works on."),
    reverse(Stage, "opportunities", _DEALS, "stage_id", "The deals in this stage."),
    reverse(Pipeline, "opportunities", _DEALS, "pipeline_id", "The deals in this pipeline."),
)
