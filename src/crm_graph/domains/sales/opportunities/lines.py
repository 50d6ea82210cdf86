"""The lines of opportunities: their one writer."""

from __future__ import annotations

from decimal import Decimal

from crm_graph.db.currencies import rounded
from crm_graph.db.rules import defaults_of
from crm_graph.db.statements import Statement
from crm_graph.domains.catalog.products.model import Product
from crm_graph.domains.catalog.products.policy import PRODUCT
from crm_graph.domains.sales.opportunities.events import (
    OpportunityLineAdded,
    OpportunityLineRemoved,
    OpportunityLineUpdated,
)
from crm_graph.domains.sales.opportunities.model import Opportunity, OpportunityLine
from crm_graph.domains.sales.opportunities.policy import OPPORTUNITY, OPPORTUNITY_LINE
from crm_graph.domains.workspace.workspaces.operations import tell_base_currency
from crm_graph.kernel.errors import Refused
from crm_graph.kernel.money import MAX_AMOUNT
from crm_graph.referring import Copied
from crm_graph.refusals import refuse_unfit
from crm_graph.work import UPDATE, Sent, Work

HUNDRED = Decimal(100)
LIST_PRICE = {"price": Copied("price", give="unitPrice"), "currency": Copied("price", give="unitPrice")}
_STATUS = Statement("SELECT status FROM opportunity WHERE workspace_id = $1 AND id = $2", ("workspace_id", "id"), {})
_FIELDS = ("product", "quantity", "unitPrice", "discountPercent")


async def add_line(work: Work, sent: Sent) -> str:
    """Put a product on an opportunity, at its list price unless another is given."""
    work.may(OPPORTUNITY_LINE, UPDATE, _FIELDS)
    values = sent.values
    opportunity = await work.get(Opportunity, OPPORTUNITY, values["opportunity_id"], UPDATE, path="opportunityId")
    opportunity.check_open()
    if opportunity.amount is None:
        tell_base_currency(work, "opportunityId")
    product = await work.refer(
        Product, PRODUCT, values["product_id"], "productId", LIST_PRICE, as_=(OpportunityLine, "product_id")
    )
    line: OpportunityLine = OpportunityLine.make(
        **{**defaults_of(OpportunityLine), **values, "currency": opportunity.currency}
    )
    if values.get("unit_price") is None:
        line.unit_price = list_price(product, opportunity.currency)
    line.total = line_total(line.quantity, line.unit_price, line.discount_percent, line.currency)
    await work.create(line, OPPORTUNITY_LINE, OpportunityLineAdded(product.id), _FIELDS)
    return line.id


async def update_line(work: Work, id_: str, sent: Sent, if_version: int | None) -> str:
    """Change a line's quantity, price or discount."""
    line = await work.revise(OpportunityLine, OPPORTUNITY_LINE, id_, sent, if_version)
    await _check_open(work, line)
    refuse_unfit(line, sent.values)
    line.total = line_total(line.quantity, line.unit_price, line.discount_percent, line.currency)
    await work.save(line, OPPORTUNITY_LINE, OpportunityLineUpdated())
    return line.id


async def remove_line(work: Work, id_: str, if_version: int | None) -> None:
    """Take a product off an opportunity."""
    line = await work.get(OpportunityLine, OPPORTUNITY_LINE, id_, UPDATE, if_version)
    await _check_open(work, line)
    await work.delete(line, OPPORTUNITY_LINE, OpportunityLineRemoved(line.product_id))


async def _check_open(work: Work, line: OpportunityLine) -> None:
    """Raise Refused LOCKED for a line of a deal that is decided."""
    for row in await work.session.fetch(_STATUS, {**work.viewer.binds, "id": line.opportunity_id}):
        Opportunity.holding({"status": row["status"]}).check_open()


def list_price(product: Product, currency: str) -> Decimal:
    """Return a product's price in a currency; the product was read by `LIST_PRICE`. Raises Refused REQUIRED when it has
    none in this one, or none that the viewer may read: whoever sees the line would be told it."""
    if product.price is None or product.currency != currency:
        raise Refused("REQUIRED", f"This product has no list price in {currency}: give a unit price.", ("unitPrice",))
    return product.price


def line_total(quantity: Decimal, unit_price: Decimal, discount_percent: Decimal, currency: str) -> Decimal:
    """Return what a line comes to, rounded to the minor units of its currency.

    Raises Refused INVALID for a quantity, price or discount out of range."""
    if quantity <= 0:
        raise Refused("INVALID", "A quantity must be more than 0.", ("quantity",))
    if unit_price < 0:
        raise Refused("INVALID", "A unit price cannot be negative.", ("unitPrice",))
    if not 0 <= discount_percent <= HUNDRED:
        raise Refused("INVALID", "A discount is a percentage from 0 to 100.", ("discountPercent",))
    total = rounded(quantity * unit_price * (HUNDRED - discount_percent) / HUNDRED, currency)
    if total >= MAX_AMOUNT:
        raise Refused("INVALID", f"A line cannot come to {MAX_AMOUNT:f} or more.", ("quantity",))
    return total
