"""Mutations of API clients."""

from __future__ import annotations

from typing import Any

import strawberry

from crm_graph.domains.identity.clients import model, operations
from crm_graph.domains.identity.clients.graph.enums import ClientKind, DocumentMode, OnError
from crm_graph.domains.identity.clients.graph.types import ApiClient
from crm_graph.domains.identity.clients.policy import API_CLIENT
from crm_graph.graph.context import Info
from crm_graph.graph.payloads import (
    DeletePayload,
    Payload,
    field_names,
    given,
    key_of,
    perform,
    perform_delete,
)
from crm_graph.graph.reading.sizes import ROLES, sized
from crm_graph.graph.records.record import by_key
from crm_graph.graph.writes import does
from crm_graph.permissions.grants import CREATE, DELETE, UPDATE
from crm_graph.work import Work

_NAME = "The client's name, unique in the workspace."
_KIND = "Whether the client can keep a secret."
_MODE = "Which documents the client may run beside trusted ones."
_ROLES = (
    "The roles with which the client acts by itself, with a key or by client credentials. You must hold them yourself."
)
_MEMBER_ROLES = (
    "The roles that the client may use, of those that the member has for whom it acts; null is all of them,"
    " which only an administrator gives. You must hold them yourself."
)
_MEMBER_ROLES_OF_NEW = (
    f"{_MEMBER_ROLES} Where anybody else leaves it out, the client may use the roles of the member who makes it."
)
_REDIRECT_URIS = "The addresses to which members are sent back with an authorization code, letter by letter."
_FIRST_PARTY = (
    "Whether the client is the workspace's own: then members are not asked for consent. Only administrators make or"
    " change one."
)
_REQUESTS = "How many requests the client may send in a minute; null is the installation's limit."
_ON_ERROR = "What an error does to the client's answers unless a request says it by `onError`; null is PROPAGATE."
_COST = "What the client's operations of a minute may cost together; null is the installation's limit."


@sized(model.ApiClient, member_roles=ROLES)
@strawberry.input(description="A new client of the API.")
class CreateApiClientInput:
    """See `operations.create_api_client`. The id is made here: under `/oauth` it names a client by itself, whatever
    the workspace, and can have been printed anywhere."""

    name: str = strawberry.field(description=_NAME)
    kind: ClientKind = strawberry.field(description=_KIND, default=ClientKind.CONFIDENTIAL)
    document_mode: DocumentMode = strawberry.field(description=_MODE, default=DocumentMode.OPEN)
    roles: list[str] | None = strawberry.field(description=_ROLES, default=None)
    member_roles: list[str] | None = strawberry.field(description=_MEMBER_ROLES_OF_NEW, default=None)
    redirect_uris: list[str] | None = strawberry.field(description=_REDIRECT_URIS, default=None)
    first_party: bool = strawberry.field(description=_FIRST_PARTY, default=False)
    requests_per_minute: int | None = strawberry.field(description=_REQUESTS, default=None)
    cost_per_minute: int | None = strawberry.field(description=_COST, default=None)
    on_error: OnError | None = strawberry.field(description=_ON_ERROR, default=None)


@sized(model.ApiClient, member_roles=ROLES)
@strawberry.input(description="Changes to a client of the API; what is left out stays.")
class UpdateApiClientInput:
    """See `operations.update_api_client`."""

    id: strawberry.ID = strawberry.field(description="The client.")
    if_version: int | None = strawberry.field(description="Refuse if the client is at another version.", default=None)
    name: strawberry.Maybe[str] = strawberry.field(description=_NAME)
    kind: strawberry.Maybe[ClientKind] = strawberry.field(description=_KIND)
    document_mode: strawberry.Maybe[DocumentMode] = strawberry.field(description=_MODE)
    roles: strawberry.Maybe[list[str]] = strawberry.field(description=_ROLES)
    member_roles: strawberry.Maybe[list[str] | None] = strawberry.field(description=_MEMBER_ROLES)
    redirect_uris: strawberry.Maybe[list[str]] = strawberry.field(description=_REDIRECT_URIS)
    first_party: strawberry.Maybe[bool] = strawberry.field(description=_FIRST_PARTY)
    requests_per_minute: strawberry.Maybe[int | None] = strawberry.field(description=_REQUESTS)
    cost_per_minute: strawberry.Maybe[int | None] = strawberry.field(description=_COST)
    on_error: strawberry.Maybe[OnError | None] = strawberry.field(description=_ON_ERROR)


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

    @strawberry.mutation(description="Makes a client of the API known.", metadata=does(API_CLIENT, CREATE))
    async def create_api_client(self, info: Info, input: CreateApiClientInput) -> ApiClientPayload:
        return await perform(info, ApiClientPayload, lambda work: _create(work, input))

    @strawberry.mutation(
        description="Changes a client of the API. It is in force everywhere within seconds.",
        metadata=does(API_CLIENT, UPDATE),
    )
    async def update_api_client(self, info: Info, input: UpdateApiClientInput) -> ApiClientPayload:
        return await perform(info, ApiClientPayload, lambda work: _update(work, input))

    @strawberry.mutation(
        description="Deletes a client of the API with its keys and trusted documents; its tokens stop working.",
        metadata=does(API_CLIENT, DELETE),
    )
    async def delete_api_client(self, info: Info, input: DeleteApiClientInput) -> DeletePayload:
        return await perform_delete(
            info,
            input.id,
            lambda work: operations.delete_api_client(work, key_of(ApiClient, input.id), input.if_version),
        )


async def _create(work: Work, input_: CreateApiClientInput) -> str:
    values, roles = _columns(given(input_))
    return await operations.create_api_client(work, values, _fields(input_), roles)


async def _update(work: Work, input_: UpdateApiClientInput) -> str:
    values, roles = _columns(given(input_, "id", "if_version"))
    names = _fields(input_, "id", "if_version")
    return await operations.update_api_client(
        work, key_of(ApiClient, input_.id), values, names, input_.if_version, roles
    )


def _columns(values: dict[str, Any]) -> tuple[dict[str, Any], list[str] | None]:
    """Return the values of the client's columns, and the roles of its service member where they are given: a client's
    own column `roles` holds those that it may use for others."""
    roles = values.pop("roles", None)
    if "member_roles" in values:
        values["roles"] = values.pop("member_roles")
    return values, roles


def _fields(input_: Any, *leave_out: str) -> tuple[str, ...]:
    """Return the fields of the record that an input writes: its roles are those of `member`."""
    return tuple("member" if name == "roles" else name for name in field_names(input_, *leave_out))
