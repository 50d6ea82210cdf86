"""`crm-graph project`: the kept history, and what makes it."""

from __future__ import annotations

from pathlib import Path

import click

from crm_graph.cli.console import console
from crm_graph.cli.place import data_option, find_place, run

ALL = "all"


@click.command()
@click.option("--status", is_flag=True, help="Say how far the history has come, and since when it is kept.")
@click.option(
    "--rebuild",
    is_flag=False,
    flag_value=ALL,
    metavar="[TYPE]",
    help="Make the versions anew, of one type or of all.",
)
@click.option(
    "--archive",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="What `crm-graph events export` wrote: what it tells is taken too.",
)
@data_option
def project(status: bool, rebuild: str | None, archive: tuple[Path, ...], data: Path | None) -> None:
    """The kept history of records, from which `asOf` and `history` are answered. A running server keeps it.

    \b
      crm-graph project --status
      crm-graph project --rebuild
      crm-graph project --rebuild Opportunity --archive events-2026-09.ndjson.gz

    A rebuild makes the versions anew of what the log tells, and of archives that are given, and adds what happened
    before the history was kept. Versions from before that stay. Requests are answered meanwhile.
    """
    if not status and rebuild is None:
        raise click.UsageError("say --status or --rebuild")
    if archive and rebuild is None:
        raise click.UsageError("--archive is for --rebuild")
    from crm_graph.cli.operating.projecting import history_status, rebuild_history

    place = find_place(data)
    if rebuild is not None:
        for name, rows in run(rebuild_history(place, None if rebuild == ALL else rebuild, archive)):
            console.print(f"{name}: versions of {rows:,} records made anew")
    for line in run(history_status(place)) if status else ():
        console.print(line, soft_wrap=True)
