"""`crm-graph token`."""

from __future__ import annotations

from pathlib import Path

import click

from crm_graph.cli.place import data_option, find_place, run, workspace_option
from crm_graph.permissions.roles import BUILT_IN


@click.command()
@click.option("--email", help="The member by e-mail.")
@click.option("--role", help=f"The first member with a role: {', '.join(BUILT_IN)}.")
@click.option("--client", help="The API client that the token is for: which documents it may run depends on that.")
@workspace_option
@click.option(
    "--minutes", type=click.IntRange(1, 60 * 24 * 30), help="How long it is valid; CRM_TOKEN_MINUTES unless given."
)
@data_option
def token(
    email: str | None,
    role: str | None,
    client: str | None,
    workspace: str | None,
    minutes: int | None,
    data: Path | None,
) -> None:
    """Print a bearer token of a member, and nothing else, for scripts.

    It is a session of that member, whose method is OPERATOR: they see it, and can end it.

    \b
      curl -H "Authorization: Bearer $(crm-graph token --role admin)" ...
    """
    if (email is None) == (role is None):
        raise click.UsageError("give either --email or --role")
    from crm_graph.cli.access.tokens import issue_token

    click.echo(run(issue_token(find_place(data), email, role, client, workspace, minutes)))
