"""The only writers of opportunities and of the history of their stages."""

from __future__ import annotations

from functools import partial

from sqlalchemy import select

from crm_graph.db.base import table_of
from crm_graph.db.rows import changes
from crm_graph.db.statements import Statement
from crm_graph.domains.sales.opportunities.events import OpportunityUpdated, StageEvent
from crm_graph.domains.sales.opportunities.model import Opportunity, StageMove
from crm_graph.domains.sales.opportunities.policy import OPPORTUNITY, STAGE_MOVE
from crm_graph.domains.sales.pipelines.events import StageDeleted
from crm_graph.domains.sales.pipelines.model import Stage, StageKind
from crm_graph.domains.sales.pipelines.policy import STAGE
from crm_graph.domains.workspace.workspaces.operations import base_currency
from crm_graph.kernel.errors import Refused
from crm_graph.permissions.policy import workspace
from crm_graph.referring import Copied
from crm_graph.valuing import restate, value_again
from crm_graph.work import DELETE, UPDATE, Due, Sent, Work

MOVE, WIN, REOPEN = "move", "win", "reopen"
MAX_FOLLOWING, FOLLOWING_AT_ONCE = 10_000, 1_000
"""Opportunities that move when their stage is retired, in one transaction and in one set of statements."""
_STAGE = {
    "name": Copied("name"),
    "kind": Copied("kind"),
    "probability": Copied("probability", give="probability"),
}
"""What an opportunity takes of a stage, and what messages call it."""
_SUCCESSOR = {"name": Copied("name"), "kind": Copied("kind"), "probability": Copied("probability")}
"""The same where nothing of it can be given instead."""
_RULES = ("pipeline_id", "required_fields")
"""What decides whether it may enter a stage."""
_HAS_LINES = Statement(
    "SELECT 1 FROM opportunity_line WHERE workspace_id = $1 AND opportunity_id = $2 LIMIT 1", ("workspace_id", "id"), {}
)
_IN_STAGE = Statement(
    "SELECT id FROM opportunity WHERE workspace_id = $1 AND stage_id = $2 AND deleted_at IS NULL ORDER BY id LIMIT $3",
    ("workspace_id", "id", "most"),
    {},
)
_MOVE_IN_BIN = Statement(
    "UPDATE opportunity SET stage_id = $3 WHERE workspace_id = $1 AND stage_id = $2 AND deleted_at IS NOT NULL",
    ("workspace_id", "id", "into"),
    {},
)
_NAME_IN_HISTORY = Statement(
    "UPDATE stage_move SET"
    " from_stage_id = nullif(from_stage_id, $2),"
    " retired_from = CASE WHEN from_stage_id = $2 THEN $3 ELSE retired_from END,"
    " to_stage_id = nullif(to_stage_id, $2),"
    " retired_to = CASE WHEN to_stage_id = $2 THEN $3 ELSE retired_to END"
    " WHERE workspace_id = $1 AND $2 IN (from_stage_id, to_stage_id)",
    ("workspace_id", "id", "name"),
    {},
)


async def create_opportunity(work: Work, sent: Sent) -> str:
    """Open an opportunity in an open stage: the given one, or the first of the workspace's first pipeline."""
    opportunity = await work.draft(
        Opportunity,
        OPPORTUNITY,
        sent.without("stage_id"),
        owner_id=work.viewer.member_id,
        opened_on=work.today,
        currency=await base_currency(work),
    )
    stage = await _entry_stage(work, sent.values.get("stage_id"))
    event = opportunity.open(stage, work.now, sent.values.get("probability"))
    await work.create(opportunity, OPPORTUNITY, event, sent.fields)
    await _remember(work, opportunity, None, None)
    return opportunity.id


async def update_opportunity(work: Work, id_: str, sent: Sent, if_version: int | None) -> str:
    """Change an opportunity's data; its stage is changed by moving it."""
    opportunity = await work.revise(Opportunity, OPPORTUNITY, id_, sent, if_version)
    await _keep_currency_of_lines(work, opportunity)
    await work.save(opportunity, OPPORTUNITY, OpportunityUpdated())
    return opportunity.id


async def move_opportunity(work: Work, id_: str, sent: Sent, if_version: int | None) -> str:
    """Move an opportunity to another stage of its pipeline; what is sent beside it may be what the stage requires.
    Moving it to where it is won asks for the right to win it as well."""
    opportunity = await work.revise(Opportunity, OPPORTUNITY, id_, sent.without("stage_id"), if_version, MOVE)
    stage = await work.refer(Stage, STAGE, sent.values["stage_id"], "stageId", _STAGE, _RULES)
    if stage.kind == StageKind.WON.value:
        await work.get(Opportunity, OPPORTUNITY, id_, WIN, in_turn=False)
    await _keep_currency_of_lines(work, opportunity)
    event = opportunity.move(stage, work.now, work.today, sent.values.get("probability"))
    await _save_move(work, opportunity, event)
    return opportunity.id


