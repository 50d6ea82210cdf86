"""`crm-graph documents`: trusting documents, of one client or of all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
from rich.markup import escape

from crm_graph.api.documents.cache import DocumentCache
from crm_graph.api.documents.manifests import Unreadable, check_texts, read_texts
from crm_graph.api.documents.trusted import schema_sha256
from crm_graph.api.schema import make_schema
from crm_graph.app import page_limits
from crm_graph.cli.access.clients import clients_in
from crm_graph.cli.console import console
from crm_graph.cli.place import Place, settings
from crm_graph.domains.identity.clients.documents import (
    ListedDocument,
    NewDocument,
    Pushed,
    list_documents,
    push_documents,
    remove_documents,
)

MAX_SHOWN_PROBLEMS = 50


def checked(files: Sequence[Path], *, split: bool) -> tuple[list[NewDocument], str]:
    """Return the documents of files and what names the schema that they are valid against; exits with 1 if one is
    not."""
    options = settings()
    schema = make_schema(page_limits(options))
    cache = DocumentCache.of(schema, options)
    try:
        made, problems = check_texts(read_texts(files, split=split), cache)
    except Unreadable as error:
        made, problems = [], [error.problem]
    if problems:
        for problem in problems[:MAX_SHOWN_PROBLEMS]:
            console.print("[red]bad:[/red]", escape(str(problem)), soft_wrap=True)
        console.print(f"{len(problems)} problems: nothing was written", soft_wrap=True)
        raise click.exceptions.Exit(1)
    return made, schema_sha256(schema)


async def push_checked(
    place: Place, workspace: str | None, client: str | None, documents: Sequence[NewDocument], schema: str
) -> Pushed:
    """Trust documents that are valid against the schema of this hash. Raises OperatorError and Refused."""
    async with clients_in(place, workspace, client) as clients, clients.work() as work:
        return await push_documents(work, clients.client_id, documents, schema)


async def documents_of(place: Place, workspace: str | None, client: str | None) -> list[ListedDocument]:
    """Return the documents that are trusted for a client, or all of the workspace. Raises OperatorError."""
    async with clients_in(place, workspace, client) as clients:
        reader = clients.database.primary_reader()
        return await list_documents(reader, clients.workspace_id, clients.client_id, everything=client is None)


async def untrust(place: Place, workspace: str | None, client: str | None, ids: Sequence[str]) -> list[str]:
    """Trust documents no more; returns their hashes. Raises OperatorError and Refused: all of them, or none."""
    async with clients_in(place, workspace, client) as clients, clients.work() as work:
        return await remove_documents(work, clients.client_id, ids)
