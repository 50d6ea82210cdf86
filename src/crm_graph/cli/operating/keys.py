"""`keys`: the keys that personal data and secrets are encrypted under."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from crm_graph.api.schema import SLICES
from crm_graph.cli.console import console
from crm_graph.cli.place import Place, data_option, find_place, find_workspace, opened, run, vault_of
from crm_graph.db.base import Base
from crm_graph.db.pool import Database
from crm_graph.domains.workspace.workspaces.operations import LIST
from crm_graph.vault.columns import Ciphertexts, ciphertexts
from crm_graph.vault.rotate import Rotated, rewrap, rotate, workspaces_with_keys
from crm_graph.vault.status import KeyStatus, key_status
from crm_graph.vault.vault import Vault

workspace_option = click.option("--workspace", help="The workspace's short name; all of them unless given.")


def every_column() -> list[Ciphertexts]:
    """Return every column that holds ciphertexts, of the tables of all slices."""
    assert SLICES, "importing the slices declares their tables"
    return ciphertexts(Base.metadata.sorted_tables)


@click.group()
def keys() -> None:
    """The keys that personal data and secrets are encrypted under.

    \b
    Each workspace has its own, wrapped by a master key: CRM_MASTER_KEY, else one derived from CRM_SECRET or from the
    secret that the database keeps.
      a new master key:   put it in front of the old one (CRM_MASTER_KEY=NEW,OLD), restart every process with it,
                          `crm-graph keys rewrap`, then take the old one away
      a new data key:     `crm-graph keys rotate`, once a year, or when one may be known to somebody
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
    done = run(_rotate(find_place(data), workspace, index=index))
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


async def _rotate(place: Place, slug: str | None, *, index: bool) -> dict[str, Rotated]:
    async with opened(place) as database:
        vault = await vault_of(database)
        with _bar() as progress:
            done = await rotate(vault, await _chosen(database, vault, slug), every_column(), progress, index=index)
        names = await _names(database)
    return {names.get(id_, id_): rotated for id_, rotated in done.items()}


@keys.command("rewrap")
@workspace_option
@data_option
def rewrap_keys(workspace: str | None, data: Path | None) -> None:
    """Wrap the keys of workspaces by the master key that stands first.

    Every process must have been started with it already, else it cannot read the keys any more. Values are not touched,
    so this takes a moment.
    """
    done, name = run(_rewrap(find_place(data), workspace))
    click.echo(f"{done:,} keys are wrapped by {name} now" if done else f"all keys are wrapped by {name} already")


async def _rewrap(place: Place, slug: str | None) -> tuple[int, str]:
    async with opened(place) as database:
        vault = await vault_of(database)
        done = [await rewrap(vault, id_) for id_ in await _chosen(database, vault, slug)]
        return sum(done), vault.service.name


@keys.command()
@data_option
def status(data: Path | None) -> None:
    """List the keys of all workspaces: what wraps them, and how many values are under each."""
    found, names = run(_status(find_place(data)))
    table = Table("workspace", "key", "made", "retired", "wrapped by", "values", box=None)
    for each in found:
        table.add_row(
            names.get(each.workspace_id, each.workspace_id),
            f"{each.purpose.lower()} {each.version}",
            each.created_at[:10],
            (each.retired_at or "")[:10],
            each.wrapped_by,
            f"{each.values:,}" if each.purpose == "DATA" else "",
        )
    Console().print(table)


async def _status(place: Place) -> tuple[list[KeyStatus], dict[str, str]]:
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
