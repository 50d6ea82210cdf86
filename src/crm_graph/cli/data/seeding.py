"""`crm-graph seed`: demo data of any size, in a workspace of its own."""

from __future__ import annotations

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from crm_graph.cli.console import console
from crm_graph.cli.opening import opened
from crm_graph.cli.place import Place
from crm_graph.db.pool import Database
from crm_graph.demo.seed import Seeded, make
from crm_graph.domains.workspace.workspaces.directory import FIND
from crm_graph.kernel.errors import OperatorError

NAME = "星河贸易 Galaxy Trading"


async def seed_place(place: Place, customers: int, slug: str, number: int) -> Seeded:
    """Make a workspace of so many customers under a short name, and say how far it is. Raises OperatorError where the
    name is taken."""
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
