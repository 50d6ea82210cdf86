"""Pipelines and stages from files. A pipeline comes without the default stages: its stages are imported as well."""

from __future__ import annotations

from crm_graph.domains.sales.pipelines.events import PipelineCreated, PipelineUpdated, StageCreated, StageUpdated
from crm_graph.domains.sales.pipelines.model import Pipeline, Stage
from crm_graph.domains.sales.pipelines.policy import PIPELINE, STAGE
from crm_graph.kernel.errors import Refused
from crm_graph.transfer.spec import Draft, ImportSpec, Target, columns_of
from crm_graph.work import Work

PIPELINE_TARGET = Target(Pipeline, PIPELINE, "pip", ("name",))
STAGE_TARGET = Target(Stage, STAGE, "stg", ("name",), within="pipeline_id")


def _complete(_work: Work, draft: Draft, _facts: None) -> None:
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
        complete=_complete,
    ),
)
