"""`crm-graph backup`."""

from __future__ import annotations

from pathlib import Path

import click

from crm_graph.cli.console import console
from crm_graph.cli.place import data_option, find_place, run


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@data_option
def backup(folder: Path, data: Path | None) -> None:
    """Write a backup into a new FOLDER, while everything goes on; `crm-graph restore FOLDER` brings it back.

    \b
    A dump: of the database alone, small, for any later version of crm-graph and Postgres.

    Prints the database's address, for Postgres' own programs, and the keys that the backup is worth nothing without:
    keep them elsewhere. Refuses to write one that the keys given here do not open.
    """
    from crm_graph.cli.recovery.dumping import dump_place

    manifest, keys = run(dump_place(find_place(data), folder))
    console.print(f"{folder}: a {manifest.kind} with {manifest.events:,} events, schema {manifest.revision}")
    console.print("keep with it, elsewhere, or it cannot be restored:")
    for line in keys.to_keep():
        console.print(f"  {line}", soft_wrap=True)
