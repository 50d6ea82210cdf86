"""The only writers of pipelines and stages."""

from __future__ import annotations

from crm_graph.domains.sales.pipelines.events import (
    PipelineCreated,
    PipelineUpdated,
    StageCreated,
    StageDeleted,
    StageUpdated,
)
from crm_graph.domains.sales.pipelines.model import DEFAULT_STAGES, Pipeline, Stage
from crm_graph.domains.sales.pipelines.policy import PIPELINE, STAGE
from crm_graph.work import UPDATE, Sent, Work


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
    """Add a stage to a pipeline."""
    work.may(STAGE, UPDATE, sent.fields)
    await work.get(Pipeline, PIPELINE, sent.values["pipeline_id"], UPDATE, path="pipelineId")
    stage = await work.draft(Stage, STAGE, sent)
    await work.create(stage, STAGE, StageCreated(), sent.fields)
    return stage.id


async def update_stage(work: Work, id_: str, sent: Sent, if_version: int | None) -> str:
    """Change a stage's name, position, probability or required fields."""
    stage = await work.revise(Stage, STAGE, id_, sent, if_version)
    await work.save(stage, STAGE, StageUpdated())
    return stage.id


async def delete_stage(work: Work, id_: str, if_version: int | None) -> None:
    """Remove a stage that no opportunity is in. Raises Refused IN_USE otherwise."""
    stage = await work.get(Stage, STAGE, id_, UPDATE, if_version)
    await work.delete(stage, STAGE, StageDeleted())
