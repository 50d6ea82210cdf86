"""`crm-graph roles`: a workspace's roles as a file, for review and for several installations that are to grant the
same."""

from __future__ import annotations

from pathlib import Path

import click

from crm_graph.cli.console import console
from crm_graph.cli.place import data_option, find_place, run, workspace_option


@click.group()
def roles() -> None:
    """Write a workspace's roles to a file, and make them what a file says.

    \b
      crm-graph roles export > roles.toml
      crm-graph roles apply roles.toml --dry-run
    """


@roles.command("export")
@click.option("--all", "everything", is_flag=True, help="Built-in roles too that are as they came.")
@workspace_option
@data_option
def export(everything: bool, workspace: str | None, data: Path | None) -> None:
    """Print the roles of a workspace as TOML, always in the same order and form."""
    from crm_graph.cli.access.roles import roles_as_toml

    click.echo(run(roles_as_toml(find_place(data), workspace, everything=everything)), nl=False)


@roles.command("apply")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option(
    "--prune", is_flag=True, help="Delete roles that are not in FILE; built-in ones go back to how they came."
)
@workspace_option
@data_option
def apply(file: Path, dry_run: bool, prune: bool, workspace: str | None, data: Path | None) -> None:
    """Make the roles of a workspace what FILE says: all of it, or nothing where anything is wrong.

    Prints what changes, a line each. In force with the next request of whoever has the roles.
    """
    from crm_graph.cli.access.roles import apply_file

    changed = run(apply_file(find_place(data), workspace, file, prune=prune, dry_run=dry_run))
    console.print(f"{changed} {'role' if changed == 1 else 'roles'} {'would change' if dry_run else 'changed'}")
