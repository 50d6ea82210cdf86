"""Pipelines and stages from files. A pipeline comes without the default stages: its stages are imported as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from crm_graph.domains.sales.pipelines.events import PipelineCreated, PipelineUpdated, StageCreated, StageUpdated
from crm_graph.domains.sales.pipelines.model import Pipeline, Stage, check_room
from crm_graph.domains.sales.pipelines.operations import count_stages
from crm_graph.domains.sales.pipelines.policy import PIPELINE, STAGE
from crm_graph.kernel.errors import Refused
from crm_graph.transfer.spec import Draft, ImportSpec, Target, columns_of
from crm_graph.work import Work

PIPELINE_TARGET = Target(Pipeline, PIPELINE, "pip", ("name",))
STAGE_TARGET = Target(Stage, STAGE, "stg", ("name",), within="pipeline_id")


async def _gather(work: Work, drafts: Sequence[Draft]) -> Counter[str]:
    """Return how many stages the pipelines of new ones have by now."""
    return await count_stages(work, {draft.get("pipeline_id") for draft in drafts if draft.is_new()} - {None})


def _complete(_work: Work, draft: Draft, stages: Counter[str]) -> None:
    if draft.is_new():
        pipeline = draft.get("pipeline_id")
        check_room(stages[pipeline] + 1, "pipeline")
        stages[pipeline] += 1
    if draft.changes_to("kind"):
        raise Refused(
            "INVALID", "changes what a stage means, and with it the opportunities in it: add a stage", ("kind",)
        )


IMPORTS = (
    ImportSpec(
        entity="pipeline",
        model=Pipeline,
        policy=PIPELINE,
        prefix="pip",
        columns=columns_of(Pipeline, required=("name",)),
        matches=(("name",),),
        unique=(("name",),),
        created=lambda _: PipelineCreated(),
        updated=lambda _draft, _changes: PipelineUpdated(),
    ),
    ImportSpec(
        entity="stage",
        model=Stage,
        policy=STAGE,
        prefix="stg",
        columns=columns_of(Stage, PIPELINE_TARGET, required=("pipeline", "name", "position", "kind", "probability")),
        matches=(("pipeline", "name"),),
        unique=(("pipeline_id", "name"), ("pipeline_id", "position")),
        created=lambda _: StageCreated(),
        updated=lambda _draft, _changes: StageUpdated(),
        gather=_gather,
        complete=_complete,
    ),
)
