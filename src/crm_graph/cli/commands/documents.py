"""`crm-graph documents`: what clients may run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click
from rich.markup import escape

from crm_graph.cli.commands.client import MODES, name_of_mode
from crm_graph.cli.console import console
from crm_graph.cli.place import data_option, find_place, run, workspace_option

client_option = click.option(
    "--client", metavar="NAME", help="The API client; all clients of the workspace unless given."
)


@click.group()
def documents() -> None:
    """Trust documents: clients run them by id, and a client can be held to them.

    \b
      crm-graph documents push --client web persisted-documents.json
      crm-graph documents mode --client web trusted-only
    """


@documents.command("push")
@click.argument("files", metavar="FILES...", nargs=-1, required=True, type=click.Path(dir_okay=False, path_type=Path))
@client_option
@click.option(
    "--split", is_flag=True, help="Each operation of .graphql files is a document, with the fragments that it needs."
)
@workspace_option
@data_option
def push(files: tuple[Path, ...], client: str | None, split: bool, workspace: str | None, data: Path | None) -> None:
    """Trust the documents of FILES. All are checked against the schema and the limits first; one bad document, and
    nothing is written. Pushing again changes nothing.

    FILES are .graphql files (each one document, byte by byte, unless --split), Relay's persisted queries, GraphQL Code
    Generator's persisted documents, or Apollo's persisted query manifest. Each document can be run by `sha256:` and the
    hash of its text, and by the id that the tool gave it.
    """
    from crm_graph.cli.access.checking import checked
    from crm_graph.cli.access.documents import trust
    from crm_graph.domains.identity.clients.documents import SHA256_PREFIX

    new_documents, schema = checked(files, split=split)
    pushed = run(trust(find_place(data), workspace, client, new_documents, schema))
    names = {document.sha256: _shown(document.operations) for document in new_documents}
    for what, hashes in (("added", pushed.added), ("new id", pushed.aliased)):
        for sha256 in hashes:
            click.echo(f"{what}\t{SHA256_PREFIX}{sha256}\t{names[sha256]}")
    counts = f"{len(pushed.added)} added, {len(pushed.aliased)} with a new id, {len(pushed.unchanged)} unchanged"
    console.print(f"{counts}: for {escape(client or 'all clients')}", soft_wrap=True)


@documents.command("list")
@client_option
@workspace_option
@data_option
def list_trusted(client: str | None, workspace: str | None, data: Path | None) -> None:
    """List trusted documents, a line each: hash, client, operations, other ids, time; separated by tabs."""
    from crm_graph.cli.access.documents import documents_of
    from crm_graph.domains.identity.clients.documents import SHA256_PREFIX

    for document in run(documents_of(find_place(data), workspace, client)):
        columns = (
            f"{SHA256_PREFIX}{document.sha256}",
            document.client or "(all)",
            _shown(document.operations),
            ", ".join(document.aliases) or "-",
            document.created_at,
        )
        click.echo("\t".join(columns))


@documents.command("mode")
@click.argument("mode", type=click.Choice(list(MODES)), required=False)
@click.option("--client", metavar="NAME", required=True, help="The API client.")
@workspace_option
@data_option
def mode_(mode: str | None, client: str, workspace: str | None, data: Path | None) -> None:
    """Print or set what a client may run.

    \b
      open          any document
      warn          any document; one that is not trusted is counted and logged
      trusted-only  trusted documents and nothing else

    It is in force in every process within CRM_TRUSTED_CACHE_MS. For tokens that name no client, CRM_DOCUMENT_MODE
    says it.
    """
    from crm_graph.cli.access.clients import mode_of

    chosen = None if mode is None else MODES[mode]
    click.echo(name_of_mode(run(mode_of(find_place(data), workspace, client, chosen))))


@documents.command("remove")
@click.argument("ids", metavar="IDS...", nargs=-1, required=True)
@client_option
@workspace_option
@data_option
def remove(ids: tuple[str, ...], client: str | None, workspace: str | None, data: Path | None) -> None:
    """Trust documents no more, given by `sha256:...` or another id: all of them, or none if one is unknown.

    No process runs them any more after CRM_TRUSTED_CACHE_MS.
    """
    from crm_graph.cli.access.documents import untrust
    from crm_graph.domains.identity.clients.documents import SHA256_PREFIX

    for sha256 in run(untrust(find_place(data), workspace, client, ids)):
        click.echo(f"removed\t{SHA256_PREFIX}{sha256}")


def _shown(operations: Iterable[str | None]) -> str:
    """Return the names of a document's operations."""
    return ", ".join(filter(None, operations)) or "(anonymous)"
