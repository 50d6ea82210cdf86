"""`crm-graph documents push`: documents are held against the schema and the limits before anything is written."""

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
from crm_graph.cli.console import console
from crm_graph.cli.place import settings
from crm_graph.domains.identity.clients.documents import NewDocument

MAX_SHOWN_PROBLEMS = 50


def checked(files: Sequence[Path], *, split: bool) -> tuple[list[NewDocument], str]:
    """Return the documents of files and what names the schema that they are valid against; exits with 1 if one is
    not."""
    options = settings()
    schema = make_schema(page_limits(options))
    cache = DocumentCache.of(schema, options)
    try:
        documents, problems = check_texts(read_texts(files, split=split), cache)
    except Unreadable as error:
        documents, problems = [], [error.problem]
    if problems:
        for problem in problems[:MAX_SHOWN_PROBLEMS]:
            console.print("[red]bad:[/red]", escape(str(problem)), soft_wrap=True)
        console.print(f"{len(problems)} problems: nothing was written", soft_wrap=True)
        raise click.exceptions.Exit(1)
    return documents, schema_sha256(schema)
