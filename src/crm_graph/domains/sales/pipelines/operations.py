"""The only writers of pipelines and stages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crm_graph.domains.sales.pipelines.events import (
    PipelineCreated,
    PipelineUpdated,
    StageCreated,
    StageDeleted,
    StageUpdated,
)
from crm_graph.domains.sales.pipelines.model import DEFAULT_STAGES, REQUIRABLE, Pipeline, Stage
from crm_graph.domains.sales.pipelines.policy import PIPELINE, STAGE
from crm_graph.kernel.errors import Refused
from crm_graph.work import CREATE, UPDATE, Work


async def create_pipeline(work: Work, id_: str | None, name: str) -> str:
    """Set up a pipeline with the default stages; they are then changed one by one."""
    work.may(PIPELINE, CREATE, ("name",))
    pipeline: Pipeline = Pipeline.make(id=id_, name=name)
    await work.create(pipeline, PIPELINE, PipelineCreated(), ("name",))
    for position, (stage_name, kind, probability, required) in enumerate(DEFAULT_STAGES):
        stage: Stage = Stage.make(
            pipeline_id=pipeline.id,
            name=stage_name,
            position=position,
            kind=kind.value,
            probability=probability,
            required_fields=list(required),
        )
        await work.create(stage, STAGE, StageCreated())
    return pipeline.id


async def update_pipeline(work: Work, id_: str, name: str, if_version: int | None) -> str:
    """Rename a pipeline."""
    pipeline = await work.get(Pipeline, PIPELINE, id_, UPDATE, if_version, given=("name",))
    pipeline.name = name
    await work.save(pipeline, PIPELINE, PipelineUpdated())
    return pipeline.id


async def create_stage(work: Work, values: Mapping[str, Any], given: tuple[str, ...]) -> str:
    """Add a stage to a pipeline."""
    work.may(STAGE, UPDATE, given)
    await work.get(Pipeline, PIPELINE, values["pipeline_id"], UPDATE, path="pipelineId")
    stage: Stage = Stage.make(**{"required_fields": [], **values})
    _check(stage)
    await work.create(stage, STAGE, StageCreated(), given)
    return stage.id


async def update_stage(
    work: Work, id_: str, values: Mapping[str, Any], given: tuple[str, ...], if_version: int | None
) -> str:
    """Change a stage's name, position, probability or required fields."""
    stage = await work.get(Stage, STAGE, id_, UPDATE, if_version, given=given)
    for name, value in values.items():
        setattr(stage, name, value)
    _check(stage)
    await work.save(stage, STAGE, StageUpdated())
    return stage.id


async def delete_stage(work: Work, id_: str, if_version: int | None) -> None:
    """Remove a stage that no opportunity is in. Raises Refused IN_USE otherwise."""
    stage = await work.get(Stage, STAGE, id_, UPDATE, if_version)
    await work.delete(stage, STAGE, StageDeleted())


def _check(stage: Stage) -> None:
    if not 0 <= stage.probability <= 100:
        raise Refused("INVALID", "A probability is a percentage from 0 to 100.", ("probability",))
    unknown = [name for name in stage.required_fields if name not in REQUIRABLE]
    if unknown:
        names = ", ".join(REQUIRABLE)
        raise Refused("INVALID", f"A stage can require {names}; not {unknown[0]!r}.", ("requiredFields",))
