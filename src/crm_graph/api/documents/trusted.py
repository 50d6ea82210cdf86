"""Trusted documents: which document a request names, and whether its client may run it.

A request names one by `documentId` or a tool's own spelling (`body.py`). One that sends its source is looked at by the
source's hash, unless its client may run anything. What the database says is kept for `CRM_TRUSTED_CACHE_MS`, so that
requests cost no statement; a trusted document skips validation, never limits and never authorisation.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

from graphql import GraphQLError

from crm_graph import __version__
from crm_graph.api.body import GraphQLRequest
from crm_graph.api.documents.cache import Charge, Document, DocumentCache, DocumentError, free, source_key
from crm_graph.api.documents.read_cache import ReadCache
from crm_graph.db.outages import AWAY
from crm_graph.db.pool import Database
from crm_graph.domains.identity.clients.documents import (
    SHA256_PREFIX,
    Client,
    FoundDocument,
    find_client,
    find_document,
)
from crm_graph.domains.identity.clients.enums import DocumentMode
from crm_graph.graph.running.execution import Operation
from crm_graph.graph.schema.build import BuiltSchema
from crm_graph.identity.tokens import Claims
from crm_graph.identity.viewer import Viewer
from crm_graph.kernel.errors import BadUserInput, DocumentNotFound, RequestError, Unauthenticated
from crm_graph.kernel.settings import Settings

log = logging.getLogger("crm_graph.documents")

ID = re.compile(r"(?:x-[A-Za-z0-9._~-]+:)?[A-Za-z0-9._~+/=-]+\Z")
"""A custom id, as the appendix of GraphQL over HTTP allows them, with Base64's signs beside."""
MAX_ID_LENGTH = 200
MAX_ABSENCE_MS = 1_000
ENTRY_BYTES = 500
"""What a cached id costs beside the text of its document, about."""
MAX_NOTED = 1_000

