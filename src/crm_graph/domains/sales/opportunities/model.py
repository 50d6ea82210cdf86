"""Opportunities: deals in a pipeline, their lines and the history of their stages."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import Enum

from sqlalchemy.orm import Mapped, mapped_column

from crm_graph.db.base import (
    Amount,
    BaseAmount,
    CurrencyCode,
    Id,
    Kept,
    KeptPart,
    Key,
    Paragraph,
    Rate,
    UnitPrice,
    indexed,
    refers,
    unique_kept,
)
from crm_graph.db.coherence import fixed_by, held_by, in_past, stands
from crm_graph.db.history import keeps_history
from crm_graph.db.lists import Text, found_by, ordered_by, searched
from crm_graph.db.placement import DISTRIBUTED
from crm_graph.db.rules import between, fixed_in, one_of
from crm_graph.db.valued import Valued
from crm_graph.domains.sales.opportunities.events import (
    OpportunityCreated,
    OpportunityDeleted,
    OpportunityLost,
    OpportunityReopened,
    OpportunityStageChanged,
    OpportunityWon,
    StageEvent,
)
from crm_graph.domains.sales.pipelines.model import CERTAIN, Stage, StageKind
from crm_graph.kernel.errors import Refused
from crm_graph.refusals import undeletable


class OpportunityStatus(Enum):
    """Whether an opportunity is still to be decided; follows from the kind of its stage."""

    OPEN = "OPEN"
    WON = "WON"
    LOST = "LOST"


@keeps_history("owner_id", "customer_id")
class Opportunity(Kept):
    """A deal. `status` repeats the kind of the stage, so that open deals are found without a join."""

    __tablename__ = "opportunity"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("customer_id", "customer"),
        refers("pipeline_id", "pipeline"),
        refers("stage_id", "stage"),
        refers("owner_id", "member"),
        unique_kept("opportunity", "external_id"),
        indexed("opportunity", "customer_id"),
        indexed("opportunity", "stage_id"),
        indexed("opportunity", "owner_id"),
        indexed("opportunity", "pipeline_id"),
        ordered_by("opportunity", "amount", within="status"),
        ordered_by("opportunity", "expected_close", within="status"),
        indexed("opportunity", "owner_id", "status", "amount"),  # the same, of those whose owners one may see
        ordered_by("opportunity", "name", Text),
        ordered_by("opportunity", "amount"),
        ordered_by("opportunity", "expected_close"),
        ordered_by("opportunity", "stage_since"),
        ordered_by("opportunity", "closed_on"),
        ordered_by("opportunity", "created_at"),
        ordered_by("opportunity", "updated_at"),
        found_by("opportunity", "name"),
        searched("opportunity", "name"),
        one_of("status", OpportunityStatus),
        between("amount", 0),
        between("probability", 0, 100),
    )

    __closed__ = (
        fixed_in(
            "status",
            *(OpportunityStatus.WON, OpportunityStatus.LOST),
            fixed=("customer_id", "amount", "currency", "probability", "expected_close", "opened_on", "lost_reason"),
        ),
    )

    __valued__ = Valued(
        "amount", lambda get, _: None if get("status") == OpportunityStatus.OPEN.value else get("closed_on")
    )
    __coherent__ = (*held_by("owner_id", in_past("status", OpportunityStatus.WON, OpportunityStatus.LOST)),)
    __fixed__ = (fixed_by("status", "probability", {OpportunityStatus.WON: 100, OpportunityStatus.LOST: 0}),)

    name: Mapped[str]
    customer_id: Mapped[Id | None]
    pipeline_id: Mapped[Id]
    stage_id: Mapped[Id]
    stage_since: Mapped[datetime]
    status: Mapped[str]
    amount: Mapped[Amount | None]
    currency: Mapped[CurrencyCode]
    base_amount: Mapped[BaseAmount | None]
    rate: Mapped[Rate | None]
    rate_on: Mapped[date | None]
    probability: Mapped[int]
    expected_close: Mapped[date | None]
    opened_on: Mapped[date | None]
    closed_on: Mapped[date | None]
    next_step: Mapped[Paragraph | None]
    source: Mapped[str | None]
    lost_reason: Mapped[Paragraph | None]
    owner_id: Mapped[Id | None]
    external_id: Mapped[Key | None]

    def open(self, stage: Stage, at: datetime, probability: int | None) -> OpportunityCreated:
        """Start in a stage, with its probability unless another is given."""
        self.pipeline_id, self.stage_id, self.stage_since, self.status = stage.pipeline_id, stage.id, at, stage.kind
        self.probability = stage.probability if probability is None else probability
        return OpportunityCreated(stage.id)

    def move(self, to: Stage, at: datetime, today: date, probability: int | None = None) -> StageEvent:
        """Move to another stage of the pipeline, taking its probability unless another is given; `today` is the
        workspace's date.

        Raises Refused: ILLEGAL_TRANSITION out of a closed stage or to where it is, INVALID into another pipeline,
        REQUIRED for a field that the stage asks for.
        """
        if self.status != OpportunityStatus.OPEN.value:
            raise Refused(
                "ILLEGAL_TRANSITION", f"This opportunity is {self.status}: reopen it before moving it.", ("id",)
            )
        self._check_enter(to)
        before, seconds = self._enter(to, at, probability)
        match StageKind(to.kind):
            case StageKind.WON:
                self.closed_on = today
                return OpportunityWon(before, to.id, seconds)
            case StageKind.LOST:
                self.closed_on = today
                return OpportunityLost(before, to.id, seconds, self.lost_reason or "")
            case StageKind.OPEN:
                return OpportunityStageChanged(before, to.id, seconds)

    def reopen(self, to: Stage, at: datetime, probability: int | None = None) -> OpportunityReopened:
        """Open a won or lost opportunity again. Raises Refused ILLEGAL_TRANSITION when it is open, or `to` is not."""
        if self.status == OpportunityStatus.OPEN.value:
            raise Refused("ILLEGAL_TRANSITION", "This opportunity is open: move it instead.", ("id",))
        if to.kind != StageKind.OPEN.value:
            raise Refused("ILLEGAL_TRANSITION", f"Reopen into an open stage; {to.name} is {to.kind}.", ("stageId",))
        self._check_enter(to)
        before, seconds = self._enter(to, at, probability)
        self.closed_on = self.lost_reason = None
        return OpportunityReopened(before, to.id, seconds)

    def delete(self) -> OpportunityDeleted:
        """Return the event of an open deal's removal. Raises Refused ILLEGAL_TRANSITION for one that is decided."""
        if self.status != OpportunityStatus.OPEN.value:
            raise undeletable("Opportunity", f"it is {self.status}")
        return OpportunityDeleted()

    def check_open(self) -> None:
        """Raise Refused LOCKED for lines of a deal that is decided."""
        if self.status != OpportunityStatus.OPEN.value:
            message = f"This opportunity is {self.status}: its lines cannot be changed any more."
            raise Refused("LOCKED", message, ("id",))

    def follow(self, to: Stage, at: datetime) -> OpportunityStageChanged:
        """Go to the stage that takes the place of its own: asked for nothing, and decided as it was."""
        before, seconds = self._enter(to, at, None)
        return OpportunityStageChanged(before, to.id, seconds)

    def _check_enter(self, to: Stage) -> None:
        if to.pipeline_id != self.pipeline_id:
            raise Refused("INVALID", f"The stage {to.name} belongs to another pipeline.", ("stageId",))
        if to.id == self.stage_id:
            raise Refused("ILLEGAL_TRANSITION", f"This opportunity is in {to.name} already.", ("stageId",))
        present = {
            "amount": self.amount,
            "expectedClose": self.expected_close,
            "customer": self.customer_id,
            "lostReason": self.lost_reason,
            "nextStep": self.next_step,
        }
        required = {*to.required_fields, *(("lostReason",) if to.kind == StageKind.LOST.value else ())}
        for name in sorted(required):
            if present[name] is None:
                path = f"{name}Id" if name == "customer" else name
                raise Refused("REQUIRED", f"The stage {to.name} requires `{name}`.", (path,))

    def _enter(self, to: Stage, at: datetime, probability: int | None) -> tuple[str, int]:
        """Take the stage and return the one before, with the seconds spent in it."""
        before, seconds = self.stage_id, max(0, int((at - self.stage_since).total_seconds()))
        self.stage_id, self.stage_since = to.id, at
        self.status = to.kind
        if probability is None:
            probability = CERTAIN.get(StageKind(to.kind))
        self.probability = to.probability if probability is None else probability
        return before, seconds


