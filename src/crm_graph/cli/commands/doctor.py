"""`crm-graph doctor`."""

from __future__ import annotations

from pathlib import Path

import click

from crm_graph.cli.console import console
from crm_graph.cli.place import data_option, find_place, run


@click.command()
@data_option
def doctor(data: Path | None) -> None:
    """Check configuration, database, locale and schema; say what is wrong and how to fix it. Exit code 1 if anything
    is."""
    from crm_graph.cli.operating.doctor import examine

    findings = run(examine(find_place(data)))
    for finding in findings:
        mark = (
            "[green]ok[/green]  " if finding.ok else ("[yellow]warn[/yellow]" if finding.warning else "[red]bad[/red] ")
        )
        console.print(f"{mark} {finding.what}", soft_wrap=True)
        if finding.fix:
            console.print(f"       fix: {finding.fix}", soft_wrap=True)
    if any(not finding.ok and not finding.warning for finding in findings):
        raise click.exceptions.Exit(1)
