"""`crm-graph login`."""

from __future__ import annotations

import click


@click.command()
@click.argument("url")
@click.option("--workspace", help="The short name of the workspace whose members may let it in; any otherwise.")
@click.option("--client-id", help="Sign in as this OAuth client, instead of the command line's own.")
@click.option("--read-only", is_flag=True, help="For reading alone.")
def login(url: str, workspace: str | None, client_id: str | None, read_only: bool) -> None:
    """Sign in to the installation at URL: shows an address and a code, to be opened in a browser anywhere.

    The tokens are kept in the user's own configuration directory (CRM_CONFIG_DIR), readable by nobody else.
    """
    from crm_graph.cli.access.remote import sign_in

    sign_in(url, workspace, client_id, read_only=read_only)