async def reopen_opportunity(work: Work, id_: str, sent: Sent, if_version: int | None) -> str:
    """Open a won or lost opportunity again, in an open stage, with its probability unless another is given."""
    opportunity = await work.get(Opportunity, OPPORTUNITY, id_, REOPEN, if_version, given=sent.fields)
    stage = await work.refer(Stage, STAGE, sent.values["stage_id"], "stageId", _STAGE, _RULES)
    await _save_move(work, opportunity, opportunity.reopen(stage, work.now, sent.values.get("probability")))
    return opportunity.id


async def delete_opportunity(work: Work, id_: str, if_version: int | None) -> None:
    """Put an open opportunity into the recycle bin, with its lines and history. Raises Refused ILLEGAL_TRANSITION for
    one that is won or lost, IN_USE while an order points to it."""
    opportunity = await work.get(Opportunity, OPPORTUNITY, id_, DELETE, if_version)
    await work.delete(opportunity, OPPORTUNITY, opportunity.delete())


async def restate_opportunities(work: Work, due: Due) -> None:
    """Value again what is open in a currency whose rates have changed."""

    async def again(id_: str) -> None:
        opportunity = await work.get(Opportunity, OPPORTUNITY, id_)
        if await value_again(work, opportunity):
            await work.save(opportunity, OPPORTUNITY, OpportunityUpdated())

    await restate(work, Opportunity, due, again)


async def retire_stage(work: Work, id_: str, into: str, if_version: int | None) -> str:
    """Remove a stage: its opportunities move to another one, those in the recycle bin too, and histories keep its name.

    Raises Refused: FORBIDDEN where the viewer may not move all of them, seen or not, LIMIT for more than
    `MAX_FOLLOWING`, and what `check_successor` raises.
    """
    await work.in_turn(STAGE)
    stage = await work.get(Stage, STAGE, id_, UPDATE, if_version)
    told = await work.refer(Stage, STAGE, id_, "id", {"name": Copied("name")})
    successor = await work.refer(Stage, STAGE, into, "into", _SUCCESSOR, _RULES)
    stage.check_successor(successor)
    bound = {**work.viewer.binds, "id": stage.id, "name": told.name, "most": MAX_FOLLOWING + 1}
    keys = [str(row["id"]) for row in await work.session.fetch(_IN_STAGE, bound)]
    if len(keys) > MAX_FOLLOWING:
        message = f"More than {MAX_FOLLOWING:,} opportunities are in this stage: move some of them first."
        raise Refused("LIMIT", message, ("id",))
    for start in range(0, len(keys), FOLLOWING_AT_ONCE):
        await work.all_together(
            [partial(_follow, work, key, successor) for key in keys[start : start + FOLLOWING_AT_ONCE]]
        )
    await work.session.execute(_NAME_IN_HISTORY, bound)
    await work.session.later(_MOVE_IN_BIN, {**bound, "into": successor.id}, stage.id)
    await work.delete(stage, STAGE, StageDeleted())
    return successor.id


async def _follow(work: Work, id_: str, successor: Stage) -> None:
    try:
        opportunity = await work.get(Opportunity, OPPORTUNITY, id_, MOVE, given=("stage",))
    except Refused:
        message = "Your roles do not allow to move every opportunity that is in this stage."
        raise Refused("FORBIDDEN", message, ("id",)) from None
    await _save_move(work, opportunity, opportunity.follow(successor, work.now))


async def _save_move(work: Work, opportunity: Opportunity, event: StageEvent) -> None:
    await work.save(opportunity, OPPORTUNITY, event)
    await _remember(work, opportunity, event.from_stage_id, event.seconds_in_stage)


async def _remember(work: Work, opportunity: Opportunity, before: str | None, seconds: int | None) -> None:
    move: StageMove = StageMove.make(
        opportunity_id=opportunity.id,
        from_stage_id=before,
        to_stage_id=opportunity.stage_id,
        member_id=work.viewer.member_id,
        moved_at=work.now,
        seconds_in_stage=seconds,
    )
    await work.add_part(move, STAGE_MOVE)


async def _entry_stage(work: Work, stage_id: str | None) -> Stage:
    if stage_id is None:
        stages = table_of(Stage)
        first = select(stages.c.id).where(stages.c.workspace_id == workspace(), stages.c.kind == "OPEN")
        rows = await work.session.query(
            first.order_by(stages.c.pipeline_id, stages.c.position).limit(1), **work.viewer.binds
        )
        if not rows:
            raise Refused("REQUIRED", "This workspace has no pipeline yet: create one first.", ("stageId",))
        stage_id = str(rows[0]["id"])
    reads = {**_STAGE, "pipeline_id": Copied("pipeline")}
    stage = await work.refer(Stage, STAGE, stage_id, "stageId", reads)
    if stage.kind != "OPEN":
        raise Refused(
            "ILLEGAL_TRANSITION", f"An opportunity starts in an open stage; {stage.name} is {stage.kind}.", ("stageId",)
        )
    return stage


async def _keep_currency_of_lines(work: Work, opportunity: Opportunity) -> None:
    """Raise Refused INVALID for another currency while its lines are in the one before."""
    if "currency" in changes(opportunity) and await work.session.fetch(
        _HAS_LINES, {**work.viewer.binds, "id": opportunity.id}
    ):
        message = "It has lines in another currency: take them off first."
        raise Refused("INVALID", message, ("amount", "currency"))
