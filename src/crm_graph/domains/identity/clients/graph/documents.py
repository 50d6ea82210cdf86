"""Mutations of trusted documents: what a build pushes with its API key."""

from __future__ import annotations

from collections.abc import Sequence

import strawberry

from crm_graph.db.sizes import Items, Letters
from crm_graph.domains.identity.clients import model
from crm_graph.domains.identity.clients.documents import (
    SHA256_PREFIX,
    DocumentCheck,
    NewDocument,
    Pushed,
    push_documents,
    remove_documents,
)
from crm_graph.domains.identity.clients.graph.types import ApiClient
from crm_graph.domains.identity.clients.model import ApiClient as ApiClientRow
from crm_graph.domains.identity.clients.policy import API_CLIENT
from crm_graph.graph.context import Info
from crm_graph.graph.idempotency.once import answer_once
from crm_graph.graph.payloads import UserError, key_of, user_error
from crm_graph.graph.reading.sizes import sized
from crm_graph.graph.writes import does
from crm_graph.kernel.errors import Refused
from crm_graph.work import UPDATE, Work

MAX_DOCUMENTS = 100
MAX_ALIASES = 10
MAX_ALIAS_LETTERS = 200


@sized(model.TrustedDocument, aliases=Items(MAX_ALIASES, Letters(MAX_ALIAS_LETTERS)))
@strawberry.input(description="A document to trust.")
class TrustedDocumentInput:
    """A text and its other ids."""

    source: str = strawberry.field(description="The document, byte by byte: clients send its SHA-256.")
    aliases: list[str] = strawberry.field(description="Other ids of it that a tool made.", default_factory=list)


@strawberry.input(description="Documents to trust.")
class PushTrustedDocumentsInput:
    """See `documents.push_documents`."""

    client_id: strawberry.ID | None = strawberry.field(
        description="The client that may run them; all clients of the workspace unless given.", default=None
    )
    documents: list[TrustedDocumentInput] = strawberry.field(description="At most 100 documents.")


@strawberry.input(description="Documents to trust no more.")
class RemoveTrustedDocumentsInput:
    """See `documents.remove_documents`."""

    client_id: strawberry.ID | None = strawberry.field(
        description="The client that could run them; all clients of the workspace unless given.", default=None
    )
    ids: list[str] = strawberry.field(description="`sha256:...` or another id of each, at most 100.")


@strawberry.type(description="What a push did, or why it did nothing.")
class PushTrustedDocumentsPayload:
    """Hashes in the order given; all lists are empty when refused."""

    added: list[str] = strawberry.field(description="The ids, `sha256:...`, of documents that are newly trusted.")
    aliased: list[str] = strawberry.field(
        description="The ids of documents that were trusted already and have a new alias."
    )
    unchanged: list[str] = strawberry.field(description="The ids of documents that were trusted already.")
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was done.")


@strawberry.type(description="What a removal did, or why it did nothing.")
class RemoveTrustedDocumentsPayload:
    """Hashes in the order given."""

    removed: list[str] = strawberry.field(description="The ids, `sha256:...`, of what is trusted no more.")
    errors: list[UserError] = strawberry.field(description="Why it was refused; empty when it was done.")


class Mutations:
    """Fields of Mutation."""

    @strawberry.mutation(
        description="Trusts documents, all or none: what a build does with its API key.",
        metadata=does(API_CLIENT, UPDATE),
    )
    async def push_trusted_documents(self, info: Info, input: PushTrustedDocumentsInput) -> PushTrustedDocumentsPayload:
        check = info.context.port(DocumentCheck)  # type: ignore[type-abstract] # a key, and never made

        async def done(work: Work) -> PushTrustedDocumentsPayload:
            client_id = await _client(work, input.client_id)
            made = await _checked(check, input.documents)
            return _pushed(await push_documents(work, client_id, made, check.schema_sha256))

        return await answer_once(
            info,
            PushTrustedDocumentsPayload,
            done,
            lambda refused: PushTrustedDocumentsPayload(
                added=[], aliased=[], unchanged=[], errors=[user_error(refused)]
            ),
        )

    @strawberry.mutation(
        description="Trusts documents no more, all or none. It is in force everywhere within seconds.",
        metadata=does(API_CLIENT, UPDATE),
    )
    async def remove_trusted_documents(
        self, info: Info, input: RemoveTrustedDocumentsInput
    ) -> RemoveTrustedDocumentsPayload:
        async def done(work: Work) -> RemoveTrustedDocumentsPayload:
            if len(input.ids) > MAX_DOCUMENTS:
                raise Refused("INVALID", f"At most {MAX_DOCUMENTS} documents are removed at once.", ("ids",))
            removed = await remove_documents(work, await _client(work, input.client_id), input.ids)
            return RemoveTrustedDocumentsPayload(removed=_ids(removed), errors=[])

        return await answer_once(
            info,
            RemoveTrustedDocumentsPayload,
            done,
            lambda refused: RemoveTrustedDocumentsPayload(removed=[], errors=[user_error(refused)]),
        )


async def _client(work: Work, id_: strawberry.ID | None) -> str | None:
    """Return the inner id of the client, which must be there and may be changed; None for all clients."""
    work.may(API_CLIENT, UPDATE)
    if id_ is None:
        return None
    found = await work.get(ApiClientRow, API_CLIENT, key_of(ApiClient, id_, "clientId"), UPDATE, path="clientId")
    return found.id


async def _checked(check: DocumentCheck, documents: Sequence[TrustedDocumentInput]) -> list[NewDocument]:
    if len(documents) > MAX_DOCUMENTS:
        raise Refused("INVALID", f"At most {MAX_DOCUMENTS} documents are pushed at once.", ("documents",))
    for number, each in enumerate(documents):
        if len(each.aliases) > MAX_ALIASES:
            path = ("documents", str(number), "aliases")
            raise Refused("INVALID", f"A document has at most {MAX_ALIASES} aliases.", path)
    return await check.check([(each.source, each.aliases) for each in documents])


def _pushed(pushed: Pushed) -> PushTrustedDocumentsPayload:
    return PushTrustedDocumentsPayload(
        added=_ids(pushed.added), aliased=_ids(pushed.aliased), unchanged=_ids(pushed.unchanged), errors=[]
    )


def _ids(hashes: Sequence[str]) -> list[str]:
    return [f"{SHA256_PREFIX}{sha256}" for sha256 in hashes]