_SHA256 = re.compile(r"[0-9a-f]{64}\Z")
_APOLLO_NOT_FOUND = "PersistedQueryNotFound"
"""The message by which Apollo's and urql's links know that they must send the whole query."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Scope = tuple[str, str | None]
"""A workspace and a client of it, or none: what a document id means depends on both."""


def schema_sha256(schema: BuiltSchema) -> str:
    """Return what names the schema, and the rules of this version, under which a document was found valid."""
    return hashlib.sha256(f"{__version__}\n{schema.strawberry.as_str()}".encode()).hexdigest()


def spell(document_id: str) -> tuple[str | None, str | None]:
    """Return the SHA-256 and the alias that an id can mean; neither for one that can mean nothing.

    Sixty-four hex digits without a prefix may be both: Apollo sends a hash so, and its manifest may hold any id.
    """
    if document_id.startswith(SHA256_PREFIX):
        digits = document_id.removeprefix(SHA256_PREFIX)
        return (digits if _SHA256.match(digits) else None), None
    if len(document_id) > MAX_ID_LENGTH or not ID.match(document_id):
        return None, None
    return (document_id if _SHA256.match(document_id) else None), document_id


class TrustedDocuments:
    """The gate between a request and its operation."""

    def __init__(self, database: Database, documents: DocumentCache, schema: BuiltSchema, settings: Settings) -> None:
        self._database = database
        self._documents = documents
        self._schema = schema
        self._schema_sha256: str | None = None
        self._default = DocumentMode[settings.document_mode.upper().replace("-", "_")]
        self._nobody = Client("", self._default)
        self._timeout_s = settings.query_timeout_ms / 1000
        age_s = settings.trusted_cache_ms / 1000
        absence_s = min(age_s, MAX_ABSENCE_MS / 1000)
        self._found: ReadCache[tuple[Scope, str], FoundDocument] = ReadCache(
            settings.trusted_cache_bytes, age_s, absence_s
        )
        self._clients: ReadCache[Scope, Client] = ReadCache(settings.trusted_cache_bytes // 8, age_s, absence_s)
        self.noted: OrderedDict[tuple[str, str], int] = OrderedDict()
        """How often this process ran each document that is not trusted under `warn`, by client and hash."""

    async def operation(self, request: GraphQLRequest, claims: Claims, charge: Charge = free) -> Operation:
        """Return the operation of a request. Raises DocumentError for a document that cannot be run, DocumentNotFound
        for one that may not, BadUserInput for a query that is not what the id names, Unauthenticated for a token whose
        client is gone. `charge` is told what it took to read a document that is not trusted."""
        if self._is_open(request, claims):
            assert request.query is not None
            return self._documents.get(request.query, charge).operation(request.operation_name)
        document, mode, name = await self._resolve(request, claims)
        if document is not None:
            return self._load(document).operation(request.operation_name)
        assert request.query is not None
        operation = self._documents.get(request.query, charge).operation(request.operation_name)
        if mode is DocumentMode.WARN:
            self._note(operation, name)
        return operation

    async def check(self, request: GraphQLRequest, claims: Claims) -> None:
        """Raise as `operation` does where a running subscription's document or client is trusted no more."""
        if not self._is_open(request, claims):
            await self._resolve(request, claims)

    def _is_open(self, request: GraphQLRequest, claims: Claims) -> bool:
        """Return whether a request may be run without looking anything up: what most do, so it costs nothing.

        Nobody has documents of their own: what they may run is public, whatever the mode.
        """
        if claims.is_anonymous:
            return request.query is not None
        return request.document_id is None and claims.client_id is None and self._default is DocumentMode.OPEN

    async def _resolve(self, request: GraphQLRequest, claims: Claims) -> tuple[FoundDocument | None, DocumentMode, str]:
        """Return the trusted document of a request, if it is one, with the mode and the name of its client."""
        client = await self.client(claims)
        name, mode = client.name, client.mode
        query, document_id = request.query, request.document_id
        if query is not None and document_id is not None:
            await self._compare(query, document_id, claims)
        if query is None:
            assert document_id is not None
            document = await self._find(claims, *spell(document_id))
        elif mode is DocumentMode.OPEN:
            return None, mode, name
        else:
            document = await self._find(claims, source_key(query).hex(), None)
        if document is None and (query is None or mode is DocumentMode.TRUSTED_ONLY):
            raise _not_found(request, mode)
        return document, mode, name

    async def _compare(self, query: str, document_id: str, claims: Claims) -> None:
        """Raise BadUserInput when an id names another document than the query beside it.

        The id of a tool that was never pushed names none, and says nothing about the query: it is left alone.
        """
        digest = source_key(query).hex()
        sha256, alias = spell(document_id)
        if digest == sha256:
            return
        document = await self._find(claims, sha256, alias)
        if document is not None and document.sha256 == digest:
            return
        if document is not None or sha256 is not None or alias is None:
            raise BadUserInput("The `query` is not the document that the id of the request names.")

    async def client(self, claims: Claims | Viewer) -> Client:
        """Return the client that a credential names; without one, what holds for those without. Raises Unauthenticated
        where the client is gone."""
        client_id = claims.client_id
        if client_id is None:
            return self._nobody
        scope = claims.workspace_id, client_id

        async def read() -> tuple[Client, int] | None:
            client = await find_client(self._database.primary_reader(), claims.workspace_id, client_id)
            return None if client is None else (client, len(client.name))

        client = await self._read(self._clients, scope, read)
        if client is None:
            raise Unauthenticated("The API client of this bearer token was deleted: sign in again, by another client.")
        return client

    async def _find(self, claims: Claims, sha256: str | None, alias: str | None) -> FoundDocument | None:
        if sha256 is None and alias is None:
            return None
        scope = claims.workspace_id, claims.client_id

        async def read() -> tuple[FoundDocument, int] | None:
            document = await find_document(self._database.primary_reader(), *scope, sha256, alias)
            return None if document is None else (document, len(document.source.encode()))

        name = alias if alias is not None else f"{SHA256_PREFIX}{sha256}"
        return await self._read(self._found, (scope, name), read)

    async def _read(
        self, cache: ReadCache[K, V], key: K, read: Callable[[], Awaitable[tuple[V, int] | None]]
    ) -> V | None:
        known, value = cache.peek(key)
        if known:
            return value
        try:
            async with asyncio.timeout(self._timeout_s):
                return await cache.get(key, ENTRY_BYTES, read)
        except (RequestError, *AWAY):
            raise
        except Exception as error:  # answered as an error of execution is
            raise DocumentError("INTERNAL", [GraphQLError(str(error), original_error=error)]) from error

    def _load(self, stored: FoundDocument) -> Document:
        if self._schema_sha256 is None:
            self._schema_sha256 = schema_sha256(self._schema)
        return self._documents.trusted(stored.sha256, stored.source, valid=stored.schema_sha256 == self._schema_sha256)

    def _note(self, operation: Operation, client: str) -> None:
        """Count a document that is not trusted; log it the first, tenth, hundredth time, not in each request."""
        sha256 = operation.key.partition(":")[0]
        count = self.noted.pop((client, sha256), 0) + 1
        self.noted[client, sha256] = count
        if len(self.noted) > MAX_NOTED:
            self.noted.popitem(last=False)
        if str(count).strip("0") == "1":
            name = operation.definition.name.value if operation.definition.name is not None else "(anonymous)"
            log.warning(
                "untrusted document: operation %s, %s%s, client %r, number %d in this process",
                name,
                SHA256_PREFIX,
                sha256,
                client or None,
                count,
            )


def _not_found(request: GraphQLRequest, mode: DocumentMode) -> DocumentNotFound:
    if mode is DocumentMode.TRUSTED_ONLY:
        return DocumentNotFound(
            "This client runs trusted documents only, and this document is none of them: `crm-graph documents push`"
            " adds it."
        )
    if "persistedQuery" in request.extensions:
        return DocumentNotFound(_APOLLO_NOT_FOUND)
    return DocumentNotFound("There is no trusted document of this id: `crm-graph documents push` adds it.")
