"""Trusted documents: their only writers, and the finder that every request by id goes through.

A document is found by the SHA-256 of its text, or by an alias, the id that a client's tool made; a client's own
documents come before those of the whole workspace. The API answers from a cache of what is found here
(`api/documents/trusted.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import delete, insert

from crm_graph.db.base import table_of
from crm_graph.db.session import ReadSession
from crm_graph.db.statements import HOLD_WORKSPACE, Statement
from crm_graph.domains.identity.clients.enums import DocumentMode, OnError
from crm_graph.domains.identity.clients.events import TrustedDocumentAdded, TrustedDocumentRemoved
from crm_graph.domains.identity.clients.model import TrustedDocument, TrustedDocumentAlias
from crm_graph.domains.identity.clients.policy import API_CLIENT, TRUSTED_DOCUMENT
from crm_graph.kernel.errors import Refused
from crm_graph.permissions.policy import workspace
from crm_graph.permissions.rights import hold_to_rights
from crm_graph.work import UPDATE, Work

SHA256_PREFIX = "sha256:"

_DOCUMENTS, _ALIASES = table_of(TrustedDocument), table_of(TrustedDocumentAlias)
_CLIENT = Statement(
    "SELECT name, document_mode, member_id, requests_per_minute, cost_per_minute, on_error FROM api_client"
    " WHERE workspace_id = $1 AND id = $2",
    ("workspace_id", "client_id"),
    {},
)
_FIND = Statement(
    """
    SELECT sha256, source, schema_sha256, client_id, 0 AS rank FROM trusted_document
    WHERE workspace_id = $1 AND sha256 = $3 AND (client_id IS NULL OR client_id = $2)
    UNION ALL
    SELECT sha256, source, schema_sha256, document.client_id, 1
    FROM trusted_document_alias AS alias
    JOIN trusted_document AS document ON document.workspace_id = alias.workspace_id AND document.id = alias.document_id
    WHERE alias.workspace_id = $1 AND alias.name = $4 AND (alias.client_id IS NULL OR alias.client_id = $2)
    ORDER BY rank, client_id NULLS LAST
    LIMIT 1
    """,
    ("workspace_id", "client_id", "sha256", "alias"),
    {},
)
_LIST = Statement(
    """
    SELECT document.id, sha256, operations, document.created_at, client.name AS client,
           array(SELECT alias.name FROM trusted_document_alias AS alias
                 WHERE alias.workspace_id = $1 AND document_id = document.id
                 ORDER BY alias.name) AS aliases
    FROM trusted_document AS document
    LEFT JOIN api_client AS client ON client.workspace_id = $1 AND client.id = document.client_id
    WHERE document.workspace_id = $1 AND ($3 OR document.client_id IS NOT DISTINCT FROM $2)
    ORDER BY client.name NULLS FIRST, operations, document.id
    """,
    ("workspace_id", "client_id", "all"),
    {},
)
_NOTE_SCHEMA = Statement(
    "UPDATE trusted_document SET schema_sha256 = $3 WHERE workspace_id = $1 AND id = ANY($2)",
    ("workspace_id", "ids", "schema_sha256"),
    {},
)


@dataclass(frozen=True, slots=True)
class Client:
    """A client as the edge sees it."""

    name: str
    mode: DocumentMode
    member_id: str | None = None
    """Whom it acts as by itself."""
    requests_per_minute: int | None = None
    cost_per_minute: int | None = None
    on_error: OnError | None = None


@dataclass(frozen=True, slots=True)
class FoundDocument:
    """A trusted document as the edge runs it; hashes in hex."""

    sha256: str
    source: str
    schema_sha256: str


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document to be trusted, parsed and found valid by the caller."""

    sha256: str
    source: str
    operations: tuple[str, ...]
    aliases: tuple[str, ...] = ()


class DocumentCheck(Protocol):
    """Who knows the schema, and so whether a text may be trusted: the edge."""

    @property
    def schema_sha256(self) -> str:
        """What names the schema that documents are checked against."""
        ...

    async def check(self, documents: Sequence[tuple[str, Sequence[str]]], /) -> list[NewDocument]:
        """Return the documents of `(source, other ids)`. Raises Refused INVALID at the first that cannot be trusted."""
        ...


