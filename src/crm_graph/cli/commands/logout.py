"""`crm-graph logout`."""

from __future__ import annotations

import click


@click.command()
@click.argument("url", required=False)
def logout(url: str | None) -> None:
    """Sign out of the installation at URL (the last one unless given): its tokens stop working, and are forgotten."""
    from crm_graph.cli.access.remote import sign_out

    sign_out(url)
