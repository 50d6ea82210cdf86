"""The stage move of the textbook server: rows are loaded, changed and added, and the session writes them."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from tests.benchmarks.peers.strawberry_models import MEMBER, WORKSPACE, EventRow, OpportunityRow, StageMoveRow, StageRow


def check(opportunity: OpportunityRow | None, stage: StageRow | None) -> tuple[OpportunityRow, StageRow]:
    """Return both if the move is legal. Raises ValueError for what is missing or not allowed."""
    if opportunity is None or stage is None:
        raise ValueError("NOT_FOUND")
    if opportunity.status != "OPEN" or stage.kind != "OPEN" or stage.id == opportunity.stage_id:
        raise ValueError("ILLEGAL_TRANSITION")
    if stage.pipeline_id != opportunity.pipeline_id:
        raise ValueError("INVALID")
    present = {
        "amount": opportunity.amount,
        "expectedClose": opportunity.expected_close,
        "customer": opportunity.customer_id,
        "nextStep": opportunity.next_step,
    }
    if any(present[name] is None for name in stage.required_fields):
        raise ValueError("REQUIRED")
    return opportunity, stage


async def move(session: AsyncSession, id_: uuid.UUID, stage_id: uuid.UUID) -> OpportunityRow:
    """Move a deal to another open stage of its pipeline: the row, an entry of its history and one of the log."""
    opportunity, stage = check(
        await session.get(OpportunityRow, (WORKSPACE, id_), with_for_update=True),
        await session.get(StageRow, (WORKSPACE, stage_id)),
    )
    now = datetime.now(UTC)
    before, seconds = opportunity.stage_id, max(0, int((now - opportunity.stage_since).total_seconds()))
    after = {"stage_id": stage.id, "stage_since": now, "status": stage.kind, "probability": stage.probability}
    changes = {}
    for name, value in after.items():
        if (old := getattr(opportunity, name)) != value:
            changes[name] = [str(old), str(value)]
            setattr(opportunity, name, value)
    opportunity.version += 1
    opportunity.updated_at = now
    data = {"from_stage_id": str(before), "to_stage_id": str(stage.id), "seconds_in_stage": seconds}
    session.add(
        EventRow(
            workspace_id=WORKSPACE,
            type="OpportunityStageChanged",
            entity="Opportunity",
            entity_id=id_,
            actor=MEMBER,
            at=now,
            changes=changes,
            data=data,
        )
    )
    session.add(
        StageMoveRow(
            workspace_id=WORKSPACE,
            id=uuid.UUID(bytes=int(now.timestamp() * 1000).to_bytes(6) + uuid.uuid4().bytes[6:]),
            opportunity_id=id_,
            from_stage_id=before,
            to_stage_id=stage.id,
            member_id=MEMBER,
            moved_at=now,
            seconds_in_stage=seconds,
            version=1,
            created_at=now,
            updated_at=now,
        )
    )
    return opportunity