@dataclass(frozen=True, slots=True)
class ListedDocument:
    """A trusted document with what a person asks about it; `client` is the name of its client, None for all."""

    id: str
    sha256: str
    operations: tuple[str, ...]
    aliases: tuple[str, ...]
    client: str | None
    created_at: str


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did, as SHA-256 in the order given. A known document with a new alias is `aliased`."""

    added: tuple[str, ...]
    aliased: tuple[str, ...]
    unchanged: tuple[str, ...]


async def find_client(session: ReadSession, workspace_id: str, client_id: str) -> Client | None:
    """Return the client that a token names, or None when there is none any more."""
    row = await session.fetch_row(_CLIENT, {"workspace_id": workspace_id, "client_id": client_id})
    if row is None:
        return None
    mode, limits = DocumentMode(row["document_mode"]), (row["requests_per_minute"], row["cost_per_minute"])
    on_error = None if row["on_error"] is None else OnError(row["on_error"])
    return Client(row["name"], mode, row["member_id"], *limits, on_error)


async def find_document(
    session: ReadSession, workspace_id: str, client_id: str | None, sha256: str | None, alias: str | None
) -> FoundDocument | None:
    """Return the document that a client of a workspace may run under a hash or an alias, or None."""
    values = {"workspace_id": workspace_id, "client_id": client_id, "sha256": sha256, "alias": alias}
    row = await session.fetch_row(_FIND, values)
    return None if row is None else FoundDocument(row["sha256"], row["source"], row["schema_sha256"])


async def list_documents(
    session: ReadSession, workspace_id: str, client_id: str | None = None, *, everything: bool = False
) -> list[ListedDocument]:
    """Return the documents of one client, or those of all clients (None), or everything."""
    rows = await session.fetch(_LIST, {"workspace_id": workspace_id, "client_id": client_id, "all": everything})
    return [
        ListedDocument(
            row["id"], row["sha256"], tuple(row["operations"]), tuple(row["aliases"]), row["client"], row["created_at"]
        )
        for row in rows
    ]


async def push_documents(
    work: Work, client_id: str | None, documents: Iterable[NewDocument], schema_sha256: str
) -> Pushed:
    """Trust documents, for one client or for all (None); those that are trusted already stay as they are.

    Raises Refused TAKEN for an alias that names another document of the client: running clients hold it, so an id never
    changes what it means; FORBIDDEN for a client that may do what the viewer may not, Forbidden for all clients.
    """
    work.may(API_CLIENT, UPDATE)
    await hold_to_rights(work, TRUSTED_DOCUMENT, None, {"client_id": client_id})
    await work.session.execute(HOLD_WORKSPACE, work.viewer.binds)
    known = await list_documents(work.session, work.viewer.workspace_id, client_id)
    ids = {each.sha256: each.id for each in known}
    named = {alias: each.sha256 for each in known for alias in each.aliases}
    added: list[str] = []
    aliased: list[str] = []
    unchanged: list[str] = []
    for each in documents:
        missing = [alias for alias in each.aliases if alias not in named]
        taken = next((alias for alias in each.aliases if named.setdefault(alias, each.sha256) != each.sha256), None)
        if taken is not None:
            raise Refused(
                "TAKEN",
                f"The id {taken} names another document already, {SHA256_PREFIX}{named[taken]}:"
                " an id never changes what it means. Remove that one first, or give this one another id.",
            )
        if each.sha256 in ids:
            (aliased if missing else unchanged).append(each.sha256)
        else:
            added.append(each.sha256)
            ids[each.sha256] = await _add(work, client_id, each, schema_sha256)
        await _add_aliases(work, client_id, ids[each.sha256], missing)
    await _note_schema(work, [ids[sha256] for sha256 in (*aliased, *unchanged)], schema_sha256)
    return Pushed(tuple(added), tuple(aliased), tuple(unchanged))


async def remove_documents(work: Work, client_id: str | None, names: Sequence[str]) -> list[str]:
    """Trust documents no more, given by hash or alias; returns their hashes. Raises Refused NOT_FOUND, and then none
    is; and as `push_documents` does."""
    work.may(API_CLIENT, UPDATE)
    await hold_to_rights(work, TRUSTED_DOCUMENT, {"client_id": client_id}, None)
    await work.session.execute(HOLD_WORKSPACE, work.viewer.binds)
    known = await list_documents(work.session, work.viewer.workspace_id, client_id)
    found: dict[str, ListedDocument] = {}
    for index, name in enumerate(names):
        sha256 = name.removeprefix(SHA256_PREFIX)
        document = next((each for each in known if each.sha256 == sha256 or name in each.aliases), None)
        if document is None:
            raise Refused("NOT_FOUND", f"There is no trusted document {name}.", ("ids", str(index)))
        found[document.id] = document
    for document in found.values():
        statement = delete(_DOCUMENTS).where(_DOCUMENTS.c.workspace_id == workspace(), _DOCUMENTS.c.id == document.id)
        await work.session.run(statement, [work.viewer.binds])
        event = TrustedDocumentRemoved(document.sha256)
        await work.record(TRUSTED_DOCUMENT, document.id, event, {"sha256": (document.sha256, None)})
    return [document.sha256 for document in found.values()]


async def _add(work: Work, client_id: str | None, document: NewDocument, schema_sha256: str) -> str:
    row: TrustedDocument = TrustedDocument.make(
        client_id=client_id,
        sha256=document.sha256,
        source=document.source,
        operations=list(document.operations),
        schema_sha256=schema_sha256,
    )
    await work.add_part(row, TRUSTED_DOCUMENT)
    event = TrustedDocumentAdded(document.sha256)
    await work.record(TRUSTED_DOCUMENT, row.id, event, {"sha256": (None, document.sha256)})
    return row.id


async def _add_aliases(work: Work, client_id: str | None, document_id: str, names: Sequence[str]) -> None:
    if names:
        rows = [
            {
                "workspace_id": work.viewer.workspace_id,
                "document_id": document_id,
                "name": name,
                "client_id": client_id,
            }
            for name in names
        ]
        await work.session.run(insert(_ALIASES), rows)


async def _note_schema(work: Work, ids: Sequence[str], schema_sha256: str) -> None:
    """Note that known documents are valid against this schema too. No event: it spares a validation, and no more."""
    values = {"workspace_id": work.viewer.workspace_id, "ids": ids, "schema_sha256": schema_sha256}
    await work.session.execute(_NOTE_SCHEMA, values)
