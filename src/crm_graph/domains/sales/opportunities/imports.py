"""Opportunities from files, in any stage: an import brings in what happened elsewhere.

So neither the required fields of a stage nor the order of stages are asked for. The column `product` puts one line on
the opportunity; lines that it has already are left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from crm_graph.domains.catalog.products.imports import PRODUCT_TARGET
from crm_graph.domains.catalog.products.policy import PRODUCT
from crm_graph.domains.customers.customers.imports import CUSTOMER_TARGET
from crm_graph.domains.sales.opportunities.events import (
    OpportunityCreated,
    OpportunityLineAdded,
    OpportunityLost,
    OpportunityReopened,
    OpportunityStageChanged,
    OpportunityUpdated,
    OpportunityWon,
)
from crm_graph.domains.sales.opportunities.lines import LIST_PRICE, line_total
from crm_graph.domains.sales.opportunities.model import Opportunity, OpportunityLine, OpportunityStatus, StageMove
from crm_graph.domains.sales.opportunities.operations import MOVE, WIN
from crm_graph.domains.sales.opportunities.policy import OPPORTUNITY, OPPORTUNITY_LINE
from crm_graph.domains.sales.pipelines.imports import PIPELINE_TARGET, STAGE_TARGET
from crm_graph.domains.sales.pipelines.model import CERTAIN, StageKind
from crm_graph.domains.sales.pipelines.policy import STAGE
from crm_graph.domains.workspace.members.imports import MEMBER_TARGET
from crm_graph.domains.workspace.workspaces.operations import base_currency
from crm_graph.kernel.errors import Refused
from crm_graph.kernel.ids import new_id
from crm_graph.referring import Copied
from crm_graph.transfer.facts import visible_rows
from crm_graph.transfer.spec import Changes, Draft, ImportSpec, Part, columns_of, refer
from crm_graph.transfer.write import all_of
from crm_graph.work import DomainEvent, Work

ONE = Decimal(1)
_STAGE = {"probability": Copied("probability", give="probability")}


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a batch needs to know: stages, base currency, list prices, and the products on stored opportunities."""

    stages: Mapping[str, Any]
    currency: str
    prices: Mapping[str, tuple[Decimal | None, str | None]]
    products: Mapping[str, set[str]]


async def _gather(work: Work, drafts: Sequence[Draft]) -> _Facts:
    stages = await visible_rows(work, STAGE, ("pipeline_id", "name", "kind"), _STAGE)
    named = {draft.extra["product"] for draft in drafts if draft.extra.get("product")}
    stored = [draft.id for draft in drafts if not draft.is_new()]
    prices: dict[str, tuple[Decimal | None, str | None]] = {}
    on: dict[str, set[str]] = {}
    if named:
        for row in await visible_rows(work, PRODUCT, (), LIST_PRICE, id=list(named)):
            prices[row["id"]] = (None if row["price"] is None else Decimal(row["price"]), row["currency"])
    if named and stored:
        on_lines = await visible_rows(work, OPPORTUNITY_LINE, ("opportunity_id", "product_id"), opportunity_id=stored)
        for row in on_lines:
            on.setdefault(row["opportunity_id"], set()).add(row["product_id"])
    return _Facts({row["id"]: row for row in stages}, await base_currency(work), prices, on)


def _complete(work: Work, draft: Draft, facts: _Facts) -> None:
    """Let pipeline, status, probability and dates follow from the stage where the file does not give them."""
    stage = facts.stages[draft.get("stage_id")]
    values = draft.values
    if values.get("pipeline_id", stage["pipeline_id"]) != stage["pipeline_id"]:
        raise Refused("INVALID", "is a stage of another pipeline", ("stage",))
    if values.get("status", stage["kind"]) != stage["kind"]:
        raise Refused("INVALID", f"does not go with the stage {stage['name']}, which is {stage['kind']}", ("status",))
    values["pipeline_id"], values["status"] = stage["pipeline_id"], stage["kind"]
    enters = draft.is_new() or draft.changes_to("stage_id")
    if enters:
        certain = CERTAIN.get(StageKind(stage["kind"]))
        values.setdefault("probability", stage["probability"] if certain is None else certain)
        if values["probability"] is None:
            reason = "is not given, and your roles do not allow to read the stage's, which would be copied"
            raise Refused("REQUIRED", reason, ("probability",))
    if draft.is_new():
        values.setdefault("currency", facts.currency)
        values.setdefault("owner_id", work.viewer.member_id)
        values.setdefault("stage_since", _since(work, draft, stage["kind"]))
    elif enters:
        values.setdefault("stage_since", work.now)
    _complete_close(draft, stage["kind"], enters=enters)
    product = draft.extra.get("product")
    if product and product not in facts.products.get(draft.id, ()) and _price(draft, facts) is None:
        reason = f"has no list price in {draft.get('currency')}, and the row no amount: give one of them"
        raise Refused("REQUIRED", reason, ("product",))


