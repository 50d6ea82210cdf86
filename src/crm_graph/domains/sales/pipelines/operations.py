"""The only writers of pipelines and stages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from functools import partial

from sqlalchemy import ARRAY, any_, bindparam, func, select

from crm_graph.db.base import table_of
from crm_graph.db.rows import load
from crm_graph.db.statements import compile_statement
from crm_graph.domains.sales.pipelines.events import (
    PipelineCreated,
    PipelineUpdated,
    StageCreated,
    StageDeleted,
    StageUpdated,
)
from crm_graph.domains.sales.pipelines.model import DEFAULT_STAGES, Pipeline, Stage
from crm_graph.domains.sales.pipelines.policy import PIPELINE, STAGE
from crm_graph.permissions.policy import UUID, workspace
from crm_graph.work import UPDATE, Sent, Work

_TABLE = table_of(Stage)
_STAGES = compile_statement(
    select(_TABLE)
    .where(_TABLE.c.workspace_id == workspace(), _TABLE.c.pipeline_id == bindparam("pipeline_id", type_=UUID))
    .with_for_update()
)
_COUNTS = compile_statement(
    select(_TABLE.c.pipeline_id, func.count().label("stages"))
    .where(
        _TABLE.c.workspace_id == workspace(),
        _TABLE.c.pipeline_id == any_(bindparam("pipeline_ids", type_=ARRAY(UUID))),
    )
    .group_by(_TABLE.c.pipeline_id)
)


async def create_pipeline(work: Work, sent: Sent) -> str:
    """Set up a pipeline with the default stages; they are then changed one by one."""
    pipeline = await work.draft(Pipeline, PIPELINE, sent)
    await work.create(pipeline, PIPELINE, PipelineCreated(), sent.fields)
    for position, (name, kind, probability, required) in enumerate(DEFAULT_STAGES):
        stage: Stage = Stage.make(
            pipeline_id=pipeline.id,
            name=name,
            position=position,
            kind=kind.value,
            probability=probability,
            required_fields=list(required),
        )
        await work.create(stage, STAGE, StageCreated())
    return pipeline.id


async def update_pipeline(work: Work, id_: str, sent: Sent, if_version: int | None) -> str:
    """Rename a pipeline."""
    pipeline = await work.revise(Pipeline, PIPELINE, id_, sent, if_version)
    await work.save(pipeline, PIPELINE, PipelineUpdated())
    return pipeline.id


async def create_stage(work: Work, sent: Sent) -> str:
    """Add a stage to a pipeline; where another one has its place, that and those behind it give way."""
    work.may(STAGE, UPDATE, sent.fields)
    await work.in_turn(STAGE)
    pipeline = await work.get(Pipeline, PIPELINE, sent.values["pipeline_id"], UPDATE, path="pipelineId")
    stage = await work.draft(Stage, STAGE, sent.without("position"))
    await _save_all(work, stage.place(sent.values["position"], await _stages(work, pipeline.id)))
    await work.create(stage, STAGE, StageCreated(), sent.fields)
    return stage.id


async def update_stage(work: Work, id_: str, sent: Sent, if_version: int | None) -> str:
    """Change a stage's name, position, probability or required fields."""
    await work.in_turn(STAGE)
    stage = await work.revise(Stage, STAGE, id_, sent.without("position"), if_version)
    await work.save(stage, STAGE, StageUpdated())
    if "position" in sent.values:
        await _place(work, stage, sent.values["position"])
    return stage.id


async def move_stage(work: Work, id_: str, sent: Sent, if_version: int | None) -> str:
    """Move a stage to another place of its pipeline; those between give way."""
    await work.in_turn(STAGE)
    stage = await work.get(Stage, STAGE, id_, UPDATE, if_version, given=sent.fields)
    await _place(work, stage, sent.values["position"])
    return stage.id


async def delete_stage(work: Work, id_: str, if_version: int | None) -> None:
    """Remove a stage that no opportunity is in. Raises Refused IN_USE otherwise."""
    stage = await work.get(Stage, STAGE, id_, UPDATE, if_version)
    await work.delete(stage, STAGE, StageDeleted())


async def count_stages(work: Work, pipeline_ids: Collection[str]) -> Counter[str]:
    """Return how many stages pipelines have, seen or not: by the pipeline's id."""
    rows = await work.session.fetch(_COUNTS, {**work.viewer.binds, "pipeline_ids": sorted(pipeline_ids)})
    return Counter({row["pipeline_id"]: row["stages"] for row in rows})


async def _place(work: Work, stage: Stage, position: int) -> None:
    others = [each for each in await _stages(work, stage.pipeline_id) if each.id != stage.id]
    await _save_all(work, [*stage.place(position, others), stage])


async def _stages(work: Work, pipeline_id: str) -> list[Stage]:
    """Return the stages of a locked pipeline, locked."""
    rows = await work.session.fetch(_STAGES, {**work.viewer.binds, "pipeline_id": pipeline_id})
    return [load(Stage, row) for row in rows]


async def _save_all(work: Work, stages: Sequence[Stage]) -> None:
    """Save stages in one statement: places are unique when all of it is done, and not before."""
    saved = await work.together([partial(work.save, stage, STAGE, StageUpdated()) for stage in stages])
    refused = next((outcome for outcome in saved if isinstance(outcome, BaseException)), None)
    if refused is not None:
        raise refused