SOLD = stands(
    "product_id",
    "active",
    True,
    otherwise="is not sold any more",
    past=in_past("status", OpportunityStatus.WON, OpportunityStatus.LOST),
)
"""What a line may be of; a file tells of deals that were decided while it was sold."""


class OpportunityLine(KeptPart):
    """A product on an opportunity. `total` is quantity times unit price less the discount, kept by `lines.py`."""

    __tablename__ = "opportunity_line"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("opportunity_id", "opportunity", on_delete="CASCADE"),
        refers("product_id", "product"),
        indexed("opportunity_line", "opportunity_id"),
        indexed("opportunity_line", "product_id"),
        between("quantity", above=0),
        between("unit_price", 0),
        between("discount_percent", 0, 100, name="discount"),
    )

    __coherent__ = (SOLD,)

    opportunity_id: Mapped[Id]
    product_id: Mapped[Id]
    quantity: Mapped[Decimal] = mapped_column(default=Decimal(1))
    unit_price: Mapped[UnitPrice]
    discount_percent: Mapped[Decimal] = mapped_column(default=Decimal(0))
    currency: Mapped[CurrencyCode]
    total: Mapped[Amount]


class StageMove(KeptPart):
    """One entry of an opportunity's history: out of a stage (None when it was opened) into another. Of a stage that was
    retired since it has the name."""

    __tablename__ = "stage_move"
    __placement__ = DISTRIBUTED
    __table_args__ = (
        refers("opportunity_id", "opportunity", on_delete="CASCADE"),
        refers("from_stage_id", "stage"),
        refers("to_stage_id", "stage"),
        refers("member_id", "member"),
        indexed("stage_move", "opportunity_id"),
    )

    opportunity_id: Mapped[Id]
    from_stage_id: Mapped[Id | None]
    retired_from: Mapped[str | None]
    to_stage_id: Mapped[Id | None]
    retired_to: Mapped[str | None]
    member_id: Mapped[Id]
    moved_at: Mapped[datetime]
    seconds_in_stage: Mapped[int | None]