def _since(work: Work, draft: Draft, kind: str) -> datetime:
    """Return since when a new opportunity is in its stage: the day it was closed or opened, if the file says it."""
    on = draft.values.get("opened_on" if kind == StageKind.OPEN.value else "closed_on")
    return work.now if on is None else min(work.now, datetime.combine(on, time(), UTC))


def _complete_close(draft: Draft, kind: str, *, enters: bool) -> None:
    """A closed opportunity has a closing day: where the file gives none, the day it entered its stage."""
    if kind == StageKind.OPEN.value or draft.values.get("closed_on") is not None:
        return
    if enters:
        draft.values["closed_on"] = draft.values["stage_since"].date()
    else:
        draft.values.pop("closed_on", None)


def _price(draft: Draft, facts: _Facts) -> Decimal | None:
    """Return the unit price of the line: the amount, else (a lost deal has none) the list price in its currency."""
    amount: Decimal | None = draft.get("amount")
    if amount:
        return amount
    price, of = facts.prices.get(draft.extra["product"], (None, None))
    return price if of == draft.get("currency") else None


def _parts(work: Work, draft: Draft, facts: _Facts) -> Sequence[Part]:
    parts = []
    if draft.is_new() or draft.changes_to("stage_id"):
        parts.append(Part(StageMove, [_move(work, draft)]))
    product = draft.extra.get("product")
    if product and product not in facts.products.get(draft.id, ()):
        parts.append(_line(draft, product, facts))
    return parts


def _move(work: Work, draft: Draft) -> Mapping[str, Any]:
    return {
        "opportunity_id": draft.id,
        "from_stage_id": draft.before["stage_id"] if draft.before else None,
        "retired_from": None,
        "to_stage_id": draft.get("stage_id"),
        "retired_to": None,
        "member_id": work.viewer.member_id,
        "moved_at": draft.get("stage_since"),
        "seconds_in_stage": _seconds(draft) if draft.before else None,
    }


def _seconds(draft: Draft) -> int:
    assert draft.before is not None
    return max(0, int((draft.get("stage_since") - draft.before["stage_since"]).total_seconds()))


def _line(draft: Draft, product: str, facts: _Facts) -> Part:
    """Return the line of a product; that of a new opportunity needs no event of its own."""
    price = _price(draft, facts)
    assert price is not None
    line = {
        "id": new_id(),
        "opportunity_id": draft.id,
        "product_id": product,
        "quantity": ONE,
        "unit_price": price,
        "discount_percent": Decimal(0),
        "currency": draft.get("currency"),
        "total": line_total(ONE, price, Decimal(0), draft.get("currency")),
    }
    if draft.is_new():
        return Part(OpportunityLine, [line])
    return Part(
        OpportunityLine, [line], None, OPPORTUNITY_LINE, line["id"], OpportunityLineAdded(product), all_of(line)
    )


def _updated(draft: Draft, changes: Changes) -> DomainEvent:
    if "stage_id" not in changes:
        return OpportunityUpdated()
    assert draft.before is not None
    step = (*changes["stage_id"], _seconds(draft))
    if draft.get("status") == OpportunityStatus.WON.value:
        return OpportunityWon(*step)
    if draft.get("status") == OpportunityStatus.LOST.value:
        return OpportunityLost(*step, draft.get("lost_reason") or "")
    reopened = draft.before["status"] != OpportunityStatus.OPEN.value
    return OpportunityReopened(*step) if reopened else OpportunityStageChanged(*step)


IMPORTS = (
    ImportSpec(
        entity="opportunity",
        model=Opportunity,
        policy=OPPORTUNITY,
        prefix="opp",
        columns=(
            *columns_of(
                Opportunity,
                *(CUSTOMER_TARGET, PIPELINE_TARGET, STAGE_TARGET, MEMBER_TARGET),
                required=("name", "stage"),
                money={"currency": "amount"},
                verbs={"stage": {"*": MOVE}, "status": {OpportunityStatus.WON.value: WIN}},
            ),
            refer("product", PRODUCT_TARGET, OPPORTUNITY_LINE),
        ),
        matches=(("external_id",),),
        unique=(("external_id",),),
        created=lambda draft: OpportunityCreated(draft.values["stage_id"]),
        updated=_updated,
        gather=_gather,
        complete=_complete,
        parts=_parts,
    ),
)
