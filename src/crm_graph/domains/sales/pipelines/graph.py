"""Pipelines and stages in the schema."""

from __future__ import annotations

from datetime import datetime

import strawberry

from crm_graph.domains.sales.pipelines import events, model, operations, policy
from crm_graph.graph.context import Info
from crm_graph.graph.payloads import (
    DeletePayload,
    Payload,
    field_names,
    given,
    key_of,
    new_key,
    perform,
    perform_delete,
    refer,
)
from crm_graph.graph.reading.sizes import sized
from crm_graph.graph.records import roots
from crm_graph.graph.records.enums import describe
from crm_graph.graph.records.record import Node, by_key, column, record, to_many, to_one
from crm_graph.graph.records.types import Connection
from crm_graph.graph.schema.build import Slice
from crm_graph.work import Work

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

    name: str = column("The pipeline's name, unique in the workspace.")
    stages: Connection[Stage] = to_many("pipeline_id", "The stages; order them by `POSITION`.")
    version: int = column("Counts the changes; give it as `ifVersion`.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


@record("stg", model.Stage, policy.STAGE)
class Stage(Node):
    """A stage of a pipeline."""

    name: str = column("The stage's name, unique in its pipeline.")
    position: int = column("The place in the pipeline, from 0.")
    kind: model.StageKind = column("Whether opportunities in it are open, won or lost.")
    probability: int | None = column("How likely an opportunity in it is to be won, in percent.")
    required_fields: list[str] | None = column(
        "The fields without which an opportunity cannot enter: amount, expectedClose, customer, lostReason, nextStep."
    )
    pipeline: Pipeline | None = to_one("pipeline_id", "The pipeline that it is part of.")
    version: int = column("Counts the changes; give it as `ifVersion`.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


class Queries:
    """Fields of Query."""

    pipeline: Pipeline | None = roots.one("A pipeline by id.")
    pipelines: Connection[Pipeline] = roots.many("The pipelines of the workspace.")
    stage: Stage | None = roots.one("A stage by id.")
    stages: Connection[Stage] = roots.many("The stages of all pipelines.")


@sized(model.Pipeline)
@strawberry.input(description="A new pipeline; it starts with the usual stages.")
class CreatePipelineInput:
    """See `operations.create_pipeline`."""

    id: strawberry.ID | None = strawberry.field(
        description="An id made by the client, `pip_` and a UUIDv7.", default=None
    )
    name: str = strawberry.field(description="The pipeline's name, unique in the workspace.")


@sized(model.Pipeline)
@strawberry.input(description="Changes to a pipeline.")
class UpdatePipelineInput:
    """See `operations.update_pipeline`."""

    id: strawberry.ID = strawberry.field(description="The pipeline.")
    if_version: int | None = strawberry.field(description="Refuse if the pipeline is at another version.", default=None)
    name: str = strawberry.field(description="The pipeline's name.")


@sized(model.Stage)
@strawberry.input(description="A new stage.")
class CreateStageInput:
    """See `operations.create_stage`."""

    id: strawberry.ID | None = strawberry.field(
        description="An id made by the client, `stg_` and a UUIDv7.", default=None
    )
    pipeline_id: strawberry.ID = strawberry.field(description="The pipeline that it becomes part of.")
    name: str = strawberry.field(description="The stage's name, unique in its pipeline.")
    position: int = strawberry.field(description="The place in the pipeline, from 0.")
    kind: model.StageKind = strawberry.field(description="Whether opportunities in it are open, won or lost.")
    probability: int = strawberry.field(description="How likely an opportunity in it is to be won, in percent.")
    required_fields: list[str] | None = strawberry.field(
        description="The fields of an opportunity without which it cannot enter.", default=None
    )


@sized(model.Stage)
@strawberry.input(description="Changes to a stage; what is left out stays.")
class UpdateStageInput:
    """See `operations.update_stage`."""

    id: strawberry.ID = strawberry.field(description="The stage.")
    if_version: int | None = strawberry.field(description="Refuse if the stage is at another version.", default=None)
    name: strawberry.Maybe[str] = strawberry.field(description="The stage's name.")
    position: strawberry.Maybe[int] = strawberry.field(description="The place in the pipeline, from 0.")
    probability: strawberry.Maybe[int] = strawberry.field(description="The probability in percent.")
    required_fields: strawberry.Maybe[list[str]] = strawberry.field(description="The fields needed to enter.")


@strawberry.input(description="A stage to delete.")
class DeleteStageInput:
    """See `operations.delete_stage`."""

    id: strawberry.ID = strawberry.field(description="The stage.")
    if_version: int | None = strawberry.field(description="Refuse if the stage is at another version.", default=None)


@strawberry.type(description="A pipeline, or why not.")
class PipelinePayload(Payload):
    """What mutations of pipelines return."""

    pipeline: Pipeline | None = by_key("record_id", "The pipeline; null when refused.")


@strawberry.type(description="A stage, or why not.")
class StagePayload(Payload):
    """What mutations of stages return."""

    stage: Stage | None = by_key("record_id", "The stage; null when refused.")


class Mutations:
    """Fields of Mutation."""

    @strawberry.mutation(description="Sets up a pipeline with the usual stages.")
    async def create_pipeline(self, info: Info, input: CreatePipelineInput) -> PipelinePayload:
        return await perform(
            info,
            PipelinePayload,
            lambda work: operations.create_pipeline(work, new_key(Pipeline, input.id), input.name),
        )

    @strawberry.mutation(description="Renames a pipeline.")
    async def update_pipeline(self, info: Info, input: UpdatePipelineInput) -> PipelinePayload:
        return await perform(
            info,
            PipelinePayload,
            lambda work: operations.update_pipeline(work, key_of(Pipeline, input.id), input.name, input.if_version),
        )

    @strawberry.mutation(description="Adds a stage to a pipeline.")
    async def create_stage(self, info: Info, input: CreateStageInput) -> StagePayload:
        return await perform(info, StagePayload, lambda work: _create_stage(work, input))

    @strawberry.mutation(description="Changes a stage.")
    async def update_stage(self, info: Info, input: UpdateStageInput) -> StagePayload:
        return await perform(
            info,
            StagePayload,
            lambda work: operations.update_stage(
                work,
                key_of(Stage, input.id),
                given(input, "id", "if_version"),
                field_names(input, "id", "if_version"),
                input.if_version,
            ),
        )

    @strawberry.mutation(description="Deletes a stage that no opportunity is in.")
    async def delete_stage(self, info: Info, input: DeleteStageInput) -> DeletePayload:
        return await perform_delete(
            info, input.id, lambda work: operations.delete_stage(work, key_of(Stage, input.id), input.if_version)
        )


async def _create_stage(work: Work, input_: CreateStageInput) -> str:
    values = given(input_, "id")
    refer(values, "pipeline_id", Pipeline)
    return await operations.create_stage(work, {**values, "id": new_key(Stage, input_.id)}, field_names(input_, "id"))


SLICE = Slice("pipelines", records=(Pipeline, Stage), queries=(Queries,), mutations=(Mutations,), events=events.EVENTS)
