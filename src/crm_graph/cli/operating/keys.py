"""`crm-graph keys`: what it does to the keys of workspaces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from crm_graph.api.schema import TABLES
from crm_graph.cli.console import console
from crm_graph.cli.installed import vault_of
from crm_graph.cli.opening import find_workspace, opened
from crm_graph.cli.place import Place
from crm_graph.db.base import Base
from crm_graph.db.pool import Database
from crm_graph.domains.workspace.workspaces.directory import LIST
from crm_graph.vault.columns import Ciphertexts, ciphertexts
from crm_graph.vault.rotate import Rotated, rewrap, rotate, workspaces_with_keys
from crm_graph.vault.status import KeyStatus, key_status
from crm_graph.vault.vault import Vault


def every_column() -> list[Ciphertexts]:
    """Return every column that holds ciphertexts, of the tables of all slices."""
    assert TABLES, "importing the list of slices declares every table"
    return ciphertexts(Base.metadata.sorted_tables)


async def rotate_place(place: Place, slug: str | None, *, index: bool) -> dict[str, Rotated]:
    """Make new data keys of a workspace, or of all, and encrypt everything anew; returns what came of it by short
    name. Raises OperatorError."""
    async with opened(place) as database:
        vault = await vault_of(database)
        with _bar() as progress:
            done = await rotate(vault, await _chosen(database, vault, slug), every_column(), progress, index=index)
        names = await _names(database)
    return {names.get(id_, id_): rotated for id_, rotated in done.items()}


async def rewrap_place(place: Place, slug: str | None) -> tuple[int, str]:
    """Wrap the keys of a workspace, or of all, by the first master key; returns how many, and that key's name. Raises
    OperatorError."""
    async with opened(place) as database:
        vault = await vault_of(database)
        done = [await rewrap(vault, id_) for id_ in await _chosen(database, vault, slug)]
        return sum(done), vault.service.name


async def status_of(place: Place) -> tuple[list[KeyStatus], dict[str, str]]:
    """Return the keys of all workspaces, and the workspaces' short names by id."""
    async with opened(place) as database, database.apart() as session:
        return await key_status(session, every_column()), await _names(database)


async def _chosen(database: Database, vault: Vault, slug: str | None) -> list[str]:
    return await workspaces_with_keys(vault) if slug is None else [await find_workspace(database, slug)]


async def _names(database: Database) -> dict[str, str]:
    return {row["id"]: row["slug"] for row in await database.primary_reader().fetch(LIST, {})}


@contextmanager
def _bar() -> Iterator[Callable[[str, int, int], None]]:
    """Lend what shows the progress, where somebody looks on."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        tasks = {}

        def show(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield show
