"""API clients in the schema."""

from __future__ import annotations

from datetime import datetime

import strawberry

from crm_graph.domains.workspace.clients import events, model, operations, policy
from crm_graph.graph import roots
from crm_graph.graph.build import Slice
from crm_graph.graph.context import Info
from crm_graph.graph.enums import describe
from crm_graph.graph.payloads import (
    DeletePayload,
    Payload,
    field_names,
    given,
    key_of,
    new_key,
    perform,
    perform_delete,
)
from crm_graph.graph.records import Node, by_key, column, record
from crm_graph.graph.types import Connection
from crm_graph.work import Work

describe(
    model.DocumentMode,
    "What a client may run beside trusted documents.",
    {
        "OPEN": "Any document.",
        "WARN": "Any document; one that is not trusted is counted and logged.",
        "TRUSTED_ONLY": "Trusted documents only; anything else is refused.",
    },
)


@record("apc", model.ApiClient, policy.API_CLIENT)
class ApiClient(Node):
    """A program that uses the API: a web application, a mobile one, an integration."""

    name: str = column("What it is called, unique in the workspace.")
    document_mode: model.DocumentMode = column("What it may run beside trusted documents.")
    version: int = column("Counts the changes; give it as `ifVersion`.")
    created_at: datetime = column("When the record was made.")
    updated_at: datetime = column("When the record last changed.")


class Queries:
    """Fields of Query."""

    api_client: ApiClient | None = roots.one("A client of the API by id.")
    api_clients: Connection[ApiClient] = roots.many("The clients of the API.")


@strawberry.input(description="A new client of the API.")
class CreateApiClientInput:
    """See `operations.create_api_client`."""

    id: strawberry.ID | None = strawberry.field(
        description="An id made by the client, `apc_` and a UUIDv7.", default=None
    )
    name: str = strawberry.field(description="What it is called, unique in the workspace.")
    document_mode: model.DocumentMode = strawberry.field(
        description="What it may run beside trusted documents.", default=model.DocumentMode.OPEN
    )


@strawberry.input(description="Changes to a client of the API; what is left out stays.")
class UpdateApiClientInput:
    """See `operations.update_api_client`."""

    id: strawberry.ID = strawberry.field(description="The client.")
    if_version: int | None = strawberry.field(description="Refuse if the client is at another version.", default=None)
    name: strawberry.Maybe[str] = strawberry.field(description="What it is called, unique in the workspace.")
    document_mode: strawberry.Maybe[model.DocumentMode] = strawberry.field(
        description="What it may run beside trusted documents."
    )


@strawberry.input(description="A client of the API to delete.")
class DeleteApiClientInput:
    """See `operations.delete_api_client`."""

    id: strawberry.ID = strawberry.field(description="The client.")
    if_version: int | None = strawberry.field(description="Refuse if the client is at another version.", default=None)


@strawberry.type(description="A client of the API, or why not.")
class ApiClientPayload(Payload):
    """What mutations of API clients return."""

    api_client: ApiClient | None = by_key("record_id", "The client; null when refused.")


class Mutations:
    """Fields of Mutation."""

    @strawberry.mutation(description="Makes a client of the API known.")
    async def create_api_client(self, info: Info, input: CreateApiClientInput) -> ApiClientPayload:
        return await perform(info, ApiClientPayload, lambda work: _create(work, input))

    @strawberry.mutation(description="Changes a client of the API. It is in force everywhere within seconds.")
    async def update_api_client(self, info: Info, input: UpdateApiClientInput) -> ApiClientPayload:
        return await perform(info, ApiClientPayload, lambda work: _update(work, input))

    @strawberry.mutation(description="Deletes a client of the API with its trusted documents; its tokens stop working.")
    async def delete_api_client(self, info: Info, input: DeleteApiClientInput) -> DeletePayload:
        return await perform_delete(
            info,
            input.id,
            lambda work: operations.delete_api_client(work, key_of(ApiClient, input.id), input.if_version),
        )


async def _create(work: Work, input_: CreateApiClientInput) -> str:
    values = given(input_, "id")
    values["id"] = new_key(ApiClient, input_.id)
    return await operations.create_api_client(work, values, field_names(input_, "id"))


async def _update(work: Work, input_: UpdateApiClientInput) -> str:
    values = given(input_, "id", "if_version")
    names = field_names(input_, "id", "if_version")
    return await operations.update_api_client(work, key_of(ApiClient, input_.id), values, names, input_.if_version)


SLICE = Slice("clients", records=(ApiClient,), queries=(Queries,), mutations=(Mutations,), events=events.EVENTS)
