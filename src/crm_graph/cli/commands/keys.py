"""`crm-graph keys`: the keys that personal data and secrets are encrypted under."""

from __future__ import annotations

from pathlib import Path

import click

from crm_graph.cli.console import console
from crm_graph.cli.place import data_option, find_place, run

workspace_option = click.option("--workspace", help="The workspace's short name; all of them unless given.")


@click.group()
def keys() -> None:
    """The keys that personal data and secrets are encrypted under.

    \b
    Each workspace has its own, wrapped by a master key: CRM_MASTER_KEY, else one derived from CRM_SECRET or from the
    secret that the database keeps.
      a new master key:   put it in front of the old one (CRM_MASTER_KEY=NEW,OLD), restart every process with it,
                          `crm-graph keys rewrap`, then take the old one away
      a new data key:     `crm-graph keys rotate`, once a year, or when one could be known to somebody
    """


@keys.command("rotate")
@workspace_option
@click.option("--index", is_flag=True, help="Make a new key of the blind index too, by which equal values are found.")
@data_option
def rotate_keys(workspace: str | None, index: bool, data: Path | None) -> None:
    """Make new data keys, and encrypt everything anew under them.

    May be interrupted at any time: run again, it goes on where it was. Requests are served meanwhile. First it waits
    CRM_VAULT_CACHE_MS, until every process has taken the new key up. Old keys stay: the log and backups need them.
    """
    from crm_graph.cli.operating.keys import rotate_place

    done = run(rotate_place(find_place(data), workspace, index=index))
    for slug, rotated in done.items():
        click.echo(f"{slug}: data key {rotated.version}, {rotated.values:,} values encrypted anew")
        if rotated.unreadable:
            console.print(f"  {rotated.unreadable:,} values cannot be decrypted, and were left as they are")
        if rotated.left:
            console.print(f"  {rotated.left:,} values are in use by others: run it again")
    if not done:
        click.echo("nothing is encrypted yet")
    if any(rotated.unreadable or rotated.left for rotated in done.values()):
        raise click.exceptions.Exit(1)


@keys.command("rewrap")
@workspace_option
@data_option
def rewrap_keys(workspace: str | None, data: Path | None) -> None:
    """Wrap the keys of workspaces by the master key that stands first.

    Every process must have been started with it already, else it cannot read the keys any more. Values are not touched,
    so this takes a moment.
    """
    from crm_graph.cli.operating.keys import rewrap_place

    done, name = run(rewrap_place(find_place(data), workspace))
    click.echo(f"{done:,} keys are wrapped by {name} now" if done else f"all keys are wrapped by {name} already")


@keys.command()
@data_option
def status(data: Path | None) -> None:
    """List the keys of all workspaces: what wraps them, and how many values are under each."""
    from rich.console import Console
    from rich.table import Table

    from crm_graph.cli.operating.keys import status_of

    rows, names = run(status_of(find_place(data)))
    table = Table("workspace", "key", "made", "retired", "wrapped by", "values", box=None)
    for key in rows:
        table.add_row(
            names.get(key.workspace_id, key.workspace_id),
            f"{key.purpose.lower()} {key.version}",
            key.created_at[:10],
            (key.retired_at or "")[:10],
            key.wrapped_by,
            f"{key.values:,}" if key.purpose == "DATA" else "",
        )
    Console().print(table)
