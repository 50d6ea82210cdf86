"""`crm-graph backup`."""

from __future__ import annotations

from pathlib import Path

import click

from crm_graph.cli.console import console
from crm_graph.cli.place import data_option, find_place, run


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--base", is_flag=True, help="A base backup: the files of the whole cluster.")
@click.option("--follow", is_flag=True, help="A base backup, and from then on every change, until it is stopped.")
@click.option("--unfollow", is_flag=True, help="Let the server keep nothing for this backup any more.")
@data_option
def backup(folder: Path, base: bool, follow: bool, unfollow: bool, data: Path | None) -> None:
    """Write a backup into a new FOLDER, while everything goes on; `crm-graph restore FOLDER` brings it back.

    \b
    a dump      of the database alone: small, for any later version of crm-graph and Postgres
    --base      the whole cluster, for the same version of Postgres: quick to restore, however large
    --follow    the same, and the write-ahead log as it comes: for any point in time (`restore --until`); run again on
                its FOLDER, it goes on. Meanwhile the server keeps what it has not handed over: --unfollow ends that

    Prints the database's address, for Postgres' own programs, and the keys that the backup is worth nothing without:
    keep them elsewhere. Refuses to write one that the keys given here do not open.
    """
    from crm_graph.cli.recovery.basing import base_place
    from crm_graph.cli.recovery.dumping import dump_place
    from crm_graph.cli.recovery.following import follow_place, follows, forget_place

    if base + follow + unfollow > 1:
        raise click.UsageError("--base, --follow and --unfollow exclude each other")
    place = find_place(data)
    if unfollow:
        run(forget_place(place, folder))
        return
    if not (follow and follows(folder)):
        work = base_place(place, folder, follow=follow) if base or follow else dump_place(place, folder)
        manifest, keys = run(work)
        console.print(f"{folder}: a {manifest.kind} with {manifest.events:,} events, schema {manifest.revision}")
        console.print("keep with it, elsewhere, or it cannot be restored:")
        for line in keys.to_keep():
            console.print(f"  {line}", soft_wrap=True)
    if follow:
        run(follow_place(place, folder))
