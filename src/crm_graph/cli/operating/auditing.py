"""`crm-graph audit`: verify the audit trail."""

from __future__ import annotations

import os
from dataclasses import dataclass

import click
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from crm_graph.cli.console import console
from crm_graph.cli.installed import installation
from crm_graph.cli.opening import find_workspace, opened
from crm_graph.cli.place import Place
from crm_graph.db.connecting import close, connect, unit
from crm_graph.db.pool import Database
from crm_graph.domains.platform.audit.chain import seal_keys
from crm_graph.domains.platform.audit.verify import (
    BEGINNING,
    Anchor,
    Connection,
    Tampered,
    Verified,
    count_entries,
    verify,
    workspaces_of,
)
from crm_graph.domains.workspace.workspaces.directory import LIST


@dataclass(frozen=True, slots=True)
class _Chain:
    """A workspace's chain that is to be verified; `name` is the workspace's short name, or its id where it is gone."""

    workspace_id: str
    name: str


async def verify_chains(place: Place, workspace: str | None, expect: Anchor | None, since: Anchor | None) -> bool:
    """Verify the chain of a workspace, or of all, and say what was found; returns whether all are whole. Raises
    OperatorError."""
    async with opened(place) as database:
        installed, start = await installation(database), since or BEGINNING
        if not os.environ.get("CRM_SECRET"):
            console.print("[yellow]note:[/yellow] the key of the chain lies in the database: set CRM_SECRET")
        keys = seal_keys([*installed.secrets, *installed.retired_secrets])
        connection = await connect(database.url, None)  # without the time limits of requests
        try:
            async with unit(connection, isolation="repeatable_read", readonly=True):
                good = True
                for chain in await _chains(database, connection, workspace):
                    total = await count_entries(connection, chain.workspace_id, start)
                    with _bar(chain.name, total) as step:
                        try:
                            verified = await verify(
                                connection, keys, chain.workspace_id, since=start, expect=expect, progress=step
                            )
                        except Tampered as error:
                            step.finish()
                            good = False
                            console.print(f"[red]bad:[/red] {escape(f'{chain.name}: {error}')}", soft_wrap=True)
                            continue
                    _say(chain, verified)
        finally:
            await close(connection)
    return good


async def _chains(database: Database, connection: Connection, workspace: str | None) -> list[_Chain]:
    names = {row["id"]: row["slug"] for row in await database.primary_reader().fetch(LIST, {})}
    if workspace is not None:
        return [_Chain(await find_workspace(database, workspace), workspace)]
    ids = dict.fromkeys([*names, *await workspaces_of(connection)])
    return [_Chain(id_, names.get(id_, id_)) for id_ in ids]


def _say(chain: _Chain, verified: Verified) -> None:
    if verified.late:
        console.print(
            f"[yellow]look:[/yellow] {escape(chain.name)}: {_counted(verified.late, 'entry was', 'entries were')}"
            f" sealed more than an hour after the event, the first of them entry {verified.first_late}: events before"
            " the trail, or a trail made anew",
            soft_wrap=True,
        )
    if verified.removed:
        console.print(
            f"{escape(chain.name)}: the events of {_counted(verified.removed, 'entry', 'entries')} are no longer kept,"
            f" the newest of them of {verified.last_removed}: these entries were held against the chain alone",
            soft_wrap=True,
        )
    if verified.pending:
        waiting = _counted(verified.pending, "event waits for its", "events wait for their")
        console.print(f"{escape(chain.name)}: {waiting} entry", soft_wrap=True)
    click.echo(f"{chain.name}\t{verified.head}")


def _counted(number: int, one: str, many: str) -> str:
    """Return a number with what it counts."""
    return f"{number:,} {one if number == 1 else many}"


class _bar:  # noqa: N801 - reads as a statement
    """A progress bar of one chain, on stderr; called with the number of the entry that was reached."""

    def __init__(self, name: str, total: int) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._progress = Progress(*columns, console=console, transient=True)
        self._task = self._progress.add_task(escape(name), total=total)
        self._done = 0

    def __enter__(self) -> _bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.finish()

    def __call__(self, _number: int) -> None:
        self._done += 1
        if self._done % 1_000 == 0:
            self._progress.update(self._task, completed=self._done)

    def finish(self) -> None:
        """Take the bar away."""
        self._progress.stop()
