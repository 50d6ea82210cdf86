"""`seed`: demo data of any size, in a workspace of its own."""

from __future__ import annotations

import time
from pathlib import Path

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from crm_graph.cli.console import console
from crm_graph.cli.place import Place, data_option, find_place, opened, run
from crm_graph.db.pool import Database
from crm_graph.demo.seed import Seeded, make
from crm_graph.domains.workspace.workspaces.operations import FIND
from crm_graph.kernel.errors import OperatorError

NAME = "星河贸易 Galaxy Trading"


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
    started = time.monotonic()
    slug = workspace or f"demo-{customers}"
    made = run(_seed(find_place(data), customers, slug, number))
    seconds = time.monotonic() - started
    rows = sum(made.rows.values())
    click.echo(f"seeded workspace {slug}: {customers:,} customers, {rows:,} rows in {seconds:.1f} s")


async def _seed(place: Place, customers: int, slug: str, number: int) -> Seeded:
    async with opened(place) as database:
        await _refuse_taken(database, slug)
        with _bar() as bar:
            tasks = {}

            def show(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = bar.add_task(what, total=total)
                bar.update(tasks[what], completed=done)

            show("customers", 0, customers)
            return await make(database, customers, slug=slug, name=NAME, progress=show, seed=number)


async def _refuse_taken(database: Database, slug: str) -> None:
    if await database.primary_reader().fetch(FIND, {"slug": slug}):
        raise OperatorError(
            f"there is a workspace {slug!r} already", "choose another short name: `crm-graph seed --workspace NAME ...`"
        )


def _bar() -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, transient=True)
