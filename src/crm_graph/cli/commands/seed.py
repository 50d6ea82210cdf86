"""`crm-graph seed`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from crm_graph.cli.place import data_option, find_place, run


@click.command()
@click.option(
    "--customers",
    type=click.IntRange(1),
    required=True,
    help="How many customers; each brings 2 contacts, 3 opportunities, 2 orders of 3 lines and 2 tickets on average.",
)
@click.option("--workspace", help="The short name of the workspace to make.  [default: demo-<customers>]")
@click.option("--seed", "number", type=int, default=1, show_default=True, help="Another number makes other data.")
@data_option
def seed(customers: int, workspace: str | None, number: int, data: Path | None) -> None:
    """Make a workspace with demo data: the same data every time.

    All or nothing: an interrupted run leaves no row.
    """
    from crm_graph.cli.data.seeding import seed_place

    started = time.monotonic()
    slug = workspace or f"demo-{customers}"
    seeded = run(seed_place(find_place(data), customers, slug, number))
    seconds = time.monotonic() - started
    rows = sum(seeded.rows.values())
    click.echo(f"seeded workspace {slug}: {customers:,} customers, {rows:,} rows in {seconds:.1f} s")
