"""`crm-graph provider`: identity providers as the operator sees them."""

from __future__ import annotations

from pathlib import Path

import click

from crm_graph.cli.console import console
from crm_graph.cli.place import data_option, find_place, run, settings, workspace_option


@click.group()
def provider() -> None:
    """List and test the identity providers of a workspace."""


@provider.command("list")
@workspace_option
@data_option
def list_providers(workspace: str | None, data: Path | None) -> None:
    """List the identity providers of a workspace."""
    from rich.console import Console
    from rich.table import Table

    from crm_graph.cli.access.providers import providers_of

    table = Table("name", "issuer", "sign-in", "tokens", "redirect URI", box=None)
    for row in run(providers_of(find_place(data), workspace)):
        tokens = "accepted" if row["enabled"] and row["accept_tokens"] else "-"
        uri = f"{settings().public_url or 'http://127.0.0.1:8000'}/sso/idp_{row['id']}/callback"
        table.add_row(row["name"], row["issuer"], "on" if row["enabled"] else "off", tokens, uri)
    Console(width=200).print(table)


@provider.command("test")
@click.argument("name")
@workspace_option
@data_option
def test_provider(name: str, workspace: str | None, data: Path | None) -> None:
    """Fetch what a provider says of itself and its keys, past all caches; say what is wrong and how to fix it.

    Exit code 2 if anything is. Nobody is signed in, and nothing is written.
    """
    from crm_graph.cli.access.providers import examine_provider

    for line in run(examine_provider(find_place(data), name, workspace)):
        console.print(line, soft_wrap=True)
