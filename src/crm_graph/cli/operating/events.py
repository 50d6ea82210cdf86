"""`crm-graph events`: write older parts of the event log to a file, and remove them."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, cast

import click
from rich.markup import escape

from crm_graph.cli.console import console
from crm_graph.cli.place import Place, data_option, find_place, find_workspace, opened, run, settings, workspace_option
from crm_graph.db.connecting import connect
from crm_graph.domains.platform.audit.chainer import sealed_position
from crm_graph.events.retention import remove_batch
from crm_graph.kernel.clock import system_clock
from crm_graph.kernel.errors import OperatorError

ROWS_PER_FETCH = 2_000
PROGRESS_EVERY = 10_000
_EXPORT = """
    SELECT row_to_json(line)::text FROM (
        SELECT seq, xid::text::bigint AS xid, workspace_id, type, entity, entity_id, actor, at, changes, data,
            client_id, address, request_id
        FROM event WHERE at < $1 AND ($2::uuid IS NULL OR workspace_id = $2) ORDER BY event.xid, event.seq
    ) AS line
"""
_LEFT = "SELECT count(*) FROM event WHERE at < $1"
_WHEN = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ"])


@click.group()
def events() -> None:
    """The event log: what subscriptions and the change feed read. The audit trail is kept apart, and for ever."""


@events.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--before", type=_WHEN, required=True, help="What happened before this day, or moment, in UTC.")
@workspace_option
@data_option
def export_(file: Path, before: datetime, workspace: str | None, data: Path | None) -> None:
    """Write events to a file, one JSON object a line, in the log's order; of all workspaces unless one is named.

    \b
      crm-graph events export --before 2026-10-01 events-2026-09.ndjson.gz

    A name that ends in .gz is compressed. The events stay; `crm-graph events prune` removes them.
    """
    if file.exists():
        raise OperatorError(f"{file} exists", "choose another name, or move it away: an archive is not overwritten")
    count = run(_export(find_place(data), file, before.replace(tzinfo=UTC), workspace))
    console.print(f"{count:,} events written to {escape(str(file))}", soft_wrap=True)


async def _export(place: Place, file: Path, before: datetime, workspace: str | None) -> int:
    async with opened(place) as database:
        workspace_id = None if workspace is None else await find_workspace(database, workspace)
        connection = await connect(database.url, None)  # without the time limits of requests
        try:
            with _whole(file) as out, console.status("exporting") as status:
                count = 0
                async with connection.transaction(isolation="repeatable_read", readonly=True):
                    async for row in connection.cursor(_EXPORT, before, workspace_id, prefetch=ROWS_PER_FETCH):
                        out.write(row[0].encode() + b"\n")
                        count += 1
                        if count % PROGRESS_EVERY == 0:
                            status.update(f"exporting: {count:,} events")
        finally:
            await connection.close()
    return count


@contextmanager
def _whole(file: Path) -> Iterator[BinaryIO]:
    """Lend a file that has its name only when it is whole."""
    partial = file.with_name(f"{file.name}.partial")
    try:
        with gzip.open(partial, "wb") if file.suffix == ".gz" else partial.open("wb") as out:
            yield cast(BinaryIO, out)
        partial.replace(file)
    except OSError as error:
        raise OperatorError(f"{file} cannot be written: {error.strerror}", "choose another place") from None
    finally:
        partial.unlink(missing_ok=True)


@events.command("prune")
@click.option("--before", type=_WHEN, help="What happened before this, in UTC; by CRM_EVENT_RETENTION_DAYS else.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@data_option
def prune(before: datetime | None, yes: bool, data: Path | None) -> None:
    """Remove old events of all workspaces, oldest first, as background work does once an hour.

    \b
      crm-graph events prune --before 2026-10-01

    Only what has its entry in the audit trail is removed. Clients whose cursor is older must read anew: they are told
    CURSOR_TOO_OLD.
    """
    days = settings().event_retention_days
    if before is None and not days:
        raise OperatorError("CRM_EVENT_RETENTION_DAYS=0 keeps events for ever", "say which to remove by --before")
    moment = system_clock() - timedelta(days=days) if before is None else before.replace(tzinfo=UTC)
    if not yes:
        click.confirm(f"Remove all events before {moment:%Y-%m-%d %H:%M} UTC?", abort=True)
    removed, left = run(_prune(find_place(data), moment))
    console.print(f"{removed:,} events removed")
    if left:
        console.print(
            f"[yellow]look:[/yellow] {left:,} older events are left: they stand behind newer ones or have no entry in"
            " the audit trail yet, which a running server makes",
            soft_wrap=True,
        )


async def _prune(place: Place, before: datetime) -> tuple[int, int]:
    async with opened(place) as database:
        connection = await connect(database.url)
        try:
            total = 0
            with console.status("removing") as status:
                while count := await remove_batch(
                    connection, before, sealed_position, settings().event_removal_batch_size
                ):
                    total += count
                    status.update(f"removing: {total:,} events")
            return total, int(await connection.fetchval(_LEFT, before))
        finally:
            await connection.close()
