"""The types of opportunities, and the fields that they add to the types below."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

from crm_graph.domains.catalog.products.graph import Product
from crm_graph.domains.customers.customers.graph import Customer
from crm_graph.domains.sales.opportunities import model, policy
from crm_graph.domains.sales.pipelines.graph import Pipeline, Stage
from crm_graph.domains.workspace.members.graph import Member
from crm_graph.graph.records import roots
from crm_graph.graph.records.enums import describe
from crm_graph.graph.records.record import Node, column, extend, money, record, to_many, to_one
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


@record("opp", model.Opportunity, policy.OPPORTUNITY)
class Opportunity(Node):
    """A deal that may be made: it moves through the stages of a pipeline until it is won or lost."""

    name: str = column("What the deal is called.")
    status: model.OpportunityStatus = column("Whether it is open, won or lost.")
    amount: Money | None = money("amount", "currency", "What the deal is worth.")
    probability: int | None = column("How likely it is to be won, in percent; taken from the stage when it moves.")
    expected_close: date | None = column("When it is expected to be decided.")
    opened_on: date | None = column("When it was opened.")
    closed_on: date | None = column("When it was won or lost.")
    stage_since: datetime | None = column("When it entered its stage.")
    next_step: str | None = column("What is to be done next.")
    source: str | None = column("Where the opportunity came from.")
    lost_reason: str | None = column("Why it was lost.")
    customer: Customer | None = to_one("customer_id", "Who may buy.")
    owner: Member | None = to_one("owner_id", "The member who works on it.")
    stage: Stage | None = to_one("stage_id", "The stage it is in.")
    pipeline: Pipeline | None = to_one("pipeline_id", "The pipeline it moves through.")
    lines: Connection[OpportunityLine] = to_many("opportunity_id", "The products it is about.")
    stage_moves: Connection[StageMove] = to_many("opportunity_id", "The history of its stages.")
    external_id: str | None = column("The opportunity's id in the system it came from, unique in the workspace.")
    version: int = column("Counts the changes; give it as `ifVersion`.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


@record("opl", model.OpportunityLine, policy.OPPORTUNITY_LINE)
class OpportunityLine(Node):
    """A product on an opportunity."""

    opportunity: Opportunity | None = to_one("opportunity_id", "The opportunity.")
    product: Product | None = to_one("product_id", "The product.")
    quantity: Decimal | None = column("How many units.")
    unit_price: Money | None = money("unit_price", "currency", "The price of one unit.")
    discount_percent: Decimal | None = column("What is taken off, in percent.")
    total: Money | None = money("total", "currency", "Quantity times unit price, less the discount.")
    version: int = column("Counts the changes; give it as `ifVersion`.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


@record("stm", model.StageMove, policy.STAGE_MOVE)
class StageMove(Node):
    """An entry in the history of an opportunity: out of one stage, into another."""

    opportunity: Opportunity | None = to_one("opportunity_id", "The opportunity.")
    from_stage: Stage | None = to_one("from_stage_id", "The stage it left; null for the entry of its opening.")
    to_stage: Stage | None = to_one("to_stage_id", "The stage it entered.")
    member: Member | None = to_one("member_id", "Who moved it.")
    moved_at: datetime = column("When it was moved.")
    seconds_in_stage: int | None = column("How long it had been in the stage it left, in seconds.")
    version: int = column("Counts the changes; a history entry has none.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


class Queries:
    """Fields of Query."""

    opportunity: Opportunity | None = roots.one("An opportunity by id.")
    opportunities: Connection[Opportunity] = roots.many("The opportunities that you may see.")
    opportunities_aggregate: AggregateOf[Opportunity] = roots.aggregate("Measures over opportunities.")


class CustomerSales:
    """Fields that opportunities add to customers."""

    opportunities: Connection[Opportunity] = to_many("customer_id", "The deals with this customer.")


class MemberSales:
    """Fields that opportunities add to members."""

    opportunities: Connection[Opportunity] = to_many("owner_id", "The deals that the member works on.")


class StageSales:
    """Fields that opportunities add to stages."""

    opportunities: Connection[Opportunity] = to_many("stage_id", "The deals in this stage.")


class PipelineSales:
    """Fields that opportunities add to pipelines."""

    opportunities: Connection[Opportunity] = to_many("pipeline_id", "The deals in this pipeline.")


EXTENSIONS = (
    extend(Customer, CustomerSales),
    extend(Member, MemberSales),
    extend(Stage, StageSales),
    extend(Pipeline, PipelineSales),
)
