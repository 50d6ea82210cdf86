"""Pipelines and stages in the schema."""

from __future__ import annotations

from crm_graph.domains.sales.pipelines import events, model, operations, policy
from crm_graph.graph import writes
from crm_graph.graph.records import roots
from crm_graph.graph.records.enums import describe
from crm_graph.graph.records.record import SENT, SENT_ONCE, Node, column, record, to_many, to_one
from crm_graph.graph.records.types import Connection
from crm_graph.graph.schema.build import Slice
from crm_graph.graph.writes import Written
from crm_graph.work import UPDATE

describe(
    model.StageKind,
    "What it means for an opportunity to be in a stage.",
    {
        "OPEN": "Still to be decided.",
        "WON": "The deal was made.",
        "LOST": "The deal was not made.",
    },
)


@record("pip", model.Pipeline, policy.PIPELINE)
class Pipeline(Node):
    """A way of selling: the ordered stages that opportunities pass through."""

    name: str = column("The pipeline's name, unique in the workspace.", SENT)
    stages: Connection[Stage] = to_many("pipeline_id", "The stages; order them by `POSITION`.")


@record("stg", model.Stage, policy.STAGE)
class Stage(Node):
    """A stage of a pipeline."""

    pipeline: Pipeline | None = to_one("pipeline_id", "The pipeline that it is part of.", SENT_ONCE)
    name: str = column("The stage's name, unique in its pipeline.", SENT)
    position: int = column("The stage's place in the pipeline, from 0. Places are unique: other stages give way.", SENT)
    kind: model.StageKind = column("Whether opportunities in it are open, won or lost.", SENT_ONCE)
    probability: int | None = column("How likely an opportunity in it is to be won, in percent.", SENT)
    required_fields: list[str] | None = column(
        "The fields without which an opportunity cannot enter: amount, expectedClose, customer, lostReason, nextStep.",
        SENT,
    )


class Queries:
    """Fields of Query."""

    pipeline: Pipeline | None = roots.one("A pipeline by id.")
    pipelines: Connection[Pipeline] = roots.many("The pipelines of the workspace.")
    stage: Stage | None = roots.one("A stage by id.")
    stages: Connection[Stage] = roots.many("The stages of all pipelines.")


class Mutations:
    """Fields of Mutation."""

    create_pipeline: Written[Pipeline] = writes.create(
        "Sets up a pipeline with the usual stages.",
        operations.create_pipeline,
        about="A new pipeline; it starts with the usual stages.",
    )
    update_pipeline: Written[Pipeline] = writes.update("Renames a pipeline.", operations.update_pipeline)
    create_stage: Written[Stage] = writes.create("Adds a stage to a pipeline.", operations.create_stage)
    update_stage: Written[Stage] = writes.update("Changes a stage.", operations.update_stage)
    move_stage: Written[Stage] = writes.transition_with(
        "Moves a stage to another place of its pipeline; those between give way by one.",
        UPDATE,
        operations.move_stage,
        needs=("position",),
        about="A stage to move, and where to.",
    )
    delete_stage: Written[Stage] = writes.delete(
        "Deletes a stage that no opportunity is in, nor ever was; `retireStage` removes others.",
        operations.delete_stage,
        about="A stage to delete.",
    )


SLICE = Slice("pipelines", records=(Pipeline, Stage), queries=(Queries,), mutations=(Mutations,), events=events.EVENTS)
