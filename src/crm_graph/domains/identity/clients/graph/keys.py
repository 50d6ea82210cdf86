"""Mutations of API keys."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

import strawberry

from crm_graph.domains.identity.clients import model, operations
from crm_graph.domains.identity.clients.graph.types import ApiClient, ApiKey
from crm_graph.domains.identity.clients.policy import API_KEY
from crm_graph.graph.context import Info
from crm_graph.graph.idempotency.once import answer_once
from crm_graph.graph.idempotency.values import shown_once
from crm_graph.graph.payloads import Payload, key_of, perform, user_error
from crm_graph.graph.reading.sizes import sized
from crm_graph.graph.records.record import by_key
from crm_graph.graph.writes import does
from crm_graph.permissions.grants import UPDATE
from crm_graph.work import Work


@sized(model.ApiKey)
@strawberry.input(description="A new key of a client.")
class CreateApiKeyInput:
    """See `operations.create_api_key`."""

    client_id: strawberry.ID = strawberry.field(description="The client.")
    name: str = strawberry.field(description="What people call the key: where it is used, say.")
    expires_at: datetime | None = strawberry.field(
        description="When it stops working; never unless given.", default=None
    )


@strawberry.input(description="A key that is to be followed by a new one.")
class RotateApiKeyInput:
    """See `operations.rotate_api_key`."""

    id: strawberry.ID = strawberry.field(description="The key.")
    overlap_hours: int = strawberry.field(
        description="For how many hours the old key goes on, at most 720.", default=24
    )
    expires_at: datetime | None = strawberry.field(
        description="When the new key stops working; unless given it is good for as long as the old one was.",
        default=None,
    )


@strawberry.input(description="A key to revoke.")
class RevokeApiKeyInput:
    """See `operations.revoke_api_key`."""

    id: strawberry.ID = strawberry.field(description="The key.")


@strawberry.type(description="A key of a client, or why not.")
class ApiKeyPayload(Payload):
    """What `revokeApiKey` returns."""

    api_key: ApiKey | None = by_key("record_id", "The key's record; null when refused.")


@strawberry.type(description="A new key, or why not.")
class NewApiKeyPayload(Payload):
    """What mutations that make a key return: here, and nowhere else, is its text."""

    api_key: ApiKey | None = by_key("record_id", "The key's record; null when refused.")
    key: str | None = shown_once(
        "The key itself, for `Authorization: Bearer`. Keep it: it is not shown again.",
        "Rotate the API key, or revoke it and make another one.",
        default=None,
    )


class Mutations:
    """Fields of Mutation."""

    @strawberry.mutation(
        description="Makes a key of a client. The answer holds its text, which is not shown again.",
        metadata=does(API_KEY, UPDATE),
    )
    async def create_api_key(self, info: Info, input: CreateApiKeyInput) -> NewApiKeyPayload:
        return await _made(
            info,
            lambda work: operations.create_api_key(
                work, key_of(ApiClient, input.client_id, "clientId"), input.name, input.expires_at
            ),
        )

    @strawberry.mutation(
        description="Makes a key that follows another one, which goes on for an overlap.",
        metadata=does(API_KEY, UPDATE),
    )
    async def rotate_api_key(self, info: Info, input: RotateApiKeyInput) -> NewApiKeyPayload:
        return await _made(
            info,
            lambda work: operations.rotate_api_key(
                work, key_of(ApiKey, input.id), input.overlap_hours, input.expires_at
            ),
        )

    @strawberry.mutation(
        description="Revokes a key: it stops working with the next request.", metadata=does(API_KEY, UPDATE)
    )
    async def revoke_api_key(self, info: Info, input: RevokeApiKeyInput) -> ApiKeyPayload:
        return await perform(
            info, ApiKeyPayload, lambda work: operations.revoke_api_key(work, key_of(ApiKey, input.id))
        )


async def _made(info: Info, operation: Callable[[Work], Awaitable[tuple[str, str]]]) -> NewApiKeyPayload:
    """Perform an operation that makes a key. Its text goes into the answer, and only once the key is committed."""

    async def done(work: Work) -> NewApiKeyPayload:
        id_, text = await operation(work)
        return NewApiKeyPayload(record_id=id_, errors=[], key=text)

    return await answer_once(
        info, NewApiKeyPayload, done, lambda refused: NewApiKeyPayload(record_id=None, errors=[user_error(refused)])
    )
