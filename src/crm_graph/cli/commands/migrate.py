"""`crm-graph migrate`."""

from __future__ import annotations

from pathlib import Path

import click

from crm_graph.cli.place import data_option, find_place, run


@click.command()
@data_option
@click.option(
    "--to", "revision", default="head", show_default=True, help="The revision to go to; `base` empties the database."
)
def migrate(data: Path | None, revision: str) -> None:
    """Bring the database to the schema of this version."""
    from crm_graph.cli.operating.migrating import migrate_place

    before, after = run(migrate_place(find_place(data, makes=True), revision))
    click.echo(f"the database is at revision {after or 'base'} (was {before or 'base'})", err=True)
